#include "wide_vectors.h"

#if defined(__x86_64__)

#include "tiles.h"

int ckpt_has_only_wide_vectors(void) { return ckpt_has_wide_vectors() && !__builtin_cpu_supports("avx512f"); }

/// Six rows of the left factor as [k][6], missing ones zero.
PART void left_panel(long rows, long k, const float *a, long lda, float *out) {
    long l = 0;
    if (rows == 6)
        // Each store writes two numbers too many, which the next one writes over; the last columns are left for below.
        for (; l + 8 < k; l += 8) {
            // The next six rows are too short for the processor to ask for in time.
            if (l % 16 == 0)
                for (long i = 6; i < 12; i++) _mm_prefetch((const char *)(a + i * lda + l), _MM_HINT_T0);
            __m256 t[8];
            transpose8(6, a + l, lda, t);
            for (long j = 0; j < 8; j++) _mm256_storeu_ps(out + (l + j) * 6, t[j]);
        }
    for (; l < k; l++)
        for (long i = 0; i < 6; i++) out[l * 6 + i] = i < rows ? a[i * lda + l] : 0;
}

/// The same of a transposed factor for all panels, four rows of a at a time: rows whose distance is a multiple of a power of
/// two would drive each other out of the caches before the next panel needed them.
PART void left_panels_across(long rows, long k, const float *a, long lda, float *out) {
    const long whole = rows / 6 * 6;
    long l = 0;
    // As above, two numbers too many are stored (and read): the last rows are left for below.
    for (; l + 4 < k; l += 4, a += 4 * lda)
        for (long i = 0; i < whole; i += 6) {
            float *to = out + i * k + l * 6;
#pragma unroll
            for (long j = 0; j < 4; j++) _mm256_storeu_ps(to + j * 6, _mm256_loadu_ps(a + j * lda + i));
        }
    for (; l < k; l++, a += lda)
        for (long i = 0; i < whole; i++) out[i / 6 * 6 * k + l * 6 + i % 6] = a[i];
    if (whole == rows) return;
    a -= k * lda;
    out += whole * k;
    for (l = 0; l < k; l++)
        for (long i = 0; i < 6; i++) out[l * 6 + i] = whole + i < rows ? a[l * lda + whole + i] : 0;
}

/// Sixteen columns of the right factor as [k][16], missing ones zero.
PART void right_panel(long columns, long k, const float *b, long ldb, int transposed, float *out) {
    long l = 0;
    if (columns == 16 && transposed) {
        for (; l + 8 <= k; l += 8) {
            __m256 t[8], u[8];
            transpose8(8, b + l, ldb, t);
            transpose8(8, b + 8 * ldb + l, ldb, u);
            for (long i = 0; i < 8; i++) {
                _mm256_storeu_ps(out + (l + i) * 16, t[i]);
                _mm256_storeu_ps(out + (l + i) * 16 + 8, u[i]);
            }
        }
    } else if (columns == 16) {
        for (; l < k; l++) {
            _mm256_storeu_ps(out + l * 16, _mm256_loadu_ps(b + l * ldb));
            _mm256_storeu_ps(out + l * 16 + 8, _mm256_loadu_ps(b + l * ldb + 8));
        }
    }
    for (; l < k; l++)
        for (long j = 0; j < 16; j++) out[l * 16 + j] = j < columns ? b[transposed ? j * ldb + l : l * ldb + j] : 0;
}

WIDE void ckpt_pack_left(long rows, long k, const float *a, long lda, int transposed, float *out) {
    if (transposed) return left_panels_across(rows, k, a, lda, out);
    for (long i = 0; i < rows; i += 6, out += 6 * k) left_panel(smaller(6, rows - i), k, a + i * lda, lda, out);
}

WIDE void ckpt_pack_right(long columns, long k, const float *b, long ldb, int transposed, float *out) {
    for (long j = 0; j < columns; j += 16, out += 16 * k)
        right_panel(smaller(16, columns - j), k, transposed ? b + j * ldb : b + j, ldb, transposed, out);
}

WIDE void ckpt_packed_product(
    long m, long n, long k, const float *left, const float *right, float *c, long ldc, int adding) {
    for (long j = 0; j < n; j += 16, right += 16 * k) {
        const float *panel = left;
        for (long i = 0; i < m; i += 6, panel += 6 * k) {
            float *at = c + i * ldc + j;
            if (m - i >= 6 && n - j >= 16) {
#pragma unroll
                for (int row = 0; row < 6; row++) _mm_prefetch((const char *)(at + row * ldc), _MM_HINT_T0);
                if (adding) tile16(6, rowsTogether, k, panel, 6, right, 16, at, ldc, 1);
                else tile16(6, rowsTogether, k, panel, 6, right, 16, at, ldc, 0);
                continue;
            }
            float edge[6 * 16];
            tile16(6, rowsTogether, k, panel, 6, right, 16, edge, 16, 0);
            for (long row = 0; row < smaller(6, m - i); row++)
                for (long column = 0; column < smaller(16, n - j); column++) {
                    const float sum = edge[row * 16 + column];
                    at[row * ldc + column] = adding ? at[row * ldc + column] + sum : sum;
                }
        }
    }
}

#else

int ckpt_has_only_wide_vectors(void) { return 0; }
void ckpt_pack_left(long rows, long k, const float *a, long lda, int transposed, float *out) { __builtin_trap(); }
void ckpt_pack_right(long columns, long k, const float *b, long ldb, int transposed, float *out) { __builtin_trap(); }
void ckpt_packed_product(
    long m, long n, long k, const float *left, const float *right, float *c, long ldc, int adding) {
    __builtin_trap();
}

#endif
