// Attention over pages of cached tokens. The including file defines KERNEL and INLINE (as in tiles.h), WIDTH, `vector`
// with load, store, broadcast, multiply and add, and BLOCK, the number of heads whose sums fit into the registers.
#include "ckernels.h"

INLINE void scores_of(
    const int heads, const float *queries, long dimension, const float *keys, const float *next, float *scores,
    long stride) {
    enum { vectors = 32 / WIDTH };
    vector sums[BLOCK][vectors];
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < vectors; j++) sums[h][j] = broadcast(0);
    for (long i = 0; i < dimension; i++) {
        _mm_prefetch((const char *)(next + i * 32), _MM_HINT_T0);
        _mm_prefetch((const char *)(next + i * 32 + 16), _MM_HINT_T0);
#pragma unroll
        for (int h = 0; h < heads; h++) {
            const vector q = broadcast(queries[h * dimension + i]);
#pragma unroll
            for (int j = 0; j < vectors; j++)
                sums[h][j] = add(sums[h][j], multiply(q, load(keys + i * 32 + j * WIDTH)));
        }
    }
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < vectors; j++) store(scores + h * stride + j * WIDTH, sums[h][j]);
}

/// Adds to WIDTH * `width` columns of the output.
INLINE void add_values_columns(
    const int heads, const int width, const float *weights, long stride, const float *values, const float *next,
    long count, long dimension, float *output) {
    vector sums[BLOCK][4];
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < width; j++) sums[h][j] = load(output + h * dimension + j * WIDTH);
    for (long t = 0; t < 32; t++) {
#pragma unroll
        for (int line = 0; line < width * WIDTH; line += 16)
            _mm_prefetch((const char *)(next + t * dimension + line), _MM_HINT_T0);
        if (t >= count) continue;
#pragma unroll
        for (int h = 0; h < heads; h++) {
            const vector w = broadcast(weights[h * stride + t]);
#pragma unroll
            for (int j = 0; j < width; j++)
                sums[h][j] = add(sums[h][j], multiply(w, load(values + t * dimension + j * WIDTH)));
        }
    }
#pragma unroll
    for (int h = 0; h < heads; h++)
#pragma unroll
        for (int j = 0; j < width; j++) store(output + h * dimension + j * WIDTH, sums[h][j]);
}

INLINE void add_values_of(
    const int heads, const float *weights, long stride, const float *values, const float *next, long count,
    long dimension, float *output) {
    long column = 0;
    for (; column + 4 * WIDTH <= dimension; column += 4 * WIDTH)
        add_values_columns(
            heads, 4, weights, stride, values + column, next + column, count, dimension, output + column);
    for (; column < dimension; column += WIDTH)
        add_values_columns(
            heads, 1, weights, stride, values + column, next + column, count, dimension, output + column);
}

KERNEL static void scores(
    const float *queries, long heads, long dimension, const float *keys, const float *next, float *scores,
    long stride) {
    for (long h = 0; h < heads; h += BLOCK, queries += BLOCK * dimension, scores += BLOCK * stride)
        switch (heads - h) {
        case 1: scores_of(1, queries, dimension, keys, next, scores, stride); break;
#if BLOCK == 4
        case 2: scores_of(2, queries, dimension, keys, next, scores, stride); break;
        case 3: scores_of(3, queries, dimension, keys, next, scores, stride); break;
#endif
        default: scores_of(BLOCK, queries, dimension, keys, next, scores, stride);
        }
}

KERNEL static void add_values(
    const float *weights, long stride, long heads, const float *values, const float *next, long count, long dimension,
    float *output) {
    for (long h = 0; h < heads; h += BLOCK, weights += BLOCK * stride, output += BLOCK * dimension)
        switch (heads - h) {
        case 1: add_values_of(1, weights, stride, values, next, count, dimension, output); break;
#if BLOCK == 4
        case 2: add_values_of(2, weights, stride, values, next, count, dimension, output); break;
        case 3: add_values_of(3, weights, stride, values, next, count, dimension, output); break;
#endif
        default: add_values_of(BLOCK, weights, stride, values, next, count, dimension, output);
        }
}
