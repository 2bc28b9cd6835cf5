// Kernels for matrix products, attention and element-wise operations that need AVX2 and FMA, or AVX-512.
//
// The program is compiled for any x86-64, which has vectors of four floats and no fused multiply-add. These functions
// are compiled for newer processors and called only on those. Each kind of kernel is a table of functions, and a
// function ckpt_…_kernels() returns the table for the processor at hand, or null if there is none.
#pragma once

#include <stdint.h>

/// The widest instruction set in use, by name. The environment variable CKPT_MAX_CPU_ISA (sse2, avx2, avx512) limits
/// it, so that machines of several kinds can compute the same bits.
const char *ckpt_instruction_set(void);

// In all products, rows of matrices are ld… elements apart, and c = … stands for c += … if `adding` is not 0.

/// c[m, n] = a[m, k] b[n, k]ᵀ for a few rows and many weights b, which go from memory straight into registers.
struct ckpt_skinny_gemm_kernels {
    /// The largest number of rows, and of elements of a (a share of the second-level cache), for which these kernels
    /// are faster than packing (docs/engine-figures.md has the rates).
    long max_rows, max_elements;
    void (*gemm_nt)(
        long m, long n, long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int adding);
    /// The same with b in bfloat16.
    void (*gemm_nt_bf16)(
        long m, long n, long k, const float *a, long lda, const uint16_t *b, long ldb, float *c, long ldc, int adding);
    /// If not null, `gemm_nt` and `gemm_nt_bf16` take the output of this function as a: a[m, k] rounded to bfloat16,
    /// with rows of ckpt_rounded_words(k) words.
    void (*round_rows)(long m, long k, const float *a, long lda, float *out);
};

static inline long ckpt_rounded_words(long k) { return (k + 31) / 32 * 16; }

/// Products of float32.
const struct ckpt_skinny_gemm_kernels *ckpt_skinny_gemm_kernels(void);
/// Products of factors rounded to bfloat16; sums in float32.
const struct ckpt_skinny_gemm_kernels *ckpt_skinny_gemm_bf16_kernels(void);

/// c[m, n] = a[m, k] b[n, k]ᵀ with a packed and b not: a vector holds a word of several rows of a, and is multiplied
/// with one weight at a time.
struct ckpt_packed_left_gemm_kernels {
    /// The largest number of rows, and the number that rows are padded to a multiple of.
    long max_rows, height;
    /// Terms of a row that are packed together. A packed row has ckpt_packed_left_words(k, terms) words of 32 bits.
    long terms;
    /// Packs terms `first` to `last` of a[m, k]. Both are multiples of `terms`, or `last` is k. `out` holds the words
    /// of m rows, padded.
    void (*pack)(long m, long k, const float *a, long lda, long first, long last, float *out);
    void (*gemm_nt)(
        long m, long n, long k, const float *packed, const float *b, long ldb, float *c, long ldc, int adding);
    /// The same with b in bfloat16.
    void (*gemm_nt_bf16)(
        long m, long n, long k, const float *packed, const uint16_t *b, long ldb, float *c, long ldc, int adding);
};

static inline long ckpt_packed_left_words(long k, long terms) { return 8 * ((k + terms - 1) / terms); }

/// Products of float32.
const struct ckpt_packed_left_gemm_kernels *ckpt_packed_left_gemm_kernels(void);
/// Products of factors rounded to bfloat16; sums in float32.
const struct ckpt_packed_left_gemm_kernels *ckpt_packed_left_gemm_bf16_kernels(void);
/// The same sums for at most eight rows: a vector holds a word of several columns of weights, and is multiplied with
/// one word of a row at a time.
const struct ckpt_packed_left_gemm_kernels *ckpt_few_rows_gemm_kernels(void);
const struct ckpt_packed_left_gemm_kernels *ckpt_few_rows_gemm_bf16_kernels(void);

/// c[m, n] = a[m, k] b[k, n] with both factors packed: a in panels of `rows` rows, b in panels of `columns` columns,
/// padded with zeros. A word of 32 bits holds `terms` terms of a sum, so a row or column has k / terms words, rounded
/// up.
struct ckpt_packed_gemm_kernels {
    long rows, columns, terms;
    /// Packs `rows` rows of a[rows, k], or of the transpose of a[k, rows].
    void (*pack_left)(long rows, long k, const float *a, long lda, int transposed, float *out);
    /// Packs `columns` columns of b[k, columns], or of the transpose of b[columns, k].
    void (*pack_right)(long columns, long k, const float *b, long ldb, int transposed, float *out);
    /// The same with b in bfloat16.
    void (*pack_right_bf16)(long columns, long k, const uint16_t *b, long ldb, int transposed, float *out);
    /// c[m, n] = left right.
    void (*multiply)(
        long m, long n, long k, const float *left, const float *right, float *c, long ldc, int adding);
};

/// Products of float32.
const struct ckpt_packed_gemm_kernels *ckpt_packed_gemm_kernels(void);
/// Products of factors rounded to bfloat16 when packed; sums in float32. Numbers below 2^-126 are treated as zero.
const struct ckpt_packed_gemm_kernels *ckpt_packed_gemm_bf16_kernels(void);
/// Whether these products are faster than those in float32.
int ckpt_has_fast_bfloat16(void);

