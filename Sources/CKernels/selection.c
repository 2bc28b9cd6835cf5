#include "ckernels.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct ckpt_quantization_kernels ckpt_quantization_portable;

#if defined(__x86_64__)

// Defined in one file per instruction set.
extern const struct ckpt_packed_gemm_kernels ckpt_packed_gemm_avx2, ckpt_packed_gemm_avx512,
    ckpt_packed_gemm_bf16_avx512;
extern const struct ckpt_packed_left_gemm_kernels ckpt_packed_left_gemm_avx512, ckpt_packed_left_gemm_bf16_avx512,
    ckpt_few_rows_gemm_avx2, ckpt_few_rows_gemm_avx512, ckpt_few_rows_gemm_bf16_avx512;
extern const struct ckpt_skinny_gemm_kernels ckpt_skinny_gemm_avx2, ckpt_skinny_gemm_avx512,
    ckpt_skinny_gemm_bf16_avx512;
extern const struct ckpt_attention_kernels ckpt_attention_avx2, ckpt_attention_avx512;
extern const struct ckpt_cached_attention_kernels ckpt_cached_attention_avx2, ckpt_cached_attention_avx512,
    ckpt_cached_attention_bf16_avx2, ckpt_cached_attention_bf16_avx512;
extern const struct ckpt_elementwise_kernels ckpt_elementwise_avx2, ckpt_elementwise_avx512;
extern const struct ckpt_quantization_kernels ckpt_quantization_avx2, ckpt_quantization_avx512;

/// The newest instruction set to use: 0 SSE2, 1 AVX2, 2 AVX-512.
static int asked_limit(void) {
    const char *wanted = getenv("CKPT_MAX_CPU_ISA");
    if (!wanted || !strcmp(wanted, "avx512")) return 2;
    if (!strcmp(wanted, "avx2")) return 1;
    if (!strcmp(wanted, "sse2")) return 0;
    fputs("ckpt: CKPT_MAX_CPU_ISA must be sse2, avx2 or avx512\n", stderr);
    exit(2);
}

static int limit(void) {
    static atomic_int known = -1;
    int value = atomic_load_explicit(&known, memory_order_relaxed);
    if (value < 0) atomic_store_explicit(&known, value = asked_limit(), memory_order_relaxed);
    return value;
}

