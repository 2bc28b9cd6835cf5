// Attention over pages of cached tokens. The including file defines KERNEL and INLINE (as in tiles.h), WIDTH, `vector`
// with load, store, broadcast, multiply and add, and BLOCK, the number of heads whose sums fit into the registers. It
// includes this file once for each number format of the cache: ELEMENT is the type of a cached number, NAME(x) the name
// of a function for it, and load_cached reads a vector.
#include "ckernels.h"

INLINE void NAME(scores_of)(
    const int heads, const float *queries, long dimension, const ELEMENT *keys, const ELEMENT *next, float *scores,
    long stride) {
    enum { vectors = 32 / WIDTH };
    vector sums[BLOCK][vectors];
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < vectors; j++) sums[h][j] = broadcast(0);
    for (long i = 0; i < dimension; i++) {
#pragma unroll
        for (int line = 0; line < 32; line += 64 / (int)sizeof(ELEMENT))
            _mm_prefetch((const char *)(next + i * 32 + line), _MM_HINT_T0);
#pragma unroll
        for (int h = 0; h < heads; h++) {
            const vector q = broadcast(queries[h * dimension + i]);
#pragma unroll
            for (int j = 0; j < vectors; j++)
                sums[h][j] = add(sums[h][j], multiply(q, load_cached(keys + i * 32 + j * WIDTH)));
        }
    }
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < vectors; j++) store(scores + h * stride + j * WIDTH, sums[h][j]);
}

/// Adds to WIDTH * `width` columns of the output.
INLINE void NAME(add_values_columns)(
    const int heads, const int width, const float *weights, long stride, const ELEMENT *values, const ELEMENT *next,
    long count, long dimension, float *output) {
    vector sums[BLOCK][4];
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < width; j++) sums[h][j] = load(output + h * dimension + j * WIDTH);
    for (long t = 0; t < 32; t++) {
#pragma unroll
        for (int line = 0; line < width * WIDTH; line += 64 / (int)sizeof(ELEMENT))
            _mm_prefetch((const char *)(next + t * dimension + line), _MM_HINT_T0);
        if (t >= count) continue;
#pragma unroll
        for (int h = 0; h < heads; h++) {
            const vector w = broadcast(weights[h * stride + t]);
#pragma unroll
            for (int j = 0; j < width; j++)
                sums[h][j] = add(sums[h][j], multiply(w, load_cached(values + t * dimension + j * WIDTH)));
        }
    }
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < width; j++) store(output + h * dimension + j * WIDTH, sums[h][j]);
}

INLINE void NAME(add_values_of)(
    const int heads, const float *weights, long stride, const ELEMENT *values, const ELEMENT *next, long count,
    long dimension, float *output) {
    long column = 0;
    for (; column + 4 * WIDTH <= dimension; column += 4 * WIDTH)
        NAME(add_values_columns)(
            heads, 4, weights, stride, values + column, next + column, count, dimension, output + column);
    for (; column < dimension; column += WIDTH)
        NAME(add_values_columns)(
            heads, 1, weights, stride, values + column, next + column, count, dimension, output + column);
}

KERNEL static void NAME(scores)(
    const float *queries, long heads, long dimension, const void *keys, const void *next, float *scores, long stride) {
    for (long h = 0; h < heads; h += BLOCK, queries += BLOCK * dimension, scores += BLOCK * stride)
        switch (heads - h) {
        case 1: NAME(scores_of)(1, queries, dimension, keys, next, scores, stride); break;
#if BLOCK == 4
        case 2: NAME(scores_of)(2, queries, dimension, keys, next, scores, stride); break;
        case 3: NAME(scores_of)(3, queries, dimension, keys, next, scores, stride); break;
#endif
        default: NAME(scores_of)(BLOCK, queries, dimension, keys, next, scores, stride);
        }
}

KERNEL static void NAME(add_values)(
    const float *weights, long stride, long heads, const void *values, const void *next, long count, long dimension,
    float *output) {
    for (long h = 0; h < heads; h += BLOCK, weights += BLOCK * stride, output += BLOCK * dimension)
        switch (heads - h) {
        case 1: NAME(add_values_of)(1, weights, stride, values, next, count, dimension, output); break;
#if BLOCK == 4
        case 2: NAME(add_values_of)(2, weights, stride, values, next, count, dimension, output); break;
        case 3: NAME(add_values_of)(3, weights, stride, values, next, count, dimension, output); break;
#endif
        default: NAME(add_values_of)(BLOCK, weights, stride, values, next, count, dimension, output);
        }
}
