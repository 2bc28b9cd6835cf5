#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define WIDTH 16
#include "tiles.h"

#define TERMS 1
#define COLUMNS 32

PART __m256 along(const float *p) { return _mm256_loadu_ps(p); }
PART __m256 along_compact(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
PART __m512 across(const float *p, long stride) { return _mm512_loadu_ps(p); }
PART float word(float first, float second) { return first; }
PART __m512 multiply_add(__m512 x, __m512 y, __m512 sum) { return _mm512_fmadd_ps(x, y, sum); }

#include "tile32.h"

#include "products.h"
#include "panels.h"

const struct ckpt_product_kernels ckpt_products_avx512 = PRODUCT_KERNELS;
const struct ckpt_panel_kernels ckpt_panels_avx512 = PANEL_KERNELS;

#endif
