#include "ckernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define PART static inline __attribute__((always_inline)) KERNEL
#define WIDTH 16
#define BLOCK 4

typedef __m512 vector;
PART vector load(const float *p) { return _mm512_loadu_ps(p); }
PART void store(float *p, vector v) { _mm512_storeu_ps(p, v); }
PART vector broadcast(float x) { return _mm512_set1_ps(x); }
PART vector multiply(vector a, vector b) { return _mm512_mul_ps(a, b); }
PART vector add(vector a, vector b) { return _mm512_add_ps(a, b); }

#include "pages.h"

const struct ckpt_page_kernels ckpt_pages_avx512 = {scores, values};

#endif
