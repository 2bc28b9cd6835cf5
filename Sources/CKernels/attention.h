// Attention of one head, for whatever instructions the including file is about (tiles.h says what it defines).
#include "tiles.h"
#include "ckernels.h"

#include <math.h>
#include <string.h>

static inline long panels(long keys) { return (keys + 15) / 16; }

// A head's keys and values come packed (`pack_across`, `pack_along`), so that tiles read them line after line.
enum {
    queryRows = 24,      // queries that share a pass over the keys when going forward
    valueBlock = 256,    // keys whose values stay in the first cache meanwhile
    backwardRows = 48,   // queries, and keys, of a rectangle of weights that stays in the second cache
    backwardKeys = 256,
    // Rows a power of two apart would fall into the same lines of the first cache.
    backwardStride = backwardKeys + 16,
};

/// From row to row of scores over so many keys.
static inline long score_stride(long keys) { return 16 * panels(keys) % 64 ? 16 * panels(keys) : 16 * panels(keys) + 16; }


static const float binary = 1.44269504f;  // 1 / ln 2

/// 2 to the x for x up to about 0: relative error below 1e-7, and 2^-125 at least.
PART __m256 power_of_two(__m256 x) {
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
    // The whole part goes into the exponent.
    const __m256i whole = _mm256_slli_epi32(_mm256_castps_si256(shifted), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), whole));
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

KERNEL static void pack_across(const float *rows, long stride, long count, long dimension, long at, float *out) {
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

KERNEL static void pack_along(
    const float *rows, long stride, long count, long dimension, long at, long keys, float *out) {
    const long height = 16 * panels(keys);
    for (long c = 0; c < dimension; c += 16)
        for (long j = 0; j < count; j++) {
            float *to = out + c * height + (at + j) * 16;
            _mm256_storeu_ps(to, _mm256_loadu_ps(rows + j * stride + c));
            _mm256_storeu_ps(to + 8, _mm256_loadu_ps(rows + j * stride + c + 8));
        }
}

KERNEL static void finish_across(long dimension, long keys, float *out) {
    for (long j = keys; j < 16 * panels(keys); j++)
        for (long l = 0; l < dimension; l++) out[j / 16 * 16 * dimension + l * 16 + j % 16] = 0;
}

KERNEL static void finish_along(long dimension, long keys, float *out) {
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
    const __m256 factor = _mm256_set1_ps(scale * binary), offset = _mm256_set1_ps(top * (scale * binary));
    __m256 sum = _mm256_setzero_ps();
    for (j = 0; j + 8 <= visible; j += 8) {
        const __m256 e = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(scores + j), factor, offset));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
    }
    if (j < visible) {
        __m256 e = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(scores + j), factor, offset));
        e = _mm256_and_ps(e, _mm256_castsi256_ps(first_lanes(visible - j)));
        _mm256_storeu_ps(scores + j, e);
        sum = _mm256_add_ps(sum, e);
        j += 8;
    }
    for (; j < width; j += 8) _mm256_storeu_ps(scores + j, _mm256_setzero_ps());
    const float total = sum_of(sum);
    *normalizer = top * scale + logf(total);
    return total;
}

/// Rows are taken a tile at a time: the first, a multiple of its rows, of those that see a key so many positions after the first
/// row's own. Tiles that no row sees are left out.
PART long first_to_see(long later) { return later > 0 ? later / tileRows * tileRows : 0; }

