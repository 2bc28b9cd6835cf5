#include "wide_vectors.h"

#if defined(__x86_64__)

#include "tiles.h"
#include <math.h>
#include <string.h>

static inline long panels(long keys) { return (keys + 15) / 16; }

// A head's keys and values come packed (`ckpt_pack_keys`), so that tiles read them line after line.
enum {
    queryRows = 24,      // queries that share a pass over the keys when going forward
    valueBlock = 256,    // keys whose values stay in the first cache meanwhile
    backwardRows = 48,   // queries, and keys, of a square of weights that stays in the second cache
    backwardKeys = 256,
    // Rows a power of two apart would fall into the same lines of the first cache.
    backwardStride = backwardKeys + 16,
};

/// From row to row of scores over so many keys.
static inline long score_stride(long keys) { return 16 * panels(keys) % 64 ? 16 * panels(keys) : 16 * panels(keys) + 16; }


/// e to the x as in VectorMath.swift, with fused products: relative error below 1e-7, e^-87 at least.
PART __m256 exponential(__m256 x) {
    const __m256 y = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.3f)), _mm256_set1_ps(88));
    const __m256 shift = _mm256_set1_ps(12582912);
    const __m256 shifted = _mm256_fmadd_ps(y, _mm256_set1_ps(1.44269504f), shift);
    const __m256 n = _mm256_sub_ps(shifted, shift);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.69314575f), y);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(1.4286068e-6f), r);
    __m256 p = _mm256_fmadd_ps(r, _mm256_set1_ps(0.0013814544f), _mm256_set1_ps(0.008368745f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.04166839f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.16666521f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.49999994f));
    p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1));
    const __m256i scale = _mm256_slli_epi32(_mm256_add_epi32(_mm256_castps_si256(shifted), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(scale));
}

PART float sum_of(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

PART float largest_of(__m256 v) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// All bits set in the first `count` of eight lanes.
PART __m256i first_lanes(long count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)smaller(count, 8)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

WIDE void ckpt_pack_across(const float *rows, long stride, long count, long dimension, long at, float *out) {
    long j = 0;
    while (j < count) {
        float *panel = out + (at + j) / 16 * 16 * dimension + (at + j) % 16;
        if ((at + j) % 8 == 0 && j + 8 <= count) {
            for (long l = 0; l < dimension; l += 8) {
                __m256 t[8];
                transpose8(8, rows + j * stride + l, stride, t);
                for (long i = 0; i < 8; i++) _mm256_storeu_ps(panel + (l + i) * 16, t[i]);
            }
            j += 8;
        } else {
            for (long l = 0; l < dimension; l++) panel[l * 16] = rows[j * stride + l];
            j += 1;
        }
    }
}

WIDE void ckpt_pack_along(
    const float *rows, long stride, long count, long dimension, long at, long keys, float *out) {
    const long height = 16 * panels(keys);
    for (long c = 0; c < dimension; c += 16)
        for (long j = 0; j < count; j++) {
            float *to = out + c * height + (at + j) * 16;
            _mm256_storeu_ps(to, _mm256_loadu_ps(rows + j * stride + c));
            _mm256_storeu_ps(to + 8, _mm256_loadu_ps(rows + j * stride + c + 8));
        }
}

WIDE void ckpt_finish_across(long dimension, long keys, float *out) {
    for (long j = keys; j < 16 * panels(keys); j++)
        for (long l = 0; l < dimension; l++) out[j / 16 * 16 * dimension + l * 16 + j % 16] = 0;
}

WIDE void ckpt_finish_along(long dimension, long keys, float *out) {
    const long height = 16 * panels(keys);
    for (long c = 0; c < dimension; c += 16) memset(out + c * height + keys * 16, 0, (height - keys) * 16 * sizeof(float));
}

/// Makes weights of the first `visible` scores and zeros of the rest; their sum, and log Σ e^score.
PART float soften(float *scores, long visible, long width, float scale, float *normalizer) {
    __m256 best = _mm256_set1_ps(-INFINITY);
    long j = 0;
    for (; j + 8 <= visible; j += 8) best = _mm256_max_ps(best, _mm256_loadu_ps(scores + j));
    float top = largest_of(best);
    for (; j < visible; j++) top = scores[j] > top ? scores[j] : top;
    top *= scale;
    const __m256 factor = _mm256_set1_ps(scale), offset = _mm256_set1_ps(top);
    __m256 sum = _mm256_setzero_ps();
    for (j = 0; j + 8 <= visible; j += 8) {
        const __m256 e = exponential(_mm256_fmsub_ps(_mm256_loadu_ps(scores + j), factor, offset));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
    }
    for (; j < width; j += 8) {
        __m256 e = exponential(_mm256_fmsub_ps(_mm256_loadu_ps(scores + j), factor, offset));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(first_lanes(visible - j)));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
    }
    const float total = sum_of(sum);
    *normalizer = top + logf(total);
    return total;
}

