// Large products of packed factors. The including file defines, in addition to what tiles.h requires:
//
//   TERMS                   terms of a sum in a word of 32 bits: 1 (float32) or 2 (bfloat16)
//   COLUMNS                 columns of a tile, which has `tileRows` rows
//   load_eight(p)           eight words of float32 terms: p[0], p[1], …
//   load_eight_bf16(p)      eight words of bfloat16 terms
//   load_across(p, stride)  a word of each of WIDTH columns: p[i], and p[stride + i] if a word has two terms
//   word(first, second)     a word of one or two numbers
//   product_tile(words, left, right, c, ldc, adding)  computes c[tileRows, COLUMNS]
#include "ckernels.h"

/// The words that hold `terms` terms.
static inline long words_of(long terms) { return (terms + TERMS - 1) / TERMS; }

/// Word l of a row (or column) of k numbers, `step` apart.
INLINE float word_at(const float *a, long step, long l, long k) {
    return word(a[l * TERMS * step], TERMS * (l + 1) <= k ? a[(l * TERMS + TERMS - 1) * step] : 0);
}

#if WIDTH == 8
INLINE __m256 load_words(const float *p) { return _mm256_loadu_ps(p); }
INLINE void store_words(float *p, __m256 w) { _mm256_storeu_ps(p, w); }
#else
INLINE __m512 load_words(const float *p) { return _mm512_loadu_ps(p); }
INLINE void store_words(float *p, __m512 w) { _mm512_storeu_ps(p, w); }
#endif

/// Packs `tileRows` rows of the left factor as [words][tileRows], padded with zeros.
INLINE void pack_left_panel(long rows, long k, const float *a, long lda, float *out) {
    const long words = words_of(k);
    long l = 0;
    if (rows == tileRows)
        // The last store of a word writes too many numbers, which the next word overwrites; the last words are packed
        // by the loop below.
        for (; l + 8 < k / TERMS; l += 8) {
            // Rows are too short for hardware prefetching.
            if (l * TERMS % 16 == 0)
                for (long i = tileRows; i < 2 * tileRows; i++)
                    _mm_prefetch((const char *)(a + i * lda + l * TERMS), _MM_HINT_T0);
            __m256 t[(tileRows + 7) / 8][8];
#pragma unroll
            for (int part = 0; part < tileRows; part += 8) {
                __m256 r[8];
#pragma unroll
                for (int i = 0; i < 8; i++)
                    r[i] = part + i < tileRows ? load_eight(a + (part + i) * lda + l * TERMS) : _mm256_setzero_ps();
                transpose8(r, t[part / 8]);
            }
            for (long j = 0; j < 8; j++)
#pragma unroll
                for (int part = 0; part < tileRows; part += 8)
                    _mm256_storeu_ps(out + (l + j) * tileRows + part, t[part / 8][j]);
        }
    for (; l < words; l++)
        for (long i = 0; i < tileRows; i++) out[l * tileRows + i] = i < rows ? word_at(a + i * lda, 1, l, k) : 0;
}

/// Packs all panels of a transposed left factor, four words of a column at a time. One panel after the other would be
/// slow, because rows a power of two apart would evict each other from the caches before the next panel used them.
INLINE void pack_left_panels_transposed(long rows, long k, const float *a, long lda, float *out) {
    const long whole = rows / tileRows * tileRows, words = words_of(k);
    long l = 0;
    // As above, too many numbers are stored (and read).
    for (; l + 4 < k / TERMS; l += 4) {
        const float *from = a + l * TERMS * lda;
        for (long i = 0; i < whole; i += tileRows) {
            float *to = out + i * words + l * tileRows;
#pragma unroll
            for (long j = 0; j < 4; j++) store_words(to + j * tileRows, load_across(from + j * TERMS * lda + i, lda));
        }
    }
    for (long first = 0; first < rows; first += tileRows)
        for (long rest = first < whole ? l : 0; rest < words; rest++)
            for (long i = 0; i < tileRows; i++)
                out[first * words + rest * tileRows + i] = first + i < rows ? word_at(a + first + i, lda, rest, k) : 0;
}

INLINE float bf16_to_float(const uint16_t *b) {
    union { uint32_t bits; float value; } wide = {(uint32_t)*b << 16};
    return wide.value;
}

/// A word of the right factor in float32 (b) or bfloat16 (b16): element `at`, and the one `step` later if the word has
/// two terms and is whole.
INLINE float right_word(const float *b, const uint16_t *b16, long at, long step, int isWhole) {
    const long last = at + (TERMS - 1) * step;
    return b ? word(b[at], isWhole ? b[last] : 0)
             : word(bf16_to_float(b16 + at), isWhole ? bf16_to_float(b16 + last) : 0);
}

