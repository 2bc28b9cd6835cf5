// Tiles of matrix products that stay in registers, used by the other kernels.
//
// The including file defines the instruction set: TARGET, for the compiler's attribute, and WIDTH, 8 or 16 floats in a
// vector.
#pragma once

#include <immintrin.h>
#include <stdint.h>

#define KERNEL __attribute__((target(TARGET)))
// Inlined everywhere, so that sizes and flags are constants.
#define INLINE static inline __attribute__((always_inline)) KERNEL

static inline long minimum(long a, long b) { return a < b ? a : b; }

/// t[l][i] = r[i][l].
INLINE void transpose8(__m256 r[8], __m256 t[8]) {
    __m256 s[8];
#pragma unroll
    for (int i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma unroll
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xEE);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
}

INLINE float horizontal_sum(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/// `horizontal_sum` of eight vectors at once, with the same bits.
INLINE __m256 eight_horizontal_sums(const __m256 v[8]) {
    __m256 four[4], two[2];
#pragma unroll
    for (int i = 0; i < 4; i++)
        four[i] = _mm256_add_ps(
            _mm256_permute2f128_ps(v[i], v[i + 4], 0x20), _mm256_permute2f128_ps(v[i], v[i + 4], 0x31));
#pragma unroll
    for (int i = 0; i < 2; i++)
        two[i] = _mm256_add_ps(
            _mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0x44),
            _mm256_shuffle_ps(four[2 * i], four[2 * i + 1], 0xEE));
    return _mm256_add_ps(_mm256_shuffle_ps(two[0], two[1], 0x88), _mm256_shuffle_ps(two[0], two[1], 0xDD));
}

/// The memory layout of a tile's left factor.
enum {
    rowMajor,    // a[i, l] at a[i * stride + l]
    columnMajor  // a[i, l] at a[l * stride + i]
};

#if WIDTH == 8

/// Rows of a tile: its twelve sums, two vectors of b and one of a use 15 of the 16 registers.
enum { tileRows = 6 };

/// c[rows, 16] = (adding ? c : 0) + a b for at most `tileRows` rows. Row l of b starts at b + l * b_row.
INLINE void tile16(
    const int rows, const int layout, long k, const float *a, long stride, const float *b, long b_row, float *c,
    long ldc, const int adding) {
    __m256 sums[6][2];
#pragma unroll
    for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = _mm256_setzero_ps();
    const float *low = a, *high = a + (layout == rowMajor ? 3 * stride : 3);
    const long step = layout == rowMajor ? 1 : stride, row = layout == rowMajor ? stride : 1;
#pragma unroll 4
    for (long l = 0; l < k; l++) {
        const __m256 left = _mm256_loadu_ps(b), right = _mm256_loadu_ps(b + 8);
#pragma unroll
        for (int i = 0; i < rows; i++) {
            const __m256 x = _mm256_broadcast_ss(i < 3 ? low + i * row : high + (i - 3) * row);
            sums[i][0] = _mm256_fmadd_ps(x, left, sums[i][0]);
            sums[i][1] = _mm256_fmadd_ps(x, right, sums[i][1]);
        }
        low += step;
        high += step;
        b += b_row;
        // Keeps the compiler from using more addresses and loading further ahead than there are registers for.
        __asm__("" : "+r"(low), "+r"(high), "+r"(b));
    }
#pragma unroll
    for (int i = 0; i < rows; i++) {
        float *at = c + i * ldc;
        if (adding) {
            sums[i][0] = _mm256_add_ps(sums[i][0], _mm256_loadu_ps(at));
            sums[i][1] = _mm256_add_ps(sums[i][1], _mm256_loadu_ps(at + 8));
        }
        _mm256_storeu_ps(at, sums[i][0]);
        _mm256_storeu_ps(at + 8, sums[i][1]);
    }
}

#else

/// Rows of a tile: enough sums for two units with a latency of four cycles.
enum { tileRows = 12 };

/// c[rows, 16] = (adding ? c : 0) + a b for at most `tileRows` rows. Row l of b starts at b + l * b_row.
INLINE void tile16(
    const int rows, const int layout, long k, const float *a, long stride, const float *b, long b_row, float *c,
    long ldc, const int adding) {
    __m512 sums[12];
#pragma unroll
    for (int i = 0; i < rows; i++) sums[i] = _mm512_setzero_ps();
    const long step = layout == rowMajor ? 1 : stride, row = layout == rowMajor ? stride : 1;
    const float *first = a, *second = a + 3 * row, *third = a + 6 * row, *fourth = a + 9 * row;
#pragma unroll 4
    for (long l = 0; l < k; l++) {
        const __m512 right = _mm512_loadu_ps(b);
#pragma unroll
        for (int i = 0; i < rows; i++) {
            const float *from = i < 3 ? first : i < 6 ? second : i < 9 ? third : fourth;
            sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(from[i % 3 * row]), right, sums[i]);
        }
        first += step;
        second += step;
        third += step;
        fourth += step;
        b += b_row;
        __asm__("" : "+r"(first), "+r"(second), "+r"(third), "+r"(fourth), "+r"(b));
    }
#pragma unroll
    for (int i = 0; i < rows; i++) {
        float *at = c + i * ldc;
        if (adding) sums[i] = _mm512_add_ps(sums[i], _mm512_loadu_ps(at));
        _mm512_storeu_ps(at, sums[i]);
    }
}

#endif

/// `tile16` for `rows` rows, but at most `tileRows`.
INLINE void tile16_of(
    long rows, const int layout, long k, const float *a, long stride, const float *b, long b_row, float *c, long ldc,
    const int adding) {
    switch (minimum(rows, tileRows)) {
    case 1: tile16(1, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 2: tile16(2, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 3: tile16(3, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 4: tile16(4, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 5: tile16(5, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 6: tile16(6, layout, k, a, stride, b, b_row, c, ldc, adding); break;
#if WIDTH == 16
    case 7: tile16(7, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 8: tile16(8, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 9: tile16(9, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 10: tile16(10, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    case 11: tile16(11, layout, k, a, stride, b, b_row, c, ldc, adding); break;
    default: tile16(12, layout, k, a, stride, b, b_row, c, ldc, adding);
#endif
    }
}
