// Loops over numbers, each by itself. The including file defines LOOP, WIDTH and REST, the loops of half the width, if any.
//
// Without fused multiply-add, in the order of the loops in Sources/Transformer/Operations that these stand in for: the bits are
// the same.
#include "ckernels.h"

#include <immintrin.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF

#define PART static inline __attribute__((always_inline)) LOOP

typedef float vector __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int32_t whole __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef float eight __attribute__((vector_size(32), aligned(4)));

PART vector load(const float *p) { return *(const vector *)p; }
PART void store(float *p, vector v) { *(vector *)p = v; }
PART vector all(float x) { return x - (vector){0}; }
PART vector choose(whole mask, vector a, vector b) { return (vector)((mask & (whole)a) | (~mask & (whole)b)); }

/// `exponential` of VectorMath.swift.
PART vector exponential(vector x) {
    vector y = choose(x < all(-87.3f), all(-87.3f), x);
    y = choose(y > all(88), all(88), y);
    const vector shift = all(12582912);
    const vector shifted = y * 1.44269504f + shift;
    const vector n = shifted - shift;
    const vector r = (y - n * 0.69314575f) - n * 1.4286068e-6f;
    vector p = r * 0.0013814544f + 0.008368745f;
    p = p * r + 0.04166839f;
    p = p * r + 0.16666521f;
    p = p * r + 0.49999994f;
    p = (p * (r * r) + r) + 1;
    return p * (vector)(((whole)shifted + 127) << 23);
}

/// Adds to the sums of eight lanes, in the order of memory.
PART eight sum_with(eight sums, vector v) {
    eight parts[WIDTH / 8];
    memcpy(parts, &v, sizeof v);
#pragma unroll
    for (int i = 0; i < WIDTH / 8; i++) sums += parts[i];
    return sums;
}

LOOP static void exponentials(const float *x, float scale, float offset, float *y, long count, float *sums) {
    eight sum = {0};
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector e = exponential(load(x + i) * scale - offset);
        store(y + i, e);
        sum = sum_with(sum, e);
    }
    *(eight *)sums = sum;
#ifdef REST
    if (i < count) {
        float rest[8];
        REST.exponentials(x + i, scale, offset, y + i, count - i, rest);
        *(eight *)sums += *(const eight *)rest;
    }
#endif
}

LOOP static void softmax_sums(const float *x, float scale, float top, long count, float *sums, float *weighted) {
    eight sum = {0}, with = {0};
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector d = load(x + i) * scale - top;
        const vector e = exponential(d);
        sum = sum_with(sum, e);
        with = sum_with(with, e * d);
    }
    *(eight *)sums = sum;
    *(eight *)weighted = with;
#ifdef REST
    if (i < count) {
        float rest[8], rest_weighted[8];
        REST.softmax_sums(x + i, scale, top, count - i, rest, rest_weighted);
        *(eight *)sums += *(const eight *)rest;
        *(eight *)weighted += *(const eight *)rest_weighted;
    }
#endif
}

LOOP static void log_probability_gradients(
    float *z, float scale, float normalizer, float direct, float base, float spread, long count) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector logp = load(z + i) * scale - normalizer;
        const vector slope = spread == 0 ? all(-direct) : -(base + spread * logp);
        store(z + i, exponential(logp) * slope);
    }
#ifdef REST
    if (i < count) REST.log_probability_gradients(z + i, scale, normalizer, direct, base, spread, count - i);
#endif
}

LOOP static void swiglu(const float *gate, const float *up, float *y, long count) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector g = load(gate + i);
        store(y + i, g / (1 + exponential(-g)) * load(up + i));
    }
#ifdef REST
    if (i < count) REST.swiglu(gate + i, up + i, y + i, count - i);
#endif
}

LOOP static void swiglu_backward(float *gate, float *up, float *dy, long count) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const vector g = load(gate + i), u = load(up + i), d = load(dy + i);
        const vector s = 1 / (1 + exponential(-g));
        const vector silu = g * s;
        store(gate + i, d * u * (s + silu * (1 - s)));
        store(up + i, d * silu);
        store(dy + i, silu * u);
    }
#ifdef REST
    if (i < count) REST.swiglu_backward(gate + i, up + i, dy + i, count - i);
#endif
}

#define LOOP_KERNELS {exponentials, softmax_sums, log_probability_gradients, swiglu, swiglu_backward}
