// Element-wise loops. The including file defines KERNEL, WIDTH, and HALF_WIDTH_KERNELS, the table of loops of half the
// width, if there is one.
//
// Without fused multiply-add and in the order of the loops in Sources/Transformer/Operations, so that the bits are the
// same.
#include "ckernels.h"

#include <immintrin.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline)) KERNEL

typedef float vector __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int32_t integers __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef float eight_floats __attribute__((vector_size(32), aligned(4)));

INLINE vector load(const float *p) { return *(const vector *)p; }
INLINE void store(float *p, vector v) { *(vector *)p = v; }
INLINE vector broadcast(float x) { return x - (vector){0}; }
INLINE vector blend(integers mask, vector a, vector b) {
    return (vector)((mask & (integers)a) | (~mask & (integers)b));
}

/// The same as `exponential` in VectorMath.swift.
INLINE vector exponential(vector x) {
    vector y = blend(x < broadcast(-87.3f), broadcast(-87.3f), x);
    y = blend(y > broadcast(88), broadcast(88), y);
    const vector shift = broadcast(12582912);
    const vector shifted = y * 1.44269504f + shift;
    const vector n = shifted - shift;
    const vector r = (y - n * 0.69314575f) - n * 1.4286068e-6f;
    vector p = r * 0.0013814544f + 0.008368745f;
    p = p * r + 0.04166839f;
    p = p * r + 0.16666521f;
    p = p * r + 0.49999994f;
    p = (p * (r * r) + r) + 1;
    return p * (vector)(((integers)shifted + 127) << 23);
}

/// Adds the elements of v to eight partial sums, in the order of memory.
INLINE eight_floats add_to_sums(eight_floats sums, vector v) {
    eight_floats parts[WIDTH / 8];
    memcpy(parts, &v, sizeof v);
#pragma unroll
    for (int i = 0; i < WIDTH / 8; i++) sums += parts[i];
    return sums;
}

KERNEL static void exponentials(const float *x, float scale, float offset, float *y, long count, float *sums) {
    eight_floats sum = {0};
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector e = exponential(load(x + i) * scale - offset);
        store(y + i, e);
        sum = add_to_sums(sum, e);
    }
    *(eight_floats *)sums = sum;
#ifdef HALF_WIDTH_KERNELS
    if (i < count) {
        float rest[8];
        HALF_WIDTH_KERNELS.exponentials(x + i, scale, offset, y + i, count - i, rest);
        *(eight_floats *)sums += *(const eight_floats *)rest;
    }
#endif
}

KERNEL static void softmax_sums(const float *x, float scale, float top, long count, float *sums, float *weighted) {
    eight_floats sum = {0}, with = {0};
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector d = load(x + i) * scale - top;
        const vector e = exponential(d);
        sum = add_to_sums(sum, e);
        with = add_to_sums(with, e * d);
    }
    *(eight_floats *)sums = sum;
    *(eight_floats *)weighted = with;
#ifdef HALF_WIDTH_KERNELS
    if (i < count) {
        float rest[8], rest_weighted[8];
        HALF_WIDTH_KERNELS.softmax_sums(x + i, scale, top, count - i, rest, rest_weighted);
        *(eight_floats *)sums += *(const eight_floats *)rest;
        *(eight_floats *)weighted += *(const eight_floats *)rest_weighted;
    }
#endif
}

KERNEL static void log_probability_gradients(
    float *z, float scale, float normalizer, float direct, float base, float spread, long count) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector logp = load(z + i) * scale - normalizer;
        const vector slope = spread == 0 ? broadcast(-direct) : -(base + spread * logp);
        store(z + i, exponential(logp) * slope);
    }
#ifdef HALF_WIDTH_KERNELS
    if (i < count)
        HALF_WIDTH_KERNELS.log_probability_gradients(z + i, scale, normalizer, direct, base, spread, count - i);
#endif
}

KERNEL static void swiglu(const float *gate, const float *up, float *y, long count) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector g = load(gate + i);
        store(y + i, g / (1 + exponential(-g)) * load(up + i));
    }
#ifdef HALF_WIDTH_KERNELS
    if (i < count) HALF_WIDTH_KERNELS.swiglu(gate + i, up + i, y + i, count - i);
#endif
}

KERNEL static void swiglu_backward(float *gate, float *up, float *dy, long count) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector g = load(gate + i), u = load(up + i), d = load(dy + i);
        const vector s = 1 / (1 + exponential(-g));
        const vector silu = g * s;
        store(gate + i, d * u * (s + silu * (1 - s)));
        store(up + i, d * silu);
        store(dy + i, silu * u);
    }
#ifdef HALF_WIDTH_KERNELS
    if (i < count) HALF_WIDTH_KERNELS.swiglu_backward(gate + i, up + i, dy + i, count - i);
#endif
}

#define ELEMENTWISE_KERNELS {exponentials, softmax_sums, log_probability_gradients, swiglu, swiglu_backward}
