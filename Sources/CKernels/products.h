// Large products of packed factors, for whatever instructions the including file is about. It defines, beside what tiles.h
// asks for:
//
//   TERMS      terms of a sum in a word of 32 bits: 1 (float) or 2 (bfloat16)
//   COLUMNS    columns of a tile, whose rows are `tileRows`
//   along(p)            eight words from p on: __m256 of p[0], p[1], …
//   along_compact(p)    the same of bfloat16
//   across(p, stride)   a word each of WIDTH columns: p[i], and p[stride + i] where a word has two terms
//   word(first, second) a word of one or two numbers
//   product_tile(words, left, right, c, ldc, adding)    c[tileRows, COLUMNS]
#include "ckernels.h"

/// Words of sums with so many terms.
static inline long words_of(long terms) { return (terms + TERMS - 1) / TERMS; }

/// Word l of a row (or column) of k numbers, `step` apart.
PART float word_at(const float *a, long step, long l, long k) {
    return word(a[l * TERMS * step], TERMS * (l + 1) <= k ? a[(l * TERMS + TERMS - 1) * step] : 0);
}

#if WIDTH == 8
PART __m256 load_words(const float *p) { return _mm256_loadu_ps(p); }
PART void store_words(float *p, __m256 w) { _mm256_storeu_ps(p, w); }
#else
PART __m512 load_words(const float *p) { return _mm512_loadu_ps(p); }
PART void store_words(float *p, __m512 w) { _mm512_storeu_ps(p, w); }
#endif

/// `tileRows` rows of the left factor as [words][tileRows], missing ones zero.
PART void left_panel(long rows, long k, const float *a, long lda, float *out) {
    const long words = words_of(k);
    long l = 0;
    if (rows == tileRows)
        // The last store of a word writes some numbers too many, which the next word writes over; the last words are left
        // for below.
        for (; l + 8 < k / TERMS; l += 8) {
            // The next rows are too short for the processor to ask for in time.
            if (l * TERMS % 16 == 0)
                for (long i = tileRows; i < 2 * tileRows; i++)
                    _mm_prefetch((const char *)(a + i * lda + l * TERMS), _MM_HINT_T0);
            __m256 t[(tileRows + 7) / 8][8];
#pragma unroll
            for (int part = 0; part < tileRows; part += 8) {
                __m256 r[8];
#pragma unroll
                for (int i = 0; i < 8; i++)
                    r[i] = part + i < tileRows ? along(a + (part + i) * lda + l * TERMS) : _mm256_setzero_ps();
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

/// The same of a transposed factor for all panels, four words of a column at a time: rows whose distance is a multiple of a
/// power of two would drive each other out of the caches before the next panel needed them.
PART void left_panels_across(long rows, long k, const float *a, long lda, float *out) {
    const long whole = rows / tileRows * tileRows, words = words_of(k);
    long l = 0;
    // As above, some numbers too many are stored (and read).
    for (; l + 4 < k / TERMS; l += 4) {
        const float *from = a + l * TERMS * lda;
        for (long i = 0; i < whole; i += tileRows) {
            float *to = out + i * words + l * tileRows;
#pragma unroll
            for (long j = 0; j < 4; j++) store_words(to + j * tileRows, across(from + j * TERMS * lda + i, lda));
        }
    }
    for (long first = 0; first < rows; first += tileRows)
        for (long rest = first < whole ? l : 0; rest < words; rest++)
            for (long i = 0; i < tileRows; i++)
                out[first * words + rest * tileRows + i] = first + i < rows ? word_at(a + first + i, lda, rest, k) : 0;
}

/// COLUMNS columns of the right factor, which lie together in b, as [words][COLUMNS], missing ones zero.
PART void right_panel_across(long columns, long k, const float *b, long ldb, float *out) {
    const long words = words_of(k);
    long l = 0;
    if (columns == COLUMNS)
        for (; l < k / TERMS; l++)
#pragma unroll
            for (int j = 0; j < COLUMNS; j += WIDTH)
                store_words(out + l * COLUMNS + j, across(b + l * TERMS * ldb + j, ldb));
    for (; l < words; l++)
        for (long j = 0; j < COLUMNS; j++) out[l * COLUMNS + j] = j < columns ? word_at(b + j, ldb, l, k) : 0;
}

PART float compact(const uint16_t *b) {
    union { uint32_t bits; float value; } wide = {(uint32_t)*b << 16};
    return wide.value;
}

/// The word of a right factor, floats or in bfloat16, that begins at an element.
PART float right_word(const float *b, const uint16_t *b16, long at, int isWhole) {
    const long last = at + TERMS - 1;
    return b ? word(b[at], isWhole ? b[last] : 0) : word(compact(b16 + at), isWhole ? compact(b16 + last) : 0);
}

/// The same of columns that lie apart, as floats or in bfloat16.
PART void right_panel_along(long columns, long k, const float *b, const uint16_t *b16, long ldb, float *out) {
    const long words = words_of(k);
    long l = 0;
    if (columns == COLUMNS)
        // Lines are taken whole: of rows in the wrong distance the first cache keeps only a few.
        for (; l + 16 <= k / TERMS; l += 16)
            for (long j = 0; j < COLUMNS; j += 8)
#pragma unroll
                for (long half = l; half < l + 16; half += 8) {
                    __m256 r[8], t[8];
#pragma unroll
                    for (int i = 0; i < 8; i++) {
                        const long at = (j + i) * ldb + half * TERMS;
                        r[i] = b ? along(b + at) : along_compact(b16 + at);
                    }
                    transpose8(r, t);
                    for (long i = 0; i < 8; i++) _mm256_storeu_ps(out + (half + i) * COLUMNS + j, t[i]);
                }
    for (; l < words; l++)
        for (long j = 0; j < COLUMNS; j++) {
            const long at = j * ldb + l * TERMS;
            out[l * COLUMNS + j] = j >= columns ? 0 : right_word(b, b16, at, TERMS * (l + 1) <= k);
        }
}

KERNEL static void pack_left(long rows, long k, const float *a, long lda, int transposed, float *out) {
    if (transposed) return left_panels_across(rows, k, a, lda, out);
    for (long i = 0; i < rows; i += tileRows, out += tileRows * words_of(k))
        left_panel(smaller(tileRows, rows - i), k, a + i * lda, lda, out);
}

KERNEL static void pack_right(long columns, long k, const float *b, long ldb, int transposed, float *out) {
    for (long j = 0; j < columns; j += COLUMNS, out += COLUMNS * words_of(k)) {
        if (transposed) right_panel_along(smaller(COLUMNS, columns - j), k, b + j * ldb, 0, ldb, out);
        else right_panel_across(smaller(COLUMNS, columns - j), k, b + j, ldb, out);
    }
}

KERNEL static void pack_right_compact(long columns, long k, const uint16_t *b, long ldb, float *out) {
    for (long j = 0; j < columns; j += COLUMNS, out += COLUMNS * words_of(k))
        right_panel_along(smaller(COLUMNS, columns - j), k, 0, b + j * ldb, ldb, out);
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
            for (long row = 0; row < smaller(tileRows, m - i); row++)
                for (long column = 0; column < smaller(COLUMNS, n - j); column++) {
                    const float sum = edge[row * COLUMNS + column];
                    at[row * ldc + column] = adding ? at[row * ldc + column] + sum : sum;
                }
        }
    }
}

#define PRODUCT_KERNELS {tileRows, COLUMNS, TERMS, pack_left, pack_right, pack_right_compact, multiply}
