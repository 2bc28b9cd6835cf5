#if defined(__x86_64__)

#include "ckernels.h"

extern const struct ckpt_elementwise_kernels ckpt_elementwise_avx2;

#define KERNEL __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define WIDTH 16
#define HALF_WIDTH_KERNELS ckpt_elementwise_avx2
#include "elementwise.h"

const struct ckpt_elementwise_kernels ckpt_elementwise_avx512 = ELEMENTWISE_KERNELS;

#endif
