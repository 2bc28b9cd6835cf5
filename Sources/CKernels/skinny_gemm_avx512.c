#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define WIDTH 16
#include "tiles.h"

#define TERMS 1

INLINE __m512 weights(const float *b, uint32_t mask) { return _mm512_maskz_loadu_ps((__mmask16)mask, b); }
INLINE __m512 bf16_weights(const uint16_t *b, uint32_t mask) {
    const __m256i halves = mask == 0xFFFF ? _mm256_loadu_si256((const __m256i *)b)
                                          : _mm256_maskz_loadu_epi16((__mmask16)mask, b);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
INLINE __m512 multiply_add(__m512 x, __m512 y, __m512 sum) { return _mm512_fmadd_ps(x, y, sum); }

#include "skinny_gemm.h"

const struct ckpt_skinny_gemm_kernels ckpt_skinny_gemm_avx512 = {16, 1 << 17, skinny_gemm_nt, skinny_gemm_nt_bf16, 0};

#endif