/// Causal attention of one head over one segment. `rows` queries follow `before` earlier tokens; query i attends to the
/// last `window` of the first before + i + 1 keys, or to all of them. The dimension is a multiple of 16. Keys and
/// values are packed in panels of 16, with the number of keys rounded up and zeros in the padding: transposed
/// [keys / 16][dimension][16], or as rows [dimension / 16][keys][16].
struct ckpt_attention_kernels {
    /// Packs `count` rows of keys or values, starting with row `at` of the packed matrix.
    void (*pack_transposed)(const float *rows, long stride, long count, long dimension, long at, float *out);
    void (*pack_rows)(const float *rows, long stride, long count, long dimension, long at, long keys, float *out);
    /// Writes the zeros of the padding.
    void (*pad_transposed)(long dimension, long keys, float *out);
    void (*pad_rows)(long dimension, long keys, float *out);

    /// out[rows, dimension] = softmax(scale q keysᵀ) values, and each row's log Σ e^score unless `normalizers` is null.
    /// Keys are packed transposed, values as rows; `scores` has `attend_scratch(before + rows)` floats.
    void (*attend)(
        long dimension, long before, long rows, long window, const float *q, long q_stride, const float *keys,
        const float *values, float scale, float *out, long out_stride, float *normalizers, long normalizer_stride,
        float *scores);
    long (*attend_scratch)(long keys);

    /// Writes the gradients of the queries to `d_q`, and adds those of keys and values to `d_keys` and `d_values`
    /// [before + rows, dimension]. `keys` and `values` are packed transposed, `key_rows` are the keys packed as rows;
    /// `scratch` has `attend_backward_scratch()` floats.
    void (*attend_backward)(
        long dimension, long before, long rows, long window, const float *q, long q_stride, const float *keys,
        const float *values, const float *key_rows, float scale, const float *out, const float *d_out, long out_stride,
        const float *normalizers, long normalizer_stride, float *d_q, long d_q_stride, float *d_keys, float *d_values,
        float *scratch);
    long (*attend_backward_scratch)(void);
};

const struct ckpt_attention_kernels *ckpt_attention_kernels(void);

/// Attention of new tokens over one page of cached tokens, for heads that share keys and values. Without fused
/// multiply-add, so that the bits are those of the loops in CachedAttention.swift for every vector width.
struct ckpt_cached_attention_kernels {
    /// Products of queries [heads, dimension] with the 32 keys of a page [dimension, 32], into scores[heads, 32] with
    /// rows `stride` apart. Prefetches `next`, the keys of the next page.
    void (*scores)(
        const float *queries, long heads, long dimension, const void *keys, const void *next, float *scores,
        long stride);
    /// output[heads, dimension] += Σ weights[t] values[t], over the first `count` of a page's 32 values [dimension].
    /// Prefetches `next`, the values of the next page.
    void (*add_values)(
        const float *weights, long stride, long heads, const void *values, const void *next, long count,
        long dimension, float *output);
};

/// The kernels for heads of `dimension` numbers, which must be a multiple of eight, cached as float32.
const struct ckpt_cached_attention_kernels *ckpt_cached_attention_kernels(long dimension);

/// The same for keys and values cached as bfloat16, widened when they are read.
const struct ckpt_cached_attention_kernels *ckpt_cached_attention_bf16_kernels(long dimension);

/// Element-wise loops over `count` numbers, a multiple of eight, with the bits of the loops in
/// Sources/Transformer/Operations for every vector width. Sums are returned as eight partial sums, one per lane.
struct ckpt_elementwise_kernels {
    /// y = e^(x · scale − offset), and the sums of y.
    void (*exponentials)(const float *x, float scale, float offset, float *y, long count, float *sums);
    /// With d = x · scale − top: the sums of e^d and of d e^d.
    void (*softmax_sums)(const float *x, float scale, float top, long count, float *sums, float *weighted);
    /// With l = z · scale − normalizer: z = −e^l direct, or −e^l (base + spread l) if spread is not 0.
    void (*log_probability_gradients)(
        float *z, float scale, float normalizer, float direct, float base, float spread, long count);
    /// y = silu(gate) · up.
    void (*swiglu)(const float *gate, const float *up, float *y, long count);
    /// Replaces gate and up by their gradients, and the gradient in dy by silu(gate) · up.
    void (*swiglu_backward)(float *gate, float *up, float *dy, long count);
};

const struct ckpt_elementwise_kernels *ckpt_elementwise_kernels(void);

/// Numbers in fewer bits, with stochastic rounding. The bits are the same for every vector width.
///
/// 8-bit codes are in blocks of at most ckpt_quantization_block numbers with one scale: a sign (if signed), an exponent
/// (4 bits if signed, else 5) and 3 bits of the mantissa. A block's largest number has the largest code.
struct ckpt_quantization_kernels {
    /// Writes random words, a function of the key and of the indices `first`, first + 1, …
    void (*random_words)(uint64_t key, uint32_t first, long count, uint32_t *out);
    void (*decode_signed)(const uint8_t *codes, float scale, long count, float *out);
    void (*decode_unsigned)(const uint8_t *codes, float scale, long count, float *out);
    /// Writes the codes of a block and returns its scale. Rounding takes the lower halves of the random words if
    /// signed, else the upper ones. Numbers without sign that are not 0 do not become 0, but at least code 1.
    float (*encode_signed)(const float *x, const uint32_t *random, long count, uint8_t *codes);
    float (*encode_unsigned)(const float *x, const uint32_t *random, long count, uint8_t *codes);
    /// Rounds with the lower halves of the random words.
    void (*round_bf16)(const float *x, const uint32_t *random, long count, uint16_t *out);
};

enum { ckpt_quantization_block = 256 };

/// The kernels for the processor at hand, which every processor has.
const struct ckpt_quantization_kernels *ckpt_quantization_kernels(void);
