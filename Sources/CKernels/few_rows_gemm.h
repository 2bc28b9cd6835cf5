// Products for at most eight rows of the left factor. Eight columns of weights are transposed in registers as they come
// from memory, so that a vector holds a word of each, which is multiplied with one word of every row: sums have the
// order of those of packed_gemm.h. The including file defines what that file requires, and
// `multiply_add_eight(x, y, sum)`.
#include "ckernels.h"

enum { fewRows = 8 };

/// Eight words of a row of k terms in float32 (b) or bfloat16 (b16), from term l on.
INLINE __m256 eight_words(const float *b, const uint16_t *b16, long l, long k) {
    if (l + 8 * TERMS <= k) return b ? load_eight(b + l) : load_eight_bf16(b16 + l);
    float words[8];
    for (long i = 0; i < 8; i++, l += TERMS) words[i] = l < k ? right_word(b, b16, l, 1, l + TERMS <= k) : 0;
    return _mm256_loadu_ps(words);
}

/// Packs rows as [words][fewRows], with words a multiple of eight, padded with zeros.
KERNEL static void pack_few_rows(long m, long k, const float *a, long lda, long first, long last, float *out) {
    for (long l = first; l < last; l += 8 * TERMS) {
        __m256 r[8], t[8];
#pragma unroll
        for (int row = 0; row < 8; row++) r[row] = row < m ? eight_words(a + row * lda, 0, l, k) : _mm256_setzero_ps();
        transpose8(r, t);
#pragma unroll
        for (int word = 0; word < 8; word++) _mm256_storeu_ps(out + (l / TERMS + word) * fewRows, t[word]);
    }
}

/// Four words from `low` in the lower lane and four from `high` in the upper one.
INLINE __m256 two_quarters(const char *low, const char *high) {
    return _mm256_insertf128_ps(
        _mm256_castps128_ps256(_mm_loadu_ps((const float *)low)), _mm_loadu_ps((const float *)high), 1);
}

/// Eight columns of words from their bytes: t[i] has word i of each. Half of a transposition is done by loads, which
/// have units of their own.
INLINE void transposed_columns(const char *words, long columnBytes, __m256 t[8]) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        __m256 r[4], s[4];
#pragma unroll
        for (int j = 0; j < 4; j++)
            r[j] = two_quarters(words + 16 * half + j * columnBytes, words + 16 * half + (j + 4) * columnBytes);
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
            s[j] = _mm256_unpacklo_ps(r[j], r[j + 1]);
            s[j + 1] = _mm256_unpackhi_ps(r[j], r[j + 1]);
        }
        t[4 * half] = _mm256_shuffle_ps(s[0], s[2], 0x44);
        t[4 * half + 1] = _mm256_shuffle_ps(s[0], s[2], 0xEE);
        t[4 * half + 2] = _mm256_shuffle_ps(s[1], s[3], 0x44);
        t[4 * half + 3] = _mm256_shuffle_ps(s[1], s[3], 0xEE);
    }
}

/// Words l / TERMS and the seven after it of eight columns, of which `columns` exist: t[i] has word i of each.
INLINE void words_of_columns(
    long columns, const float *b, const uint16_t *b16, long ldb, long l, long k, __m256 t[8]) {
    // In these formats a word in memory is a word in a register.
    const int plain = TERMS == 1 ? b != 0 : b == 0;
    if (plain && columns >= 8 && l + 8 * TERMS <= k) {
        const long bytes = b ? sizeof *b : sizeof *b16;
        transposed_columns(b ? (const char *)(b + l) : (const char *)(b16 + l), ldb * bytes, t);
        return;
    }
    __m256 r[8];
#pragma unroll
    for (int j = 0; j < 8; j++)
        r[j] = j < columns ? eight_words(b ? b + j * ldb : 0, b ? 0 : b16 + j * ldb, l, k) : _mm256_setzero_ps();
    transpose8(r, t);
}

