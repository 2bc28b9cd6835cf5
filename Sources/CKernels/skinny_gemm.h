// Products of a few rows with many weights for AVX-512, in vectors of 16 words of 32 bits. The including file defines,
// in addition to what tiles.h requires:
//
//   TERMS                    terms of a sum in a word: 1 (float32) or 2 (bfloat16); a consists of words
//   weights(b, mask)         loads 16 words of float32 weights; `mask` has a bit for each of the 16 * TERMS terms
//   bf16_weights(b, mask)    the same for bfloat16 weights
//   multiply_add(x, y, sum)  sum + x y, for vectors of words
#include "ckernels.h"

INLINE __m512 weights_at(const void *b, long index, const int is_bf16, uint32_t mask) {
    return is_bf16 ? bf16_weights((const uint16_t *)b + index, mask) : weights((const float *)b + index, mask);
}

INLINE void fetch(const void *b, long index, const int is_bf16) {
    const char *at = is_bf16 ? (const char *)((const uint16_t *)b + index) : (const char *)((const float *)b + index);
    _mm_prefetch(at, _MM_HINT_T0);
}

/// Prefetches the weights of 16 words.
INLINE void fetch_words(const void *b, long index, const int is_bf16) {
    const int line = is_bf16 ? 32 : 16;
#pragma unroll
    for (int term = 0; term < 16 * TERMS; term += line) fetch(b, index + term, is_bf16);
}

/// Writes the horizontal sums of at most eight vectors to c, or adds them.
INLINE void finish(const int count, const __m512 sums[8], float *c, long step, int adding) {
    __m256 halves[8];
#pragma unroll
    for (int i = 0; i < 8; i++)
        halves[i] = i < count ? _mm256_add_ps(_mm512_castps512_ps256(sums[i]), _mm512_extractf32x8_ps(sums[i], 1))
                              : _mm256_setzero_ps();
    float totals[8];
    _mm256_storeu_ps(totals, eight_horizontal_sums(halves));
#pragma unroll
    for (int i = 0; i < count; i++) c[i * step] = adding ? c[i * step] + totals[i] : totals[i];
}

/// One column of the result for at most eight rows. Weights are read sequentially and prefetched far ahead. A single
/// row uses four partial sums, so that additions do not wait for each other.
INLINE void column_of(
    const int rows, long k, const float *a, long lda, const void *b, long at, float *c, long ldc, int adding,
    const int is_bf16) {
    const long ahead = is_bf16 ? 8192 : 4096;
    const int parts = rows == 1 ? 4 : 1;
    const uint32_t all = TERMS == 2 ? 0xFFFFFFFF : 0xFFFF;
    __m512 sums[8];
#pragma unroll
    for (int i = 0; i < 8; i++) sums[i] = _mm512_setzero_ps();
    long l = 0;
    for (; l + 16 * TERMS * parts <= k; l += 16 * TERMS * parts)
#pragma unroll
        for (int part = 0; part < parts; part++) {
            const long here = l + 16 * TERMS * part;
            if (TERMS == 2 || !is_bf16 || part % 2 == 0) fetch_words(b, at + here + ahead, is_bf16);
            const __m512 w = weights_at(b, at + here, is_bf16, all);
            const float *low = a + here / TERMS, *high = low + 4 * lda;
#pragma unroll
            for (int i = 0; i < rows; i++)
                sums[part * rows + i] = multiply_add(
                    _mm512_loadu_ps(i < 4 ? low + i * lda : high + (i - 4) * lda), w, sums[part * rows + i]);
        }
    for (; l < k; l += 16 * TERMS) {
        const uint32_t mask = k - l >= 16 * TERMS ? all : (1u << (k - l)) - 1;
        const __m512 w = weights_at(b, at + l, is_bf16, mask);
#pragma unroll
        for (int i = 0; i < rows; i++) {
            const float *from = a + l / TERMS + i * lda;
            // Rounded rows are padded with zeros.
            const __m512 x = TERMS == 2 ? _mm512_loadu_ps(from) : _mm512_maskz_loadu_ps((__mmask16)mask, from);
            sums[i] = multiply_add(x, w, sums[i]);
        }
    }
#pragma unroll
    for (int part = parts / 2; part > 0; part /= 2)
#pragma unroll
        for (int i = 0; i < part * rows; i++) sums[i] = _mm512_add_ps(sums[i], sums[part * rows + i]);
    finish(rows, sums, c, ldc, adding);
}

