// Products with the left factor packed, in vectors of 16 words: a vector holds a word of 16 rows, and is multiplied
// with one word of weights, which are not packed. The including file defines what packed_gemm.h requires, and
// `multiply_add(x, y, sum)` for vectors of words; few_rows_gemm.h comes before.
#include "ckernels.h"

#include <string.h>

enum {
    tileSums = 24,
    tileVectors = 4,  // the largest number of vectors of rows in a tile
    /// Columns whose sums are gathered before they are written to the result, whose rows are far apart.
    gatheredColumns = 48,
    /// Sums are stored eight at a time, even if a tile has fewer.
    gatheredStride = gatheredColumns + 8,
    /// For more rows packing the weights too is at least as fast (docs/engine.md).
    mostPanelRows = 256,
};

static inline long vectors_of(long rows) { return (rows + 15) / 16; }

/// Rows of the next block: blocks are as few as possible and of equal size but for the last.
static inline long block_rows(long m) {
    const long blocks = (m + 16 * tileVectors - 1) / (16 * tileVectors);
    return minimum(m, (m + 16 * blocks - 1) / (16 * blocks) * 16);
}

/// Computes 16 * `vectors` rows and tileSums / `vectors` columns, of which `columns` exist, into out[rows,
/// gatheredStride].
INLINE void panel_tile(
    const int vectors, long columns, long k, const float *a, const float *b, const uint16_t *b16, long ldb,
    float *out) {
    const int width = tileSums / vectors;
    __m512 sums[tileSums];
#pragma unroll
    for (int i = 0; i < tileSums; i++) sums[i] = _mm512_setzero_ps();
    float words[tileSums * 8] __attribute__((aligned(64)));
    memset(words, 0, sizeof words);
    for (long l = 0; l < k; l += 8 * TERMS) {
#pragma unroll
        for (int j = 0; j < width; j++) {
            if (j >= columns) break;
            // Rows of weights are too short for hardware prefetching.
            const long next = (j + width) * ldb + l;
            _mm_prefetch(b ? (const char *)(b + next) : (const char *)(b16 + next), _MM_HINT_T0);
            _mm256_store_ps(words + j * 8, eight_words(b ? b + j * ldb : 0, b ? 0 : b16 + j * ldb, l, k));
        }
        const float *w = words;
#pragma unroll 4
        for (int i = 0; i < 8; i++) {
            __m512 x[tileVectors];
#pragma unroll
            for (int r = 0; r < vectors; r++) x[r] = _mm512_loadu_ps(a + r * 16);
#pragma unroll
            for (int j = 0; j < width; j++) {
                const __m512 y = _mm512_set1_ps(w[j * 8]);
#pragma unroll
                for (int r = 0; r < vectors; r++) sums[j * vectors + r] = multiply_add(x[r], y, sums[j * vectors + r]);
            }
            a += vectors * 16;
            w += 1;
            __asm__("" : "+r"(a), "+r"(w));
        }
    }
#pragma unroll
    for (int r = 0; r < vectors; r++)
#pragma unroll
        for (int first = 0; first < width; first += 8) {
            __m256 low[8], high[8], rows[8];
#pragma unroll
            for (int j = 0; j < 8; j++) {
                const __m512 sum = first + j < width ? sums[(first + j) * vectors + r] : _mm512_setzero_ps();
                low[j] = _mm512_castps512_ps256(sum);
                high[j] = _mm512_extractf32x8_ps(sum, 1);
            }
            float *to = out + r * 16 * gatheredStride + first;
            transpose8(low, rows);
#pragma unroll
            for (int i = 0; i < 8; i++) _mm256_storeu_ps(to + i * gatheredStride, rows[i]);
            transpose8(high, rows);
#pragma unroll
            for (int i = 0; i < 8; i++) _mm256_storeu_ps(to + (8 + i) * gatheredStride, rows[i]);
        }
}

