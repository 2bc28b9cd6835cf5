#if defined(__x86_64__)

#define LOOP __attribute__((target("avx2")))
#define WIDTH 8
#include "loops.h"

const struct ckpt_loop_kernels ckpt_loops_avx2 = LOOP_KERNELS;

#endif
