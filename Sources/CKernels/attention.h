// Attention of one head. The including file defines the instruction set, see tiles.h.
#include "tiles.h"
#include "ckernels.h"

#include <math.h>
#include <string.h>

static inline long panels(long keys) { return (keys + 15) / 16; }

// Keys and values are packed, so that tiles read them sequentially.
enum {
    queryRows = 24,      // queries per pass over the keys in the forward pass
    valueBlock = 256,    // keys per block, whose values stay in the first-level cache
    backwardRows = 48,   // queries of a block of weights in the backward pass, which stays in the second-level cache
    backwardKeys = 256,  // keys of such a block
    // Rows a power of two apart would share sets of the first-level cache.
    backwardStride = backwardKeys + 16,
};

/// The distance between rows of scores over `keys` keys.
static inline long score_stride(long keys) {
    return 16 * panels(keys) % 64 ? 16 * panels(keys) : 16 * panels(keys) + 16;
}

static const float log2_e = 1.44269504f;

/// 2^x for x up to about 0, with a relative error below 1e-7; at least 2^-125.
INLINE __m256 power_of_two(__m256 x) {
    const __m256 y = _mm256_max_ps(x, _mm256_set1_ps(-125));
    const __m256 shift = _mm256_set1_ps(12582912);
    const __m256 shifted = _mm256_add_ps(y, shift);
    const __m256 r = _mm256_sub_ps(y, _mm256_sub_ps(shifted, shift));
    __m256 p = _mm256_fmadd_ps(r, _mm256_set1_ps(0.00015353362f), _mm256_set1_ps(0.0013398875f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.0096184369f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.055503324f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.24022648f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.69314718f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    // The integer part is added to the exponent.
    const __m256i whole = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), whole));
}

INLINE float horizontal_maximum(__m256 v) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// A mask with all bits set in the first `count` of eight lanes.
INLINE __m256i lane_mask(long count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)minimum(count, 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

KERNEL static void pack_transposed(const float *rows, long stride, long count, long dimension, long at, float *out) {
    long j = 0;
    while (j < count) {
        float *panel = out + (at + j) / 16 * 16 * dimension + (at + j) % 16;
        if ((at + j) % 8 == 0 && j + 8 <= count) {
            for (long l = 0; l < dimension; l += 8) {
                __m256 r[8], t[8];
#pragma unroll
                for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(rows + (j + i) * stride + l);
                transpose8(r, t);
                for (long i = 0; i < 8; i++) _mm256_storeu_ps(panel + (l + i) * 16, t[i]);
            }
            j += 8;
        } else {
            for (long l = 0; l < dimension; l++) panel[l * 16] = rows[j * stride + l];
            j += 1;
        }
    }
}

KERNEL static void pack_rows(
    const float *rows, long stride, long count, long dimension, long at, long keys, float *out) {
    const long height = 16 * panels(keys);
    for (long c = 0; c < dimension; c += 16)
        for (long j = 0; j < count; j++) {
            float *to = out + c * height + (at + j) * 16;
            _mm256_storeu_ps(to, _mm256_loadu_ps(rows + j * stride + c));
            _mm256_storeu_ps(to + 8, _mm256_loadu_ps(rows + j * stride + c + 8));
        }
}

KERNEL static void pad_transposed(long dimension, long keys, float *out) {
    for (long j = keys; j < 16 * panels(keys); j++)
        for (long l = 0; l < dimension; l++) out[j / 16 * 16 * dimension + l * 16 + j % 16] = 0;
}

KERNEL static void pad_rows(long dimension, long keys, float *out) {
    const long height = 16 * panels(keys);
    for (long c = 0; c < dimension; c += 16)
        memset(out + c * height + keys * 16, 0, (height - keys) * 16 * sizeof(float));
}

/// Replaces the first `visible` scores by e^(scale (score − max)) and the others by zeros. Returns the sum, and
/// log Σ e^(scale score) in `normalizer`.
INLINE float softmax_row(float *scores, long visible, long width, float scale, float *normalizer) {
    __m256 best = _mm256_set1_ps(-INFINITY);
    long j = 0;
    for (; j + 8 <= visible; j += 8) best = _mm256_max_ps(best, _mm256_loadu_ps(scores + j));
    float top = horizontal_maximum(best);
    for (; j < visible; j++) top = scores[j] > top ? scores[j] : top;
    const __m256 factor = _mm256_set1_ps(scale * log2_e), offset = _mm256_set1_ps(top * (scale * log2_e));
    __m256 sum = _mm256_setzero_ps();
    for (j = 0; j + 8 <= visible; j += 8) {
        const __m256 e = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(scores + j), factor, offset));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
    }
    if (j < visible) {
        __m256 e = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(scores + j), factor, offset));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(lane_mask(visible - j)));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
        j += 8;
    }
    for (; j < width; j += 8) _mm256_storeu_ps(scores + j, _mm256_setzero_ps());
    const float total = horizontal_sum(sum);
    *normalizer = top * scale + logf(total);
    return total;
}