/// Computes at most `gatheredColumns` columns.
INLINE void panel_columns(
    const int vectors, long columns, long k, const float *a, const float *b, const uint16_t *b16, long ldb,
    float *out) {
    const int width = tileSums / vectors;
    for (long j = 0; j < columns; j += width) {
        const float *own = b ? b + j * ldb : 0;
        const uint16_t *own16 = b ? 0 : b16 + j * ldb;
        if (columns - j >= width) panel_tile(vectors, width, k, a, own, own16, ldb, out + j);
        else panel_tile(vectors, columns - j, k, a, own, own16, ldb, out + j);
    }
}

INLINE void panel_product(
    long m, long n, long k, const float *a, const float *b, const uint16_t *b16, long ldb, float *c, long ldc,
    int adding) {
    const long words = ckpt_packed_left_words(k, 8 * TERMS);
    float sums[16 * tileVectors * gatheredStride];
    for (long j = 0; j < n; j += gatheredColumns) {
        const long columns = minimum(gatheredColumns, n - j);
        const float *own = b ? b + j * ldb : 0, *block = a;
        const uint16_t *own16 = b ? 0 : b16 + j * ldb;
        for (long i = 0, rows; i < m; i += rows, block += rows * words) {
            rows = block_rows(m - i);
            switch (vectors_of(rows)) {
            case 1: panel_columns(1, columns, k, block, own, own16, ldb, sums); break;
            case 2: panel_columns(2, columns, k, block, own, own16, ldb, sums); break;
            case 3: panel_columns(3, columns, k, block, own, own16, ldb, sums); break;
            default: panel_columns(4, columns, k, block, own, own16, ldb, sums);
            }
            for (long row = 0; row < rows; row++) {
                float *to = c + (i + row) * ldc + j;
                const float *from = sums + row * gatheredStride;
                for (long column = 0; column < columns; column += 16) {
                    const __mmask16 there = columns - column >= 16 ? 0xFFFF : (1 << (columns - column)) - 1;
                    __m512 sum = _mm512_loadu_ps(from + column);
                    if (adding) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(there, to + column));
                    _mm512_mask_storeu_ps(to + column, there, sum);
                }
            }
        }
    }
}

/// Packs blocks one after the other, each as [words][rows rounded up to vectors].
KERNEL static void pack_panels(long m, long k, const float *a, long lda, long first, long last, float *out) {
    const long words = ckpt_packed_left_words(k, 8 * TERMS);
    for (long i = 0, rows; i < m; i += rows, out += rows * words) {
        rows = block_rows(m - i);
        const long height = 16 * vectors_of(rows);
        for (long l = first; l < last; l += 8 * TERMS)
            for (long group = 0; group < height; group += 8) {
                __m256 r[8], t[8];
#pragma unroll
                for (int row = 0; row < 8; row++)
                    r[row] = group + row < rows ? eight_words(a + (i + group + row) * lda, 0, l, k)
                                                : _mm256_setzero_ps();
                transpose8(r, t);
#pragma unroll
                for (int word = 0; word < 8; word++)
                    _mm256_storeu_ps(out + (l / TERMS + word) * height + group, t[word]);
            }
    }
}

KERNEL static void packed_left_gemm_nt(
    long m, long n, long k, const float *packed, const float *b, long ldb, float *c, long ldc, int adding) {
    panel_product(m, n, k, packed, b, 0, ldb, c, ldc, adding);
}

KERNEL static void packed_left_gemm_nt_bf16(
    long m, long n, long k, const float *packed, const uint16_t *b, long ldb, float *c, long ldc, int adding) {
    panel_product(m, n, k, packed, 0, b, ldb, c, ldc, adding);
}

#define PACKED_LEFT_GEMM_KERNELS \
    {mostPanelRows, 16, 8 * TERMS, pack_panels, packed_left_gemm_nt, packed_left_gemm_nt_bf16}
