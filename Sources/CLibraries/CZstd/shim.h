// zstd with its experimental parameters (literal compression mode), which Debian's library exports.
#pragma once
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>
