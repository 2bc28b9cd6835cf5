#include "ckernels.h"

#if defined(__x86_64__)

#define TARGET "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define WIDTH 16
#include "attention.h"

const struct ckpt_attention_kernels ckpt_attention_avx512 = ATTENTION_KERNELS;

#endif