/// The first row of the first tile in which a row attends to the key `later` positions after that of row 0. Tiles
/// before it need not be computed.
INLINE long first_visible_row(long later) { return later > 0 ? later / tileRows * tileRows : 0; }

KERNEL static void attend(
    long dimension, long before, long rows, long window, const float *q, long q_stride, const float *keys,
    const float *values, float scale, float *out, long out_stride, float *normalizers, long normalizer_stride,
    float *scores) {
    const long height = 16 * panels(before + rows), stride = score_stride(before + rows);
    window = minimum(window, before + rows);
    for (long first = 0; first < rows; first += queryRows) {
        const long count = minimum(queryRows, rows - first);
        const float *queries = q + first * q_stride;
        float *result = out + first * out_stride;
        const long own = before + first, width = 16 * panels(own + count);
        // The window of the first query begins in this panel.
        const long from = own + 1 > window ? (own + 1 - window) / 16 * 16 : 0;
        for (long j = from; j < width; j += 16)
            // Queries after `end` no longer attend to these keys.
            for (long i = first_visible_row(j - own), end = minimum(count, j + 15 + window - own); i < end;
                 i += tileRows)
                tile16_of(
                    count - i, rowMajor, dimension, queries + i * q_stride, q_stride, keys + j * dimension, 16,
                    scores + i * stride + j, stride, 0);
        float inverse[queryRows];
        for (long i = 0; i < count; i++) {
            float normalizer, *row = scores + i * stride + from;
            const long hidden = own + i + 1 - window - from;
            for (long j = 0; j < hidden; j++) row[j] = -INFINITY;
            inverse[i] = 1 / softmax_row(
                row, own + i + 1 - from, minimum(width, own + i / tileRows * tileRows + tileRows) - from, scale,
                &normalizer);
            for (long j = 0; j < hidden; j++) row[j] = 0;
            if (normalizers) normalizers[(first + i) * normalizer_stride] = normalizer;
        }
        for (long j = from; j < width; j += valueBlock)
            for (long c = 0; c < dimension; c += 16) {
                const float *block = values + c * height + j * 16;
                for (long i = first_visible_row(j - own); i < count; i += tileRows) {
                    const long length = minimum(valueBlock, minimum(width, own + i + tileRows) - j);
                    const float *weights = scores + i * stride + j;
                    float *to = result + i * out_stride + c;
                    if (j > from) tile16_of(count - i, rowMajor, length, weights, stride, block, 16, to, out_stride, 1);
                    else tile16_of(count - i, rowMajor, length, weights, stride, block, 16, to, out_stride, 0);
                }
            }
        for (long i = 0; i < count; i++)
            for (long c = 0; c < dimension; c += 8) {
                float *to = result + i * out_stride + c;
                _mm256_storeu_ps(to, _mm256_mul_ps(_mm256_loadu_ps(to), _mm256_set1_ps(inverse[i])));
            }
    }
}

INLINE float dot(const float *a, const float *b, long count) {
    __m256 sum = _mm256_setzero_ps();
    for (long j = 0; j < count; j += 8) sum = _mm256_fmadd_ps(_mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j), sum);
    return horizontal_sum(sum);
}

/// Replaces a row's scores p by their softmax, and the gradients dp of the softmax by those of the scores; zeros from
/// `visible` on. `shared` is Σ dp p.
INLINE void softmax_gradient_row(
    float *p, float *dp, long visible, long width, float scale, float normalizer, float shared) {
    const __m256 factor = _mm256_set1_ps(scale), away = _mm256_set1_ps(shared);
    const __m256 exponent = _mm256_set1_ps(scale * log2_e), offset = _mm256_set1_ps(normalizer * log2_e);
    long j = 0;
    for (; j < visible; j += 8) {
        __m256 e = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(p + j), exponent, offset));
        if (j + 8 > visible) e = _mm256_and_ps(e, _mm256_castsi256_ps(lane_mask(visible - j)));
        const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(dp + j), away);
        _mm256_storeu_ps(p + j, e);
        _mm256_storeu_ps(dp + j, _mm256_mul_ps(_mm256_mul_ps(e, d), factor));
    }
    for (; j < width; j += 8) {
        _mm256_storeu_ps(p + j, _mm256_setzero_ps());
        _mm256_storeu_ps(dp + j, _mm256_setzero_ps());
    }
}

