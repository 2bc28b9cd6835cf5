#include "ckernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) KERNEL
#define WIDTH 8
#define BLOCK 2

typedef __m256 vector;
INLINE vector load(const float *p) { return _mm256_loadu_ps(p); }
INLINE void store(float *p, vector v) { _mm256_storeu_ps(p, v); }
INLINE vector broadcast(float x) { return _mm256_set1_ps(x); }
INLINE vector multiply(vector a, vector b) { return _mm256_mul_ps(a, b); }
INLINE vector add(vector a, vector b) { return _mm256_add_ps(a, b); }

#include "cached_attention.h"

const struct ckpt_cached_attention_kernels ckpt_cached_attention_avx2 = {scores, add_values};

#endif
