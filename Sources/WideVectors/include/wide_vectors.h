// Products of a few rows with a matrix of weights, in vectors of eight floats where the processor has AVX2 and FMA.
//
// A program compiled for any x86-64 has vectors of four floats and no fused multiply-add; these are compiled for more and
// called only where that is there.
#pragma once

#include <stdint.h>

/// Whether the functions below may be called.
int ckpt_has_wide_vectors(void);

/// c[m, n] = a[m, k] b[n, k]ᵀ + (adding ? c : 0). Distances between rows are in elements.
void ckpt_rows_times_transposed(
    long m, long n, long k, const float *a, long lda, const float *b, long ldb, float *c, long ldc, int adding);

/// The same with b in bfloat16.
void ckpt_rows_times_transposed_bf16(
    long m, long n, long k, const float *a, long lda, const uint16_t *b, long ldb, float *c, long ldc, int adding);