static int has_avx2(void) {
    return limit() >= 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

/// Whether the processor has the extensions of AVX-512 that came with its second generation.
static int has_avx512(void) {
    return limit() >= 2 && has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_bfloat16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

const char *ckpt_instruction_set(void) {
    return has_bfloat16() ? "AVX512-BF16" : has_avx512() ? "AVX-512" : has_avx2() ? "AVX2" : "SSE2";
}

const struct ckpt_skinny_gemm_kernels *ckpt_skinny_gemm_kernels(void) {
    return has_avx512() ? &ckpt_skinny_gemm_avx512 : has_avx2() ? &ckpt_skinny_gemm_avx2 : 0;
}

const struct ckpt_skinny_gemm_kernels *ckpt_skinny_gemm_bf16_kernels(void) {
    return has_bfloat16() ? &ckpt_skinny_gemm_bf16_avx512 : 0;
}

const struct ckpt_packed_left_gemm_kernels *ckpt_packed_left_gemm_kernels(void) {
    return has_avx512() ? &ckpt_packed_left_gemm_avx512 : 0;
}

const struct ckpt_packed_left_gemm_kernels *ckpt_packed_left_gemm_bf16_kernels(void) {
    return has_bfloat16() ? &ckpt_packed_left_gemm_bf16_avx512 : 0;
}

const struct ckpt_packed_left_gemm_kernels *ckpt_few_rows_gemm_kernels(void) {
    return has_avx512() ? &ckpt_few_rows_gemm_avx512 : has_avx2() ? &ckpt_few_rows_gemm_avx2 : 0;
}

const struct ckpt_packed_left_gemm_kernels *ckpt_few_rows_gemm_bf16_kernels(void) {
    return has_bfloat16() ? &ckpt_few_rows_gemm_bf16_avx512 : 0;
}

const struct ckpt_packed_gemm_kernels *ckpt_packed_gemm_kernels(void) {
    return has_avx512() ? &ckpt_packed_gemm_avx512 : has_avx2() ? &ckpt_packed_gemm_avx2 : 0;
}

const struct ckpt_packed_gemm_kernels *ckpt_packed_gemm_bf16_kernels(void) {
    return has_bfloat16() ? &ckpt_packed_gemm_bf16_avx512 : 0;
}

// VDPBF16PS of AMD's processors (Zen 4 and 5) does twice the work of a float32 FMA in the same time. On Intel's it
// takes four times as long as one, so that it does half the work.
int ckpt_has_fast_bfloat16(void) { return has_bfloat16() && __builtin_cpu_is("amd"); }

const struct ckpt_cached_attention_kernels *ckpt_cached_attention_kernels(long dimension) {
    return dimension % 16 == 0 && has_avx512() ? &ckpt_cached_attention_avx512
        : dimension % 8 == 0 && has_avx2() ? &ckpt_cached_attention_avx2 : 0;
}

const struct ckpt_cached_attention_kernels *ckpt_cached_attention_bf16_kernels(long dimension) {
    return dimension % 16 == 0 && has_avx512() ? &ckpt_cached_attention_bf16_avx512
        : dimension % 8 == 0 && has_avx2() ? &ckpt_cached_attention_bf16_avx2 : 0;
}

const struct ckpt_attention_kernels *ckpt_attention_kernels(void) {
    return has_avx512() ? &ckpt_attention_avx512 : has_avx2() ? &ckpt_attention_avx2 : 0;
}

const struct ckpt_elementwise_kernels *ckpt_elementwise_kernels(void) {
    return has_avx512() ? &ckpt_elementwise_avx512 : has_avx2() ? &ckpt_elementwise_avx2 : 0;
}

const struct ckpt_quantization_kernels *ckpt_quantization_kernels(void) {
    return has_avx512() ? &ckpt_quantization_avx512 : has_avx2() ? &ckpt_quantization_avx2
                                                                  : &ckpt_quantization_portable;
}

#else

const char *ckpt_instruction_set(void) { return "portable"; }
const struct ckpt_skinny_gemm_kernels *ckpt_skinny_gemm_kernels(void) { return 0; }
const struct ckpt_skinny_gemm_kernels *ckpt_skinny_gemm_bf16_kernels(void) { return 0; }
const struct ckpt_packed_left_gemm_kernels *ckpt_packed_left_gemm_kernels(void) { return 0; }
const struct ckpt_packed_left_gemm_kernels *ckpt_packed_left_gemm_bf16_kernels(void) { return 0; }
const struct ckpt_packed_left_gemm_kernels *ckpt_few_rows_gemm_kernels(void) { return 0; }
const struct ckpt_packed_left_gemm_kernels *ckpt_few_rows_gemm_bf16_kernels(void) { return 0; }
const struct ckpt_packed_gemm_kernels *ckpt_packed_gemm_kernels(void) { return 0; }
const struct ckpt_packed_gemm_kernels *ckpt_packed_gemm_bf16_kernels(void) { return 0; }
int ckpt_has_fast_bfloat16(void) { return 0; }
const struct ckpt_cached_attention_kernels *ckpt_cached_attention_kernels(long dimension) { return 0; }
const struct ckpt_cached_attention_kernels *ckpt_cached_attention_bf16_kernels(long dimension) { return 0; }
const struct ckpt_attention_kernels *ckpt_attention_kernels(void) { return 0; }
const struct ckpt_elementwise_kernels *ckpt_elementwise_kernels(void) { return 0; }
const struct ckpt_quantization_kernels *ckpt_quantization_kernels(void) { return &ckpt_quantization_portable; }

#endif