/// Adds terms `from` to `to` to a tile of 24 sums.
INLINE void tile_steps(
    const int height, const int rows, const int columns, long from, long to, const uint32_t mask, const float *a,
    long lda, const void *b, long at, long ldb, const int is_bf16, __m512 sums[24], long *next, long every) {
    for (long l = from; l < to; l += 16 * TERMS) {
        __m512 w[6];
#pragma unroll
        for (int j = 0; j < columns; j++) w[j] = weights_at(b, at + j * ldb + l, is_bf16, mask);
        for (; *next < l + 16 * TERMS; *next += every)
#pragma unroll
            for (int j = 0; j < columns; j++) fetch(b, at + (columns + j) * ldb + *next, is_bf16);
        const float *low = a + l / TERMS, *high = low + 4 * lda;
#pragma unroll
        for (int i = 0; i < rows; i++) {
            const float *row = i < 4 ? low + i * lda : high + (i - 4) * lda;
            const __m512 x = TERMS == 2 ? _mm512_loadu_ps(row) : _mm512_maskz_loadu_ps((__mmask16)mask, row);
#pragma unroll
            for (int j = 0; j < columns; j++) sums[j * height + i] = multiply_add(x, w[j], sums[j * height + i]);
        }
    }
}

/// A tile of at most `height` rows and 24 / `height` columns. Rows of b are too short for hardware prefetching, so each
/// of the `blocks` tiles that use the same weights prefetches its share of the next rows.
INLINE void tile(
    const int height, const int rows, const int columns, long k, const float *a, long lda, const void *b, long at,
    long ldb, float *c, long ldc, int adding, const int is_bf16, long block, long blocks) {
    __m512 sums[24];
#pragma unroll
    for (int i = 0; i < 24; i++) sums[i] = _mm512_setzero_ps();
    const long line = is_bf16 ? 32 : 16, whole = k / (16 * TERMS) * (16 * TERMS);
    long next = block * line;
    tile_steps(
        height, rows, columns, 0, whole, TERMS == 2 ? 0xFFFFFFFF : 0xFFFF, a, lda, b, at, ldb, is_bf16, sums, &next,
        blocks * line);
    if (whole < k)
        tile_steps(
            height, rows, columns, whole, k, (1u << (k - whole)) - 1, a, lda, b, at, ldb, is_bf16, sums, &next,
            blocks * line);
#pragma unroll
    for (int j = 0; j < columns; j++) {
        __m512 own[8];
#pragma unroll
        for (int i = 0; i < height; i++) own[i] = sums[j * height + i];
        finish(rows, own, c + j, ldc, adding);
    }
}

/// A few columns of the result for all rows of a; their weights stay in the first-level cache.
INLINE void columns_of(
    const int height, const int columns, long m, long k, const float *a, long lda, const void *b, long at, long ldb,
    float *c, long ldc, int adding, const int is_bf16) {
    const long blocks = (m + height - 1) / height;
    for (long block = 0; block < blocks; block++, a += height * lda, c += height * ldc)
        switch (minimum(m - height * block, height)) {
        case 1: tile(height, 1, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 2: tile(height, 2, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 3: tile(height, 3, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 4: tile(height, 4, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 5: tile(height, 5, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 6: tile(height, 6, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        case 7: tile(height, 7, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks); break;
        default: tile(height, 8, columns, k, a, lda, b, at, ldb, c, ldc, adding, is_bf16, block, blocks);
        }
}

/// The largest number of words of a that stay in the first-level cache.
enum { cachedWords = 8192 };

INLINE void product(
    long m, long n, long k, const float *a, long lda, const void *b, long ldb, float *c, long ldc, int adding,
    const int is_bf16) {
    long j = 0;
    const int isCached = m * k <= cachedWords * TERMS;
    if (m <= 4 || (m <= 8 && isCached))
        for (; j < n; j++) switch (m) {
            case 1: column_of(1, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 2: column_of(2, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 3: column_of(3, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 4: column_of(4, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 5: column_of(5, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 6: column_of(6, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            case 7: column_of(7, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16); break;
            default: column_of(8, k, a, lda, b, j * ldb, c + j, ldc, adding, is_bf16);
            }
    // If a is in the second-level cache, each row is read for six columns at a time, because that cache would be the
    // limit.
    if (!isCached)
        for (; j + 6 <= n; j += 6) columns_of(4, 6, m, k, a, lda, b, j * ldb, ldb, c + j, ldc, adding, is_bf16);
    for (; j + 3 <= n; j += 3) columns_of(8, 3, m, k, a, lda, b, j * ldb, ldb, c + j, ldc, adding, is_bf16);
    for (; j < n; j++) columns_of(8, 1, m, k, a, lda, b, j * ldb, ldb, c + j, ldc, adding, is_bf16);
}

KERNEL static void skinny_gemm_nt(
    long m, long n, long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int adding) {
    product(m, n, k, a, lda, b, ldb, c, ldc, adding, 0);
}

KERNEL static void skinny_gemm_nt_bf16(
    long m, long n, long k, const float *a, long lda, const uint16_t *b, long ldb, float *c, long ldc, int adding) {
    product(m, n, k, a, lda, b, ldb, c, ldc, adding, 1);
}
