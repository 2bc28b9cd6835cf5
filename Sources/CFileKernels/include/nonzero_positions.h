// Finds the bytes of two arrays that are not zero, which are few.
#pragma once

#include <stdint.h>

/// Writes the positions at which `a` or `b` is not zero, ascending, and returns their number; -1 if it exceeds `limit`.
///
/// `positions` has room for 64 more than `limit`.
long ckpt_nonzero_positions(const uint8_t *a, const uint8_t *b, long count, long limit, uint32_t *positions);
