#if defined(__x86_64__)

#define KERNEL __attribute__((target("avx2")))
#define WIDTH 8
#include "elementwise.h"

const struct ckpt_elementwise_kernels ckpt_elementwise_avx2 = ELEMENTWISE_KERNELS;

#endif
