#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx2,fma"
#define WIDTH 8
#include "attention.h"

const struct ckpt_attention_kernels ckpt_attention_avx2 = ATTENTION_KERNELS;

#endif
