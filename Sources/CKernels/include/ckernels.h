// Kernels in vectors of eight floats, for processors that have AVX2 and FMA, some also of sixteen, for AVX-512: matrix products
// and attention.
//
// A program compiled for any x86-64 has vectors of four floats and no fused multiply-add; these are compiled for more and
// called only where that is there.
#pragma once

#include <stdint.h>

/// The widest instructions in use, in words. The environment's CKPT_MAX_CPU_ISA (sse2, avx2, avx512) narrows them, so that
/// machines of several kinds can give the same bits.
const char *ckpt_vectors(void);

// Kernels that exist for several kinds of processors are given as tables of functions; null where this one has none.

/// Products c[m, n] = a[m, k] b[n, k]ᵀ + (adding ? c : 0) of a few rows with many weights, which go from memory straight into
/// registers. Distances between rows are in elements.
struct ckpt_few_rows_kernels {
    /// For more rows packing pays (docs/engine.md has the rates), and for more numbers of a than the second cache keeps.
    long most_rows, most_numbers;
    void (*times_transposed)(
        long m, long n, long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int adding);
    /// The same with b in bfloat16.
    void (*times_transposed_compact)(
        long m, long n, long k, const float *a, long lda, const uint16_t *b, long ldb, float *c, long ldc, int adding);
    /// Where there is such a function, a is what it made of a[m, k], with rows of ckpt_rounded_words(k) words.
    void (*round)(long m, long k, const float *a, long lda, float *out);
};

static inline long ckpt_rounded_words(long k) { return (k + 31) / 32 * 16; }

/// Products of floats.
const struct ckpt_few_rows_kernels *ckpt_few_rows_kernels(void);
/// Products of factors rounded to bfloat16; sums in float32.
const struct ckpt_few_rows_kernels *ckpt_bfloat16_few_rows_kernels(void);

/// Products c[m, n] = a[m, k] b[n, k]ᵀ + (adding ? c : 0) of more rows with weights that stay as they are: a is packed first, so
/// that vectors hold a word of several rows, which weights are multiplied with one by one.
struct ckpt_panel_kernels {
    /// Terms of a row that are packed together. A packed row has ckpt_panel_words(k, terms) words of 32 bits.
    long terms;
    /// Packs terms `first` to `last` (both multiples of `terms`, or `last` = k) of a[m, k]; `out` has room for the words of m
    /// rows, rounded up to a multiple of 16.
    void (*pack)(long m, long k, const float *a, long lda, long first, long last, float *out);
    void (*times_transposed)(
        long m, long n, long k, const float *packed, const float *b, long ldb, float *c, long ldc, int adding);
    /// The same with b in bfloat16.
    void (*times_transposed_compact)(
        long m, long n, long k, const float *packed, const uint16_t *b, long ldb, float *c, long ldc, int adding);
};

static inline long ckpt_panel_words(long k, long terms) { return 8 * ((k + terms - 1) / terms); }

/// Products of floats.
const struct ckpt_panel_kernels *ckpt_panel_kernels(void);
/// Products of factors rounded to bfloat16; sums in float32.
const struct ckpt_panel_kernels *ckpt_bfloat16_panel_kernels(void);

/// Products c[m, n] = a[m, k] b[k, n] of large matrices. Both factors are packed first: the left one in panels of `rows` rows,
/// the right one in panels of `columns` columns, missing rows, columns and terms zero. A word of 32 bits holds `terms` terms of
/// a sum, so a panel has k / terms words, rounded up, of each row or column.
struct ckpt_product_kernels {
    long rows, columns, terms;
    /// Packs `rows` rows of a[rows, k], or of the transpose of a[k, rows].
    void (*pack_left)(long rows, long k, const float *a, long lda, int transposed, float *out);
    /// Packs `columns` columns of b[k, columns], or of the transpose of b[columns, k].
    void (*pack_right)(long columns, long k, const float *b, long ldb, int transposed, float *out);
    /// The same of the transpose of b[columns, k] in bfloat16.
    void (*pack_right_compact)(long columns, long k, const uint16_t *b, long ldb, float *out);
    /// c[m, n] = left right + (adding ? c : 0).
    void (*multiply)(
        long m, long n, long k, const float *left, const float *right, float *c, long ldc, int adding);
};

