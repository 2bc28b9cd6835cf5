#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx2,fma"
#define WIDTH 8
#include "tiles.h"

#define TERMS 1
#define COLUMNS 16

PART __m256 along(const float *p) { return _mm256_loadu_ps(p); }
PART __m256 along_compact(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
PART __m256 across(const float *p, long stride) { return _mm256_loadu_ps(p); }
PART float word(float first, float second) { return first; }

PART void product_tile(long words, const float *left, const float *right, float *c, long ldc, const int adding) {
    tile16(6, rowsTogether, words, left, 6, right, 16, c, ldc, adding);
}

#include "products.h"

const struct ckpt_product_kernels ckpt_products_avx2 = PRODUCT_KERNELS;

#endif
