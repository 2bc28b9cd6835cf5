// The rounds of xxHash's 64-bit hash.
#pragma once

#include <stdint.h>

/// Updates the four lanes of a hash with stripes of 32 bytes.
void ckpt_xxh64_stripes(uint64_t *lanes, const void *bytes, long stripes);
