#include "wide_vectors.h"

#if defined(__x86_64__)

#include <immintrin.h>

// Without fused multiply-add, in the order of the loops that these stand in for: the bits are the same.
#define LOOP __attribute__((target("avx2")))
#define PART static inline __attribute__((always_inline)) LOOP

/// `exponential` of VectorMath.swift.
PART __m256 exponential(__m256 x) {
    const __m256 low = _mm256_set1_ps(-87.3f), high = _mm256_set1_ps(88);
    __m256 y = _mm256_blendv_ps(x, low, _mm256_cmp_ps(x, low, _CMP_LT_OQ));
    y = _mm256_blendv_ps(y, high, _mm256_cmp_ps(y, high, _CMP_GT_OQ));
    const __m256 shift = _mm256_set1_ps(12582912);
    const __m256 shifted = _mm256_add_ps(_mm256_mul_ps(y, _mm256_set1_ps(1.44269504f)), shift);
    const __m256 n = _mm256_sub_ps(shifted, shift);
    const __m256 coarse = _mm256_sub_ps(y, _mm256_mul_ps(n, _mm256_set1_ps(0.69314575f)));
    const __m256 r = _mm256_sub_ps(coarse, _mm256_mul_ps(n, _mm256_set1_ps(1.4286068e-6f)));
    __m256 p = _mm256_add_ps(_mm256_mul_ps(r, _mm256_set1_ps(0.0013814544f)), _mm256_set1_ps(0.008368745f));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(0.04166839f));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(0.16666521f));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(0.49999994f));
    p = _mm256_add_ps(_mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r), _mm256_set1_ps(1));
    const __m256i scale = _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(scale));
}

LOOP void ckpt_exponentials(const float *x, float scale, float offset, float *y, long count, float *sums) {
    const __m256 factor = _mm256_set1_ps(scale), minus = _mm256_set1_ps(offset);
    __m256 sum = _mm256_setzero_ps();
    for (long i = 0; i < count; i += 8) {
        const __m256 e = exponential(_mm256_sub_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor), minus));
        _mm256_storeu_ps(y + i, e);
        sum = _mm256_add_ps(sum, e);
    }
    _mm256_storeu_ps(sums, sum);
}

LOOP void ckpt_softmax_sums(const float *x, float scale, float top, long count, float *sums, float *weighted) {
    const __m256 factor = _mm256_set1_ps(scale), minus = _mm256_set1_ps(top);
    __m256 sum = _mm256_setzero_ps(), with = _mm256_setzero_ps();
    for (long i = 0; i < count; i += 8) {
        const __m256 d = _mm256_sub_ps(_mm256_mul_ps(_mm256_loadu_ps(x + i), factor), minus);
        const __m256 e = exponential(d);
        sum = _mm256_add_ps(sum, e);
        with = _mm256_add_ps(with, _mm256_mul_ps(e, d));
    }
    _mm256_storeu_ps(sums, sum);
    _mm256_storeu_ps(weighted, with);
}

LOOP void ckpt_log_probability_gradients(
    float *z, float scale, float normalizer, float direct, float base, float spread, long count) {
    const __m256 factor = _mm256_set1_ps(scale), minus = _mm256_set1_ps(normalizer);
    const __m256 away = _mm256_set1_ps(-direct), from = _mm256_set1_ps(base), by = _mm256_set1_ps(spread);
    const __m256 sign = _mm256_set1_ps(-0.0f);
    for (long i = 0; i < count; i += 8) {
        const __m256 logp = _mm256_sub_ps(_mm256_mul_ps(_mm256_loadu_ps(z + i), factor), minus);
        const __m256 p = exponential(logp);
        const __m256 slope =
            spread == 0 ? away : _mm256_xor_ps(sign, _mm256_add_ps(from, _mm256_mul_ps(by, logp)));
        _mm256_storeu_ps(z + i, _mm256_mul_ps(p, slope));
    }
}

/// 1 + e^−g.
PART __m256 one_and_exponential(__m256 g) {
    const __m256 one = _mm256_set1_ps(1);
    return _mm256_add_ps(one, exponential(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f))));
}

LOOP void ckpt_swiglu(const float *gate, const float *up, float *y, long count) {
    for (long i = 0; i < count; i += 8) {
        const __m256 g = _mm256_loadu_ps(gate + i);
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_div_ps(g, one_and_exponential(g)), _mm256_loadu_ps(up + i)));
    }
}

LOOP void ckpt_swiglu_backward(float *gate, float *up, float *dy, long count) {
    const __m256 one = _mm256_set1_ps(1);
    for (long i = 0; i < count; i += 8) {
        const __m256 g = _mm256_loadu_ps(gate + i), u = _mm256_loadu_ps(up + i), d = _mm256_loadu_ps(dy + i);
        const __m256 s = _mm256_div_ps(one, one_and_exponential(g));
        const __m256 silu = _mm256_mul_ps(g, s);
        const __m256 slope = _mm256_add_ps(s, _mm256_mul_ps(silu, _mm256_sub_ps(one, s)));
        _mm256_storeu_ps(gate + i, _mm256_mul_ps(_mm256_mul_ps(d, u), slope));
        _mm256_storeu_ps(up + i, _mm256_mul_ps(d, silu));
        _mm256_storeu_ps(dy + i, _mm256_mul_ps(silu, u));
    }
}

#else

void ckpt_exponentials(const float *x, float scale, float offset, float *y, long count, float *sums) {
    __builtin_trap();
}
void ckpt_softmax_sums(const float *x, float scale, float top, long count, float *sums, float *weighted) {
    __builtin_trap();
}
void ckpt_log_probability_gradients(
    float *z, float scale, float normalizer, float direct, float base, float spread, long count) {
    __builtin_trap();
}
void ckpt_swiglu(const float *gate, const float *up, float *y, long count) { __builtin_trap(); }
void ckpt_swiglu_backward(float *gate, float *up, float *dy, long count) { __builtin_trap(); }

#endif
