#include "ckernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define INLINE static inline __attribute__((always_inline)) KERNEL
#define WIDTH 16
#define BLOCK 4

typedef __m512 vector;
INLINE vector load(const float *p) { return _mm512_loadu_ps(p); }
INLINE void store(float *p, vector v) { _mm512_storeu_ps(p, v); }
INLINE vector broadcast(float x) { return _mm512_set1_ps(x); }
INLINE vector multiply(vector a, vector b) { return _mm512_mul_ps(a, b); }
INLINE vector add(vector a, vector b) { return _mm512_add_ps(a, b); }

#include "cached_attention.h"

const struct ckpt_cached_attention_kernels ckpt_cached_attention_avx512 = {scores, add_values};

#endif