KERNEL static void attend_backward(
    long dimension, long before, long rows, long window, const float *q, long q_stride, const float *keys,
    const float *values, const float *key_rows, float scale, const float *out, const float *d_out, long out_stride,
    const float *normalizers, long normalizer_stride, float *d_q, long d_q_stride, float *d_keys, float *d_values,
    float *scratch) {
    const long total = before + rows, height = 16 * panels(total);
    window = minimum(window, total);
    float *weights = scratch, *d_scores = scratch + backwardRows * backwardStride;
    for (long i = 0; i < rows; i++) memset(d_q + i * d_q_stride, 0, dimension * sizeof(float));
    for (long key = 0; key < total; key += backwardKeys) {
        // Queries before `start` and from `end` on attend to none of these keys.
        const long start = key > before ? (key - before) / backwardRows * backwardRows : 0;
        const long end = minimum(rows, key + backwardKeys + window - 1 - before);
        for (long first = start; first < end; first += backwardRows) {
            const long count = minimum(backwardRows, rows - first);
            const long seen = minimum(backwardKeys, before + first + count - key);
            if (seen <= 0) continue;
            const long width = 16 * panels(seen);
            // The index of the first row's token among these keys.
            const long own = before + first - key;
            const float *queries = q + first * q_stride, *dO = d_out + first * out_stride;
            for (long j = 0; j < width; j += 16) {
                const long from = first_visible_row(j - own);
                for (long i = from; i < count; i += tileRows)
                    tile16_of(
                        count - i, rowMajor, dimension, queries + i * q_stride, q_stride,
                        keys + (key + j) * dimension, 16, weights + i * backwardStride + j, backwardStride, 0);
                for (long i = from; i < count; i += tileRows)
                    tile16_of(
                        count - i, rowMajor, dimension, dO + i * out_stride, out_stride,
                        values + (key + j) * dimension, 16, d_scores + i * backwardStride + j, backwardStride, 0);
            }
            for (long i = 0; i < count; i++) {
                const long row = first + i, visible = minimum(width, own + i + 1);
                const float shared = dot(out + row * out_stride, d_out + row * out_stride, dimension);
                // The tiles below also read some masked keys.
                const long read = minimum(width, own + i + tileRows), hidden = minimum(read, own + i + 1 - window);
                float *p = weights + i * backwardStride, *dp = d_scores + i * backwardStride;
                softmax_gradient_row(p, dp, visible, read, scale, normalizers[row * normalizer_stride], shared);
                for (long j = 0; j < hidden; j++) p[j] = dp[j] = 0;
            }
            for (long c = 0; c < dimension; c += 16)
                for (long i = 0; i < count; i += tileRows) {
                    const long length = minimum(width, own + i + tileRows);
                    if (length > 0)
                        tile16_of(
                            count - i, rowMajor, length, d_scores + i * backwardStride, backwardStride,
                            key_rows + c * height + key * 16, 16, d_q + (first + i) * d_q_stride + c, d_q_stride, 1);
                }
            for (long j = 0; j < seen; j += tileRows) {
                // Rows before `from` attend to none of these keys.
                const long from = j > own ? j - own : 0;
                for (long c = 0; c < dimension; c += 16)
                    tile16_of(
                        seen - j, columnMajor, count - from, d_scores + from * backwardStride + j, backwardStride,
                        queries + from * q_stride + c, q_stride, d_keys + (key + j) * dimension + c, dimension, 1);
            }
            for (long j = 0; j < seen; j += tileRows) {
                const long from = j > own ? j - own : 0;
                for (long c = 0; c < dimension; c += 16)
                    tile16_of(
                        seen - j, columnMajor, count - from, weights + from * backwardStride + j, backwardStride,
                        dO + from * out_stride + c, out_stride, d_values + (key + j) * dimension + c, dimension, 1);
            }
        }
    }
}

static long attend_scratch(long keys) { return queryRows * score_stride(keys); }
static long attend_backward_scratch(void) { return 2 * backwardRows * backwardStride; }

#define ATTENTION_KERNELS \
    {pack_transposed, pack_rows, pad_transposed, pad_rows, attend, attend_scratch, \
     attend_backward, attend_backward_scratch}
