#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define WIDTH 16
#include "tiles.h"

#define TERMS 2

INLINE __m512 weights(const float *b, uint32_t mask) {
    return (__m512)_mm512_cvtne2ps_pbh(
        _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), b + 16), _mm512_maskz_loadu_ps((__mmask16)mask, b));
}
INLINE __m512 bf16_weights(const uint16_t *b, uint32_t mask) {
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, b));
}
INLINE __m512 multiply_add(__m512 x, __m512 y, __m512 sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
}

#include "skinny_gemm.h"

KERNEL static void round_rows(long m, long k, const float *a, long lda, float *out) {
    for (long i = 0; i < m; i++, a += lda)
        for (long l = 0; l < k; l += 32, out += 16) {
            const uint32_t mask = k - l >= 32 ? 0xFFFFFFFF : (1u << (k - l)) - 1;
            _mm512_storeu_ps(out, weights(a + l, mask));
        }
}

const struct ckpt_skinny_gemm_kernels ckpt_skinny_gemm_bf16_avx512 = {
    16, 1 << 17, skinny_gemm_nt, skinny_gemm_nt_bf16, round_rows};

#endif
