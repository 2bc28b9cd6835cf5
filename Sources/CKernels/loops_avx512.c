#if defined(__x86_64__)

#include "ckernels.h"

extern const struct ckpt_loop_kernels ckpt_loops_avx2;

#define LOOP __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
#define WIDTH 16
#define REST ckpt_loops_avx2
#include "loops.h"

const struct ckpt_loop_kernels ckpt_loops_avx512 = LOOP_KERNELS;

#endif
