// Tiles of matrix products that stay in registers: what the kernels of this folder are made of.
#pragma once

#include <immintrin.h>

#define WIDE __attribute__((target("avx2,fma")))
// Everything is inlined into functions where sizes and flags are constants.
#define PART static inline __attribute__((always_inline)) WIDE

static inline long smaller(long a, long b) { return a < b ? a : b; }

/// t[l][i] = a[i, l] for eight rows, of which `rows` are there, and eight columns.
PART void transpose8(const int rows, const float *a, long stride, __m256 t[8]) {
    __m256 r[8], s[8];
#pragma unroll
    for (int i = 0; i < 8; i++) r[i] = i < rows ? _mm256_loadu_ps(a + i * stride) : _mm256_setzero_ps();
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

/// How the elements of a tile's left factor lie.
enum {
    rowsApart,    // a[i, l] at a[i * stride + l]
    rowsTogether  // a[i, l] at a[l * stride + i]
};

/// c[rows, 16] = (adding ? c : 0) + a b for at most six rows: with twelve sums, two vectors of b and one of a all 16
/// registers are in use. Row l of b starts at b + l * b_row.
PART void tile16(
    const int rows, const int lie, long k, const float *a, long stride, const float *b, long b_row, float *c, long ldc,
    const int adding) {
    __m256 sums[6][2];
#pragma unroll
    for (int i = 0; i < rows; i++) sums[i][0] = sums[i][1] = _mm256_setzero_ps();
    const float *low = a, *high = a + (lie == rowsApart ? 3 * stride : 3);
    const long step = lie == rowsApart ? 1 : stride, row = lie == rowsApart ? stride : 1;
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
        // Otherwise the compiler keeps six addresses and loads ahead, more than there are registers for.
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

/// `tile16` for as many rows as are left, up to six.
PART void tile16_of(
    long rows, const int lie, long k, const float *a, long stride, const float *b, long b_row, float *c, long ldc,
    const int adding) {
    switch (rows) {
    case 1: tile16(1, lie, k, a, stride, b, b_row, c, ldc, adding); break;
    case 2: tile16(2, lie, k, a, stride, b, b_row, c, ldc, adding); break;
    case 3: tile16(3, lie, k, a, stride, b, b_row, c, ldc, adding); break;
    case 4: tile16(4, lie, k, a, stride, b, b_row, c, ldc, adding); break;
    case 5: tile16(5, lie, k, a, stride, b, b_row, c, ldc, adding); break;
    default: tile16(6, lie, k, a, stride, b, b_row, c, ldc, adding);
    }
}