/// Products of floats.
const struct ckpt_product_kernels *ckpt_product_kernels(void);
/// Products of factors that are rounded to bfloat16 as they are packed; sums in float32. Numbers smaller than 2^-126 count as
/// zero.
const struct ckpt_product_kernels *ckpt_bfloat16_product_kernels(void);

/// Attention of one head over one segment. `rows` queries follow `before` earlier tokens; query i sees the first
/// before + i + 1 keys. The dimension is a multiple of 16. Keys and values are packed in panels of 16, the last one filled
/// up with zeros (`finish_…`): "across" [keys / 16][dimension][16], "along" [dimension / 16][keys rounded up][16].
struct ckpt_attention_kernels {
    /// Packs `count` rows of keys or values from the `at`-th on.
    void (*pack_across)(const float *rows, long stride, long count, long dimension, long at, float *out);
    void (*pack_along)(const float *rows, long stride, long count, long dimension, long at, long keys, float *out);
    void (*finish_across)(long dimension, long keys, float *out);
    void (*finish_along)(long dimension, long keys, float *out);

    /// out[rows, dimension] = softmax(scale q keysᵀ) values and each row's log Σ e^score (`normalizers` may be null). Keys
    /// across, values along; `scores` has `attend_scratch(before + rows)` floats.
    void (*attend)(
        long dimension, long before, long rows, const float *q, long q_stride, const float *keys, const float *values,
        float scale, float *out, long out_stride, float *normalizers, long normalizer_stride, float *scores);
    long (*attend_scratch)(long keys);

    /// Gradients: of the queries into `d_q`, of keys and values added to `d_keys` and `d_values` [before + rows, dimension].
    /// Keys and values across, `key_rows` the keys along; `scratch` has `attend_backward_scratch()` floats.
    void (*attend_backward)(
        long dimension, long before, long rows, const float *q, long q_stride, const float *keys, const float *values,
        const float *key_rows, float scale, const float *out, const float *d_out, long out_stride,
        const float *normalizers, long normalizer_stride, float *d_q, long d_q_stride, float *d_keys, float *d_values,
        float *scratch);
    long (*attend_backward_scratch)(void);
};

const struct ckpt_attention_kernels *ckpt_attention_kernels(void);

/// Attention of new tokens over a page of cached ones, for heads that share keys and values. Without fused products: the bits
/// are those of the loops in Sources/Transformer/Operations, whatever the vectors.
struct ckpt_page_kernels {
    /// Products of queries [heads, dimension] with the 32 keys of a page [dimension, 32]; a head's are `stride` from the next's.
    /// Asks memory for `next`, the keys that come after these.
    void (*scores)(
        const float *queries, long heads, long dimension, const float *keys, const float *next, float *scores, long stride);
    /// output[heads, dimension] += Σ weights[t] values[t], over `count` of a page's 32 rows [dimension]. Asks memory for as many
    /// from `next` on.
    void (*values)(
        const float *weights, long stride, long heads, const float *values, const float *next, long count, long dimension,
        float *output);
};

/// For heads of so many numbers, a multiple of eight.
const struct ckpt_page_kernels *ckpt_page_kernels(long dimension);

/// Loops over `count` numbers, a multiple of eight, with the bits of the loops in Sources/Transformer/Operations, whatever the
/// vectors. Sums are given as they stand in the eight lanes.
struct ckpt_loop_kernels {
    /// y = e^(x · scale − offset), and the sums of y.
    void (*exponentials)(const float *x, float scale, float offset, float *y, long count, float *sums);
    /// With d = x · scale − top: the sums of e^d and of d e^d.
    void (*softmax_sums)(const float *x, float scale, float top, long count, float *sums, float *weighted);
    /// With l = z · scale − normalizer: z = −e^l direct, or −e^l (base + spread l) where spread is not 0.
    void (*log_probability_gradients)(
        float *z, float scale, float normalizer, float direct, float base, float spread, long count);
    /// y = silu(gate) · up.
    void (*swiglu)(const float *gate, const float *up, float *y, long count);
    /// Replaces gate and up by their gradients, and the gradient in dy by silu(gate) · up.
    void (*swiglu_backward)(float *gate, float *up, float *dy, long count);
};

const struct ckpt_loop_kernels *ckpt_loop_kernels(void);
