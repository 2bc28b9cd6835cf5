#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx2")))
#define WIDTH 8
#include "quantization.h"

const struct ckpt_quantization_kernels ckpt_quantization_avx2 = QUANTIZATION_KERNELS;

#endif
