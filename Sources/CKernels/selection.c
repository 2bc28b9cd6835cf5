#include "ckernels.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)

// Kernels of one kind each, in files of their own.
extern const struct ckpt_product_kernels ckpt_products_avx2, ckpt_products_avx512, ckpt_products_bfloat16_avx512;
extern const struct ckpt_panel_kernels ckpt_panels_avx512, ckpt_panels_bfloat16_avx512;
extern const struct ckpt_few_rows_kernels ckpt_few_rows_avx2, ckpt_few_rows_avx512, ckpt_few_rows_bfloat16_avx512;
extern const struct ckpt_attention_kernels ckpt_attention_avx2, ckpt_attention_avx512;
extern const struct ckpt_page_kernels ckpt_pages_avx2, ckpt_pages_avx512;
extern const struct ckpt_loop_kernels ckpt_loops_avx2, ckpt_loops_avx512;

/// What may be used at most: 0 what any x86-64 has, 1 AVX2, 2 AVX-512.
static int asked_limit(void) {
    const char *wanted = getenv("CKPT_MAX_CPU_ISA");
    if (!wanted || !strcmp(wanted, "avx512")) return 2;
    if (!strcmp(wanted, "avx2")) return 1;
    if (!strcmp(wanted, "sse2")) return 0;
    fputs("ckpt: CKPT_MAX_CPU_ISA is none of sse2, avx2, avx512\n", stderr);
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

/// Of AVX-512 what processors have had from the second generation on.
static int has_avx512(void) {
    return limit() >= 2 && has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static int has_bfloat16(void) { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

const char *ckpt_vectors(void) {
    return has_bfloat16() ? "AVX512-BF16" : has_avx512() ? "AVX-512" : has_avx2() ? "AVX2" : "SSE2";
}

const struct ckpt_few_rows_kernels *ckpt_few_rows_kernels(void) {
    return has_avx512() ? &ckpt_few_rows_avx512 : has_avx2() ? &ckpt_few_rows_avx2 : 0;
}

const struct ckpt_few_rows_kernels *ckpt_bfloat16_few_rows_kernels(void) {
    return has_bfloat16() ? &ckpt_few_rows_bfloat16_avx512 : 0;
}

const struct ckpt_panel_kernels *ckpt_panel_kernels(void) {
    return has_avx512() ? &ckpt_panels_avx512 : 0;
}

const struct ckpt_panel_kernels *ckpt_bfloat16_panel_kernels(void) {
    return has_bfloat16() ? &ckpt_panels_bfloat16_avx512 : 0;
}

const struct ckpt_product_kernels *ckpt_product_kernels(void) {
    return has_avx512() ? &ckpt_products_avx512 : has_avx2() ? &ckpt_products_avx2 : 0;
}

const struct ckpt_product_kernels *ckpt_bfloat16_product_kernels(void) {
    return has_bfloat16() ? &ckpt_products_bfloat16_avx512 : 0;
}

const struct ckpt_page_kernels *ckpt_page_kernels(long dimension) {
    return dimension % 16 == 0 && has_avx512() ? &ckpt_pages_avx512
        : dimension % 8 == 0 && has_avx2() ? &ckpt_pages_avx2 : 0;
}

const struct ckpt_attention_kernels *ckpt_attention_kernels(void) {
    return has_avx512() ? &ckpt_attention_avx512 : has_avx2() ? &ckpt_attention_avx2 : 0;
}

const struct ckpt_loop_kernels *ckpt_loop_kernels(void) {
    return has_avx512() ? &ckpt_loops_avx512 : has_avx2() ? &ckpt_loops_avx2 : 0;
}

#else

const char *ckpt_vectors(void) { return "portable"; }
const struct ckpt_few_rows_kernels *ckpt_few_rows_kernels(void) { return 0; }
const struct ckpt_few_rows_kernels *ckpt_bfloat16_few_rows_kernels(void) { return 0; }
const struct ckpt_panel_kernels *ckpt_panel_kernels(void) { return 0; }
const struct ckpt_panel_kernels *ckpt_bfloat16_panel_kernels(void) { return 0; }
const struct ckpt_product_kernels *ckpt_product_kernels(void) { return 0; }
const struct ckpt_product_kernels *ckpt_bfloat16_product_kernels(void) { return 0; }
const struct ckpt_page_kernels *ckpt_page_kernels(long dimension) { return 0; }
const struct ckpt_attention_kernels *ckpt_attention_kernels(void) { return 0; }
const struct ckpt_loop_kernels *ckpt_loop_kernels(void) { return 0; }

#endif