/// Computes 8 * `groups` columns, of which `columns` exist.
INLINE void few_rows_tile(
    const int rows, const int groups, long columns, long k, const float *a, const float *b, const uint16_t *b16,
    long ldb, float *c, long ldc, int adding) {
    __m256 sums[fewRows][2];
#pragma unroll
    for (int i = 0; i < rows; i++)
#pragma unroll
        for (int group = 0; group < groups; group++) sums[i][group] = _mm256_setzero_ps();
    for (long l = 0; l < k; l += 8 * TERMS) {
        // Rows of weights are too short for hardware prefetching; the first-level cache is too small for two tiles.
        if (l % (b ? 16 : 32) == 0)
#pragma unroll
            for (int column = 0; column < 8 * groups; column++) {
                const long next = (column + 8 * groups) * ldb + l;
                _mm_prefetch(b ? (const char *)(b + next) : (const char *)(b16 + next), _MM_HINT_T1);
            }
#pragma unroll
        for (int group = 0; group < groups; group++) {
            __m256 words[8];
            words_of_columns(
                columns - 8 * group, b ? b + 8 * group * ldb : 0, b ? 0 : b16 + 8 * group * ldb, ldb, l, k, words);
#pragma unroll
            for (int i = 0; i < 8; i++)
#pragma unroll
                for (int row = 0; row < rows; row++) {
                    const __m256 x = _mm256_broadcast_ss(a + i * fewRows + row);
                    sums[row][group] = multiply_add_eight(x, words[i], sums[row][group]);
                }
        }
        a += 8 * fewRows;
    }
#pragma unroll
    for (int row = 0; row < rows; row++)
#pragma unroll
        for (int group = 0; group < groups; group++) {
            float *at = c + row * ldc + group * 8;
            if (columns >= group * 8 + 8) {
                const __m256 sum = sums[row][group];
                _mm256_storeu_ps(at, adding ? _mm256_add_ps(sum, _mm256_loadu_ps(at)) : sum);
                continue;
            }
            float edge[8];
            _mm256_storeu_ps(edge, sums[row][group]);
            for (long j = 0; j < columns - group * 8; j++) at[j] = adding ? edge[j] + at[j] : edge[j];
        }
}

/// Every group of columns is a chain of dependent additions for each row, so few rows take two. With four groups, 32
/// streams of weights, one and two rows were a tenth slower.
INLINE void few_rows_columns(
    const int rows, long n, long k, const float *a, const float *b, const uint16_t *b16, long ldb, float *c, long ldc,
    int adding) {
    const int groups = rows <= 4 ? 2 : 1;
    for (long j = 0; j < n; j += 8 * groups) {
        const float *own = b ? b + j * ldb : 0;
        const uint16_t *own16 = b ? 0 : b16 + j * ldb;
        if (n - j >= 8 * groups) few_rows_tile(rows, groups, 8 * groups, k, a, own, own16, ldb, c + j, ldc, adding);
        else few_rows_tile(rows, groups, n - j, k, a, own, own16, ldb, c + j, ldc, adding);
    }
}

INLINE void few_rows_product(
    long m, long n, long k, const float *a, const float *b, const uint16_t *b16, long ldb, float *c, long ldc,
    int adding) {
    switch (m) {
    case 1: few_rows_columns(1, n, k, a, b, b16, ldb, c, ldc, adding); break;
    case 2: few_rows_columns(2, n, k, a, b, b16, ldb, c, ldc, adding); break;
    case 3: few_rows_columns(3, n, k, a, b, b16, ldb, c, ldc, adding); break;
    case 4: few_rows_columns(4, n, k, a, b, b16, ldb, c, ldc, adding); break;
    case 5: few_rows_columns(5, n, k, a, b, b16, ldb, c, ldc, adding); break;
    case 6: few_rows_columns(6, n, k, a, b, b16, ldb, c, ldc, adding); break;
    case 7: few_rows_columns(7, n, k, a, b, b16, ldb, c, ldc, adding); break;
    default: few_rows_columns(8, n, k, a, b, b16, ldb, c, ldc, adding);
    }
}

KERNEL static void few_rows_gemm_nt(
    long m, long n, long k, const float *packed, const float *b, long ldb, float *c, long ldc, int adding) {
    few_rows_product(m, n, k, packed, b, 0, ldb, c, ldc, adding);
}

KERNEL static void few_rows_gemm_nt_bf16(
    long m, long n, long k, const float *packed, const uint16_t *b, long ldb, float *c, long ldc, int adding) {
    few_rows_product(m, n, k, packed, 0, b, ldb, c, ldc, adding);
}

#define FEW_ROWS_GEMM_KERNELS \
    {fewRows, fewRows, 8 * TERMS, pack_few_rows, few_rows_gemm_nt, few_rows_gemm_nt_bf16}
