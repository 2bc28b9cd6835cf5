#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define WIDTH 16
#include "tiles.h"

#define TERMS 1
#define COLUMNS 32

INLINE __m256 load_eight(const float *p) { return _mm256_loadu_ps(p); }
INLINE __m256 load_eight_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE __m512 load_across(const float *p, long stride) { return _mm512_loadu_ps(p); }
INLINE float word(float first, float second) { return first; }
INLINE __m256 multiply_add_eight(__m256 x, __m256 y, __m256 sum) { return _mm256_fmadd_ps(x, y, sum); }
INLINE __m512 multiply_add(__m512 x, __m512 y, __m512 sum) { return _mm512_fmadd_ps(x, y, sum); }

#include "packed_gemm_tile_avx512.h"

#include "packed_gemm.h"
#include "few_rows_gemm.h"
#include "packed_left_gemm.h"

const struct ckpt_packed_gemm_kernels ckpt_packed_gemm_avx512 = PACKED_GEMM_KERNELS;
const struct ckpt_packed_left_gemm_kernels ckpt_few_rows_gemm_avx512 = FEW_ROWS_GEMM_KERNELS;
const struct ckpt_packed_left_gemm_kernels ckpt_packed_left_gemm_avx512 = PACKED_LEFT_GEMM_KERNELS;

#endif
