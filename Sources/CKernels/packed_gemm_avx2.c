#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx2,fma"
#define WIDTH 8
#include "tiles.h"

#define TERMS 1
#define COLUMNS 16

INLINE __m256 load_eight(const float *p) { return _mm256_loadu_ps(p); }
INLINE __m256 load_eight_bf16(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE __m256 load_across(const float *p, long stride) { return _mm256_loadu_ps(p); }
INLINE float word(float first, float second) { return first; }
INLINE __m256 multiply_add_eight(__m256 x, __m256 y, __m256 sum) { return _mm256_fmadd_ps(x, y, sum); }

INLINE void product_tile(long words, const float *left, const float *right, float *c, long ldc, const int adding) {
    tile16(6, columnMajor, words, left, 6, right, 16, c, ldc, adding);
}

#include "packed_gemm.h"
#include "few_rows_gemm.h"

const struct ckpt_packed_gemm_kernels ckpt_packed_gemm_avx2 = PACKED_GEMM_KERNELS;
const struct ckpt_packed_left_gemm_kernels ckpt_few_rows_gemm_avx2 = FEW_ROWS_GEMM_KERNELS;

#endif
