#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define WIDTH 16
#include "tiles.h"

// A word holds two consecutive terms of a sum, rounded to nearest even; one instruction multiplies and adds both.
#define TERMS 2
#define COLUMNS 32

INLINE __m256 load_eight(const float *p) { return (__m256)_mm512_cvtneps_pbh(_mm512_loadu_ps(p)); }
INLINE __m256 load_eight_bf16(const uint16_t *p) { return _mm256_loadu_ps((const float *)p); }
INLINE __m512 load_across(const float *p, long stride) {
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(p + stride), _mm512_loadu_ps(p));
    const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(both));
    const __m512i high = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(both, 1));
    return _mm512_castsi512_ps(_mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}
INLINE float word(float first, float second) {
    const __m128bh both = _mm_cvtne2ps_pbh(_mm_set_ss(second), _mm_set_ss(first));
    union { uint64_t halves[2]; __m128i all; } bits = {.all = (__m128i)both};
    union { uint32_t bits; float value; } pair = {
        (uint32_t)(bits.halves[0] & 0xFFFF) | (uint32_t)(bits.halves[1] & 0xFFFF) << 16};
    return pair.value;
}
INLINE __m512 multiply_add(__m512 x, __m512 y, __m512 sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)y);
}

INLINE __m256 multiply_add_eight(__m256 x, __m256 y, __m256 sum) {
    return _mm256_dpbf16_ps(sum, (__m256bh)x, (__m256bh)y);
}

#include "packed_gemm_tile_avx512.h"

#include "packed_gemm.h"
#include "few_rows_gemm.h"
#include "packed_left_gemm.h"

const struct ckpt_packed_gemm_kernels ckpt_packed_gemm_bf16_avx512 = PACKED_GEMM_KERNELS;
const struct ckpt_packed_left_gemm_kernels ckpt_few_rows_gemm_bf16_avx512 = FEW_ROWS_GEMM_KERNELS;
const struct ckpt_packed_left_gemm_kernels ckpt_packed_left_gemm_bf16_avx512 = PACKED_LEFT_GEMM_KERNELS;

#endif
