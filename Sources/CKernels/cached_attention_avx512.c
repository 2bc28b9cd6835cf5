#include "ckernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define INLINE static inline __attribute__((always_inline)) KERNEL
#define WIDTH 16
#define BLOCK 4

typedef __m512 vector;
INLINE vector load(const float *p) { return _mm512_loadu_ps(p); }
INLINE vector widen(const uint16_t *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
INLINE void store(float *p, vector v) { _mm512_storeu_ps(p, v); }
INLINE vector broadcast(float x) { return _mm512_set1_ps(x); }
INLINE vector multiply(vector a, vector b) { return _mm512_mul_ps(a, b); }
INLINE vector add(vector a, vector b) { return _mm512_add_ps(a, b); }

#define ELEMENT float
#define NAME(x) x##_fp32
#define load_cached load
#include "cached_attention.h"
#undef ELEMENT
#undef NAME
#undef load_cached

#define ELEMENT uint16_t
#define NAME(x) x##_bf16
#define load_cached widen
#include "cached_attention.h"

const struct ckpt_cached_attention_kernels ckpt_cached_attention_avx512 = {scores_fp32, add_values_fp32};
const struct ckpt_cached_attention_kernels ckpt_cached_attention_bf16_avx512 = {scores_bf16, add_values_bf16};

#endif
