// The tile of packed_gemm.h in vectors of 16 words. The including file defines `multiply_add(x, y, sum)` for vectors of
// words.

/// c[12, 32] = (adding ? c : 0) + left right, packed as [words][12] and [words][32]. The 24 sums, two vectors of the
/// right factor and one of the left use 27 of the 32 registers.
INLINE void product_tile(long words, const float *left, const float *right, float *c, long ldc, const int adding) {
    __m512 sums[12][2];
#pragma unroll
    for (int i = 0; i < 12; i++) sums[i][0] = sums[i][1] = _mm512_setzero_ps();
#pragma unroll 2
    for (long l = 0; l < words; l++) {
        const __m512 low = _mm512_loadu_ps(right), high = _mm512_loadu_ps(right + 16);
#pragma unroll
        for (int i = 0; i < 12; i++) {
            const __m512 x = _mm512_set1_ps(left[i]);
            sums[i][0] = multiply_add(x, low, sums[i][0]);
            sums[i][1] = multiply_add(x, high, sums[i][1]);
        }
        left += 12;
        right += 32;
        __asm__("" : "+r"(left), "+r"(right));
    }
#pragma unroll
    for (int i = 0; i < 12; i++) {
        float *at = c + i * ldc;
        if (adding) {
            sums[i][0] = _mm512_add_ps(sums[i][0], _mm512_loadu_ps(at));
            sums[i][1] = _mm512_add_ps(sums[i][1], _mm512_loadu_ps(at + 16));
        }
        _mm512_storeu_ps(at, sums[i][0]);
        _mm512_storeu_ps(at + 16, sums[i][1]);
    }
}
