#include "ckernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL __attribute__((target("avx2")))
#define PART static inline __attribute__((always_inline)) KERNEL
#define WIDTH 8
#define BLOCK 2

typedef __m256 vector;
PART vector load(const float *p) { return _mm256_loadu_ps(p); }
PART void store(float *p, vector v) { _mm256_storeu_ps(p, v); }
PART vector broadcast(float x) { return _mm256_set1_ps(x); }
PART vector multiply(vector a, vector b) { return _mm256_mul_ps(a, b); }
PART vector add(vector a, vector b) { return _mm256_add_ps(a, b); }

#include "pages.h"

const struct ckpt_page_kernels ckpt_pages_avx2 = {scores, values};

#endif