/// Packs COLUMNS columns of the right factor from b[k, n], in float32 (b) or bfloat16 (b16), as [words][COLUMNS],
/// padded with zeros.
INLINE void pack_right_panel(long columns, long k, const float *b, const uint16_t *b16, long ldb, float *out) {
    const long words = words_of(k);
    long l = 0;
    if (columns == COLUMNS)
        for (; l < k / TERMS; l++) {
            float wide[TERMS * COLUMNS];
            if (!b)
                for (int term = 0; term < TERMS; term++)
#pragma unroll
                    for (int j = 0; j < COLUMNS; j++)
                        wide[term * COLUMNS + j] = bf16_to_float(b16 + (l * TERMS + term) * ldb + j);
            const float *from = b ? b + l * TERMS * ldb : wide;
#pragma unroll
            for (int j = 0; j < COLUMNS; j += WIDTH)
                store_words(out + l * COLUMNS + j, load_across(from + j, b ? ldb : COLUMNS));
        }
    for (; l < words; l++)
        for (long j = 0; j < COLUMNS; j++)
            out[l * COLUMNS + j] =
                j < columns ? right_word(b, b16, l * TERMS * ldb + j, ldb, TERMS * (l + 1) <= k) : 0;
}

/// Packs COLUMNS columns of the right factor from b[n, k], in float32 (b) or bfloat16 (b16).
INLINE void pack_right_panel_transposed(
    long columns, long k, const float *b, const uint16_t *b16, long ldb, float *out) {
    const long words = words_of(k);
    long l = 0;
    if (columns == COLUMNS)
        // Whole cache lines, because the first-level cache keeps only a few if rows are a power of two apart.
        for (; l + 16 <= k / TERMS; l += 16)
            for (long j = 0; j < COLUMNS; j += 8)
#pragma unroll
                for (long half = l; half < l + 16; half += 8) {
                    __m256 r[8], t[8];
#pragma unroll
                    for (int i = 0; i < 8; i++) {
                        const long at = (j + i) * ldb + half * TERMS;
                        r[i] = b ? load_eight(b + at) : load_eight_bf16(b16 + at);
                    }
                    transpose8(r, t);
                    for (long i = 0; i < 8; i++) _mm256_storeu_ps(out + (half + i) * COLUMNS + j, t[i]);
                }
    for (; l < words; l++)
        for (long j = 0; j < COLUMNS; j++) {
            const long at = j * ldb + l * TERMS;
            out[l * COLUMNS + j] = j >= columns ? 0 : right_word(b, b16, at, 1, TERMS * (l + 1) <= k);
        }
}

KERNEL static void pack_left(long rows, long k, const float *a, long lda, int transposed, float *out) {
    if (transposed) return pack_left_panels_transposed(rows, k, a, lda, out);
    for (long i = 0; i < rows; i += tileRows, out += tileRows * words_of(k))
        pack_left_panel(minimum(tileRows, rows - i), k, a + i * lda, lda, out);
}

KERNEL static void pack_right(long columns, long k, const float *b, long ldb, int transposed, float *out) {
    for (long j = 0; j < columns; j += COLUMNS, out += COLUMNS * words_of(k)) {
        if (transposed) pack_right_panel_transposed(minimum(COLUMNS, columns - j), k, b + j * ldb, 0, ldb, out);
        else pack_right_panel(minimum(COLUMNS, columns - j), k, b + j, 0, ldb, out);
    }
}

KERNEL static void pack_right_bf16(
    long columns, long k, const uint16_t *b, long ldb, int transposed, float *out) {
    for (long j = 0; j < columns; j += COLUMNS, out += COLUMNS * words_of(k)) {
        if (transposed) pack_right_panel_transposed(minimum(COLUMNS, columns - j), k, 0, b + j * ldb, ldb, out);
        else pack_right_panel(minimum(COLUMNS, columns - j), k, 0, b + j, ldb, out);
    }
}

KERNEL static void multiply(
    long m, long n, long k, const float *left, const float *right, float *c, long ldc, int adding) {
    const long words = words_of(k);
    for (long j = 0; j < n; j += COLUMNS, right += COLUMNS * words) {
        const float *panel = left;
        for (long i = 0; i < m; i += tileRows, panel += tileRows * words) {
            float *at = c + i * ldc + j;
            if (m - i >= tileRows && n - j >= COLUMNS) {
#pragma unroll
                for (int row = 0; row < tileRows; row++)
#pragma unroll
                    for (int part = 0; part < COLUMNS; part += 16)
                        _mm_prefetch((const char *)(at + row * ldc + part), _MM_HINT_T0);
                if (adding) product_tile(words, panel, right, at, ldc, 1);
                else product_tile(words, panel, right, at, ldc, 0);
                continue;
            }
            float edge[tileRows * COLUMNS];
            product_tile(words, panel, right, edge, COLUMNS, 0);
            for (long row = 0; row < minimum(tileRows, m - i); row++)
                for (long column = 0; column < minimum(COLUMNS, n - j); column++) {
                    const float sum = edge[row * COLUMNS + column];
                    at[row * ldc + column] = adding ? at[row * ldc + column] + sum : sum;
                }
        }
    }
}

#define PACKED_GEMM_KERNELS {tileRows, COLUMNS, TERMS, pack_left, pack_right, pack_right_bf16, multiply}
