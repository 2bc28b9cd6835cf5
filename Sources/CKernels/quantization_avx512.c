#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define WIDTH 16
#include "quantization.h"

const struct ckpt_quantization_kernels ckpt_quantization_avx512 = QUANTIZATION_KERNELS;

#endif