WIDE void ckpt_attend(
    long dimension, long before, long rows, const float *q, long q_stride, const float *keys, const float *values,
    float scale, float *out, long out_stride, float *normalizers, long normalizer_stride, float *scores) {
    const long height = 16 * panels(before + rows), stride = score_stride(before + rows);
    for (long first = 0; first < rows; first += queryRows) {
        const long count = smaller(queryRows, rows - first);
        const float *queries = q + first * q_stride;
        float *result = out + first * out_stride;
        const long width = 16 * panels(before + first + count);
        for (long j = 0; j < width; j += 16)
            for (long i = 0; i < count; i += 6)
                tile16_of(
                    count - i, rowsApart, dimension, queries + i * q_stride, q_stride, keys + j * dimension, 16,
                    scores + i * stride + j, stride, 0);
        float inverse[queryRows];
        for (long i = 0; i < count; i++) {
            float normalizer;
            inverse[i] = 1 / soften(scores + i * stride, before + first + i + 1, width, scale, &normalizer);
            if (normalizers) normalizers[(first + i) * normalizer_stride] = normalizer;
        }
        for (long j = 0; j < width; j += valueBlock) {
            const long length = smaller(valueBlock, width - j);
            for (long c = 0; c < dimension; c += 16) {
                const float *block = values + c * height + j * 16;
                for (long i = 0; i < count; i += 6) {
                    const float *weights = scores + i * stride + j;
                    float *to = result + i * out_stride + c;
                    if (j > 0) tile16_of(count - i, rowsApart, length, weights, stride, block, 16, to, out_stride, 1);
                    else tile16_of(count - i, rowsApart, length, weights, stride, block, 16, to, out_stride, 0);
                }
            }
        }
        for (long i = 0; i < count; i++)
            for (long c = 0; c < dimension; c += 8) {
                float *to = result + i * out_stride + c;
                _mm256_storeu_ps(to, _mm256_mul_ps(_mm256_loadu_ps(to), _mm256_set1_ps(inverse[i])));
            }
    }
}

PART float dot(const float *a, const float *b, long count) {
    __m256 sum = _mm256_setzero_ps();
    for (long j = 0; j < count; j += 8) sum = _mm256_fmadd_ps(_mm256_loadu_ps(a + j), _mm256_loadu_ps(b + j), sum);
    return sum_of(sum);
}

