// zstd with its experimental parameters for stable buffers, which Debian's library exports.
#pragma once
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

// Swift does not import macros that expand to enumerators.
static const ZSTD_cParameter ckpt_zstd_stable_in_buffer = ZSTD_c_stableInBuffer;
static const ZSTD_cParameter ckpt_zstd_stable_out_buffer = ZSTD_c_stableOutBuffer;