KERNEL static void attend(
    long dimension, long before, long rows, const float *q, long q_stride, const float *keys, const float *values,
    float scale, float *out, long out_stride, float *normalizers, long normalizer_stride, float *scores) {
    const long height = 16 * panels(before + rows), stride = score_stride(before + rows);
    for (long first = 0; first < rows; first += queryRows) {
        const long count = smaller(queryRows, rows - first);
        const float *queries = q + first * q_stride;
        float *result = out + first * out_stride;
        const long own = before + first, width = 16 * panels(own + count);
        for (long j = 0; j < width; j += 16)
            for (long i = first_to_see(j - own); i < count; i += tileRows)
                tile16_of(
                    count - i, rowsApart, dimension, queries + i * q_stride, q_stride, keys + j * dimension, 16,
                    scores + i * stride + j, stride, 0);
        float inverse[queryRows];
        for (long i = 0; i < count; i++) {
            float normalizer;
            inverse[i] =
                1 / soften(scores + i * stride, own + i + 1, smaller(width, own + i / tileRows * tileRows + tileRows), scale, &normalizer);
            if (normalizers) normalizers[(first + i) * normalizer_stride] = normalizer;
        }
        for (long j = 0; j < width; j += valueBlock)
            for (long c = 0; c < dimension; c += 16) {
                const float *block = values + c * height + j * 16;
                for (long i = first_to_see(j - own); i < count; i += tileRows) {
                    const long length = smaller(valueBlock, smaller(width, own + i + tileRows) - j);
                    const float *weights = scores + i * stride + j;
                    float *to = result + i * out_stride + c;
                    if (j > 0) tile16_of(count - i, rowsApart, length, weights, stride, block, 16, to, out_stride, 1);
                    else tile16_of(count - i, rowsApart, length, weights, stride, block, 16, to, out_stride, 0);
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

/// Of a row's scores p and their weights' gradients dp: weights p and gradients dp of the scores, zeros from `visible` on.
PART void weigh(float *p, float *dp, long visible, long width, float scale, float normalizer, float shared) {
    const __m256 factor = _mm256_set1_ps(scale), away = _mm256_set1_ps(shared);
    const __m256 exponent = _mm256_set1_ps(scale * binary), offset = _mm256_set1_ps(normalizer * binary);
    long j = 0;
    for (; j < visible; j += 8) {
        __m256 e = power_of_two(_mm256_fmsub_ps(_mm256_loadu_ps(p + j), exponent, offset));
        if (j + 8 > visible) e = _mm256_and_ps(e, _mm256_castsi256_ps(first_lanes(visible - j)));
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
            // The first row's own place among these keys.
            const long own = before + first - key;
            const float *queries = q + first * q_stride, *dO = d_out + first * out_stride;
            for (long j = 0; j < width; j += 16) {
                const long from = first_to_see(j - own);
                for (long i = from; i < count; i += tileRows)
                    tile16_of(
                        count - i, rowsApart, dimension, queries + i * q_stride, q_stride, keys + (key + j) * dimension, 16,
                        weights + i * backwardStride + j, backwardStride, 0);
                for (long i = from; i < count; i += tileRows)
                    tile16_of(
                        count - i, rowsApart, dimension, dO + i * out_stride, out_stride, values + (key + j) * dimension, 16,
                        d_scores + i * backwardStride + j, backwardStride, 0);
            }
            for (long i = 0; i < count; i++) {
                const long row = first + i, visible = smaller(width, own + i + 1);
                const float shared = dot(out + row * out_stride, d_out + row * out_stride, dimension);
                weigh(
                    weights + i * backwardStride, d_scores + i * backwardStride, visible,
                    // Tiles below reach some keys beyond what a row sees.
                    smaller(width, own + i + tileRows), scale, normalizers[row * normalizer_stride], shared);
            }
            for (long c = 0; c < dimension; c += 16)
                for (long i = 0; i < count; i += tileRows) {
                    const long length = smaller(width, own + i + tileRows);
                    if (length > 0)
                        tile16_of(
                            count - i, rowsApart, length, d_scores + i * backwardStride, backwardStride,
                            key_rows + c * height + key * 16, 16, d_q + (first + i) * d_q_stride + c, d_q_stride, 1);
                }
            for (long j = 0; j < seen; j += tileRows) {
                // Rows before this one see none of the keys.
                const long from = j > own ? j - own : 0;
                for (long c = 0; c < dimension; c += 16)
                    tile16_of(
                        seen - j, rowsTogether, count - from, d_scores + from * backwardStride + j, backwardStride,
                        queries + from * q_stride + c, q_stride, d_keys + (key + j) * dimension + c, dimension, 1);
            }
            for (long j = 0; j < seen; j += tileRows) {
                const long from = j > own ? j - own : 0;
                for (long c = 0; c < dimension; c += 16)
                    tile16_of(
                        seen - j, rowsTogether, count - from, weights + from * backwardStride + j, backwardStride,
                        dO + from * out_stride + c, out_stride, d_values + (key + j) * dimension + c, dimension, 1);
            }
        }
    }
}

static long attend_scratch(long keys) { return queryRows * score_stride(keys); }
static long attend_backward_scratch(void) { return 2 * backwardRows * backwardStride; }

#define ATTENTION_KERNELS \
    {pack_across, pack_along, finish_across, finish_along, attend, attend_scratch, attend_backward, attend_backward_scratch}
