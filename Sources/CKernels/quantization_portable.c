#define KERNEL
#define WIDTH 8
#include "quantization.h"

const struct ckpt_quantization_kernels ckpt_quantization_portable = QUANTIZATION_KERNELS;