WIDE void ckpt_attend_backward(
    long dimension, long before, long rows, const float *q, long q_stride, const float *keys, const float *values,
    const float *key_rows, float scale, const float *out, const float *d_out, long out_stride,
    const float *normalizers, long normalizer_stride, float *d_q, long d_q_stride, float *d_keys, float *d_values,
    float *scratch) {
    const long total = before + rows, height = 16 * panels(total);
    float *weights = scratch, *d_scores = scratch + backwardRows * backwardStride;
    for (long i = 0; i < rows; i++) memset(d_q + i * d_q_stride, 0, dimension * sizeof(float));
    for (long key = 0; key < total; key += backwardKeys) {
        // Queries before `start` see none of these keys.
        const long start = key > before ? (key - before) / backwardRows * backwardRows : 0;
        for (long first = start; first < rows; first += backwardRows) {
            const long count = smaller(backwardRows, rows - first);
            const long seen = smaller(backwardKeys, before + first + count - key);
            if (seen <= 0) continue;
            const long width = 16 * panels(seen);
            const float *queries = q + first * q_stride, *dO = d_out + first * out_stride;
            for (long j = 0; j < width; j += 16) {
                for (long i = 0; i < count; i += 6)
                    tile16_of(
                        count - i, rowsApart, dimension, queries + i * q_stride, q_stride, keys + (key + j) * dimension, 16,
                        weights + i * backwardStride + j, backwardStride, 0);
                for (long i = 0; i < count; i += 6)
                    tile16_of(
                        count - i, rowsApart, dimension, dO + i * out_stride, out_stride, values + (key + j) * dimension, 16,
                        d_scores + i * backwardStride + j, backwardStride, 0);
            }
            for (long i = 0; i < count; i++) {
                const long row = first + i, visible = before + row + 1 - key;
                float *p = weights + i * backwardStride, *dp = d_scores + i * backwardStride;
                const __m256 shared = _mm256_set1_ps(dot(out + row * out_stride, d_out + row * out_stride, dimension));
                const __m256 factor = _mm256_set1_ps(scale);
                const __m256 offset = _mm256_set1_ps(normalizers[row * normalizer_stride]);
                for (long j = 0; j < width; j += 8) {
                    __m256 e = exponential(_mm256_fmsub_ps(_mm256_loadu_ps(p + j), factor, offset));
                    if (j + 8 > visible) e = _mm256_and_ps(e, _mm256_castsi256_ps(first_lanes(visible - j)));
                    const __m256 d = _mm256_sub_ps(_mm256_loadu_ps(dp + j), shared);
                    _mm256_storeu_ps(p + j, e);
                    _mm256_storeu_ps(dp + j, _mm256_mul_ps(_mm256_mul_ps(e, d), factor));
                }
            }
            for (long c = 0; c < dimension; c += 16)
                for (long i = 0; i < count; i += 6)
                    tile16_of(
                        count - i, rowsApart, width, d_scores + i * backwardStride, backwardStride,
                        key_rows + c * height + key * 16, 16, d_q + (first + i) * d_q_stride + c, d_q_stride, 1);
            for (long c = 0; c < dimension; c += 16)
                for (long j = 0; j < seen; j += 6) {
                    tile16_of(
                        seen - j, rowsTogether, count, d_scores + j, backwardStride, queries + c, q_stride,
                        d_keys + (key + j) * dimension + c, dimension, 1);
                    tile16_of(
                        seen - j, rowsTogether, count, weights + j, backwardStride, dO + c, out_stride,
                        d_values + (key + j) * dimension + c, dimension, 1);
                }
        }
    }
}

long ckpt_attend_scratch(long keys) { return queryRows * score_stride(keys); }
long ckpt_attend_backward_scratch(void) { return 2 * backwardRows * backwardStride; }

#else

void ckpt_pack_across(const float *rows, long stride, long count, long dimension, long at, float *out) {
    __builtin_trap();
}
void ckpt_pack_along(const float *rows, long stride, long count, long dimension, long at, long keys, float *out) {
    __builtin_trap();
}
void ckpt_finish_across(long dimension, long keys, float *out) { __builtin_trap(); }
void ckpt_finish_along(long dimension, long keys, float *out) { __builtin_trap(); }
void ckpt_attend(
    long dimension, long before, long rows, const float *q, long q_stride, const float *keys, const float *values,
    float scale, float *out, long out_stride, float *normalizers, long normalizer_stride, float *scores) {
    __builtin_trap();
}
void ckpt_attend_backward(
    long dimension, long before, long rows, const float *q, long q_stride, const float *keys, const float *values,
    const float *key_rows, float scale, const float *out, const float *d_out, long out_stride,
    const float *normalizers, long normalizer_stride, float *d_q, long d_q_stride, float *d_keys, float *d_values,
    float *scratch) {
    __builtin_trap();
}
long ckpt_attend_scratch(long keys) { return 0; }
long ckpt_attend_backward_scratch(void) { return 0; }

#endif
