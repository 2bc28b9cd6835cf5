#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx2,fma"
#define WIDTH 8
#include "tiles.h"
#include <string.h>

INLINE __m256 weights(const void *b, long index, int is_bf16) {
    if (!is_bf16) return _mm256_loadu_ps((const float *)b + index);
    __m128i halves = _mm_loadu_si128((const __m128i *)((const uint16_t *)b + index));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

INLINE float weight(const void *b, long index, int is_bf16) {
    if (!is_bf16) return ((const float *)b)[index];
    uint32_t bits = (uint32_t)((const uint16_t *)b)[index] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE void fetch(const void *b, long index, int is_bf16) {
    const char *at = is_bf16 ? (const char *)((const uint16_t *)b + index) : (const char *)((const float *)b + index);
    _mm_prefetch(at, _MM_HINT_T0);
}

/// A tile of the result with at most 12 sums, which fill the 16 registers together with the weights and one vector of
/// a.
///
/// Rows of b are too short for hardware prefetching, so each of the `blocks` tiles that use the same weights prefetches
/// its share of the next rows.
INLINE void tile(
    int rows, int columns, long k, const float *a, long lda, const void *b, long at, long ldb, float *c, long ldc,
    int adding, int is_bf16, long block, long blocks) {
    __m256 sums[4][3];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) sums[i][j] = _mm256_setzero_ps();
    const long line = is_bf16 ? 32 : 16;
    long next = block * line, l = 0;
    for (; l + 8 <= k; l += 8) {
        __m256 w[3];
        for (int j = 0; j < columns; j++) w[j] = weights(b, at + j * ldb + l, is_bf16);
        if (l == next) {
            for (int j = 0; j < columns; j++) fetch(b, at + (2 * columns + j) * ldb + l, is_bf16);
            next += blocks * line;
        }
        for (int i = 0; i < rows; i++) {
            __m256 x = _mm256_loadu_ps(a + i * lda + l);
            for (int j = 0; j < columns; j++) sums[i][j] = _mm256_fmadd_ps(x, w[j], sums[i][j]);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            float total = horizontal_sum(sums[i][j]);
            for (long rest = l; rest < k; rest++) total += a[i * lda + rest] * weight(b, at + j * ldb + rest, is_bf16);
            c[i * ldc + j] = adding ? c[i * ldc + j] + total : total;
        }
}

/// One sum for a single row of a. Weights are used once, so they are read sequentially and prefetched far ahead; with
/// four partial sums, additions do not wait for each other.
INLINE float alone(long k, const float *a, const void *b, long at, int is_bf16) {
    const long ahead = 512;
    __m256 sums[4];
#pragma unroll
    for (int part = 0; part < 4; part++) sums[part] = _mm256_setzero_ps();
    long l = 0;
    // Without unrolling, bfloat16 weights would be a sixth slower.
#pragma unroll 3
    for (; l + 32 <= k; l += 32) {
        fetch(b, at + l + ahead, is_bf16);
        if (!is_bf16) fetch(b, at + l + 16 + ahead, is_bf16);
#pragma unroll
        for (int part = 0; part < 4; part++)
            sums[part] = _mm256_fmadd_ps(
                _mm256_loadu_ps(a + l + 8 * part), weights(b, at + l + 8 * part, is_bf16), sums[part]);
    }
    float total = horizontal_sum(_mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3])));
    for (; l < k; l++) total += a[l] * weight(b, at + l, is_bf16);
    return total;
}

/// One column of the result for five to eight rows of a, which leave the first cache room for the weights: these are
/// read in the order of memory, as for a row alone. Each sum has the bits that `tile` gives it.
INLINE void column_of(
    const int rows, long k, const float *a, long lda, const void *b, long at, float *c, long ldc, int adding,
    int is_bf16) {
    const long ahead = is_bf16 ? 2048 : 1024, line = is_bf16 ? 32 : 16;
    __m256 sums[8];
#pragma unroll
    for (int i = 0; i < 8; i++) sums[i] = _mm256_setzero_ps();
    long l = 0;
    for (; l + line <= k; l += line) {
        fetch(b, at + l + ahead, is_bf16);
#pragma unroll
        for (long part = 0; part < line; part += 8) {
            const __m256 w = weights(b, at + l + part, is_bf16);
            const float *low = a + l + part, *high = low + 4 * lda;
#pragma unroll
            for (int i = 0; i < rows; i++)
                sums[i] = _mm256_fmadd_ps(_mm256_loadu_ps(i < 4 ? low + i * lda : high + (i - 4) * lda), w, sums[i]);
        }
    }
    for (; l + 8 <= k; l += 8) {
        const __m256 w = weights(b, at + l, is_bf16);
#pragma unroll
        for (int i = 0; i < rows; i++) sums[i] = _mm256_fmadd_ps(_mm256_loadu_ps(a + i * lda + l), w, sums[i]);
    }
    float totals[8];
    _mm256_storeu_ps(totals, eight_horizontal_sums(sums));
    for (int i = 0; i < rows; i++) {
        float total = totals[i];
        for (long rest = l; rest < k; rest++) total += a[i * lda + rest] * weight(b, at + rest, is_bf16);
        c[i * ldc] = adding ? c[i * ldc] + total : total;
    }
}

/// A few columns of the result for all rows of a; their weights stay in the first-level cache.
INLINE void columns_of(
    int columns, long m, long k, const float *a, long lda, const void *b, long at, long ldb, float *c, long ldc,
    int adding, int is_bf16) {
    const long blocks = (m + 3) / 4;
    for (long block = 0; block < blocks; block++, a += 4 * lda, c += 4 * ldc) switch (m - 4 * block) {
        case 1: tile(1, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 2: tile(2, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 3: tile(3, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        default: tile(4, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks);
        }
}

INLINE void product(
    long m, long n, long k, const float *a, long lda, const void *b, long ldb, float *c, long ldc, int adding,
    int is_bf16) {
    long j = 0;
    if (m == 1)
        for (; j < n; j++) {
            const float total = alone(k, a, b, j * ldb, is_bf16);
            c[j] = adding ? c[j] + total : total;
        }
    if (m >= 5 && m <= 8)
        for (; j < n; j++) switch (m) {
            case 5: column_of(5, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 6: column_of(6, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 7: column_of(7, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            default: column_of(8, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16);
            }
    for (; j + 3 <= n; j += 3) columns_of(3, m, k, a, lda, b, j * ldb, ldb, c + j, ldc, adding, is_bf16);
    for (; j < n; j++) columns_of(1, m, k, a, lda, b, j * ldb, ldb, c + j, ldc, adding, is_bf16);
}

KERNEL static void skinny_gemm_nt(
    long m, long n, long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int adding) {
    if (adding) product(m, n, k, a, lda, b, ldb, c, ldc, 1, 0);
    else product(m, n, k, a, lda, b, ldb, c, ldc, 0, 0);
}

KERNEL static void skinny_gemm_nt_bf16(
    long m, long n, long k, const float *a, long lda, const uint16_t *b, long ldb, float *c, long ldc, int adding) {
    if (adding) product(m, n, k, a, lda, b, ldb, c, ldc, 1, 1);
    else product(m, n, k, a, lda, b, ldb, c, ldc, 0, 1);
}

const struct ckpt_skinny_gemm_kernels ckpt_skinny_gemm_avx2 = {64, 1 << 16, skinny_gemm_nt, skinny_gemm_nt_bf16, 0};

#endif
