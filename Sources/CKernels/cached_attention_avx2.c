#include "ckernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define KERNEL __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline)) KERNEL
#define WIDTH 8
#define BLOCK 2

typedef __m256 vector;
INLINE vector load(const float *p) { return _mm256_loadu_ps(p); }
INLINE vector widen(const uint16_t *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE void store(float *p, vector v) { _mm256_storeu_ps(p, v); }
INLINE vector broadcast(float x) { return _mm256_set1_ps(x); }
INLINE vector multiply(vector a, vector b) { return _mm256_mul_ps(a, b); }
INLINE vector add(vector a, vector b) { return _mm256_add_ps(a, b); }

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

const struct ckpt_cached_attention_kernels ckpt_cached_attention_avx2 = {scores_fp32, add_values_fp32};
const struct ckpt_cached_attention_kernels ckpt_cached_attention_bf16_avx2 = {scores_bf16, add_values_bf16};

#endif
