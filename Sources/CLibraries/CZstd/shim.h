// zstd with its experimental parameters (buffers that stay in place), which Debian's library exports.
#pragma once
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

// Swift does not import a macro that stands for an enumerator.
static const ZSTD_cParameter ckpt_zstd_stable_in_buffer = ZSTD_c_stableInBuffer;
static const ZSTD_cParameter ckpt_zstd_stable_out_buffer = ZSTD_c_stableOutBuffer;
