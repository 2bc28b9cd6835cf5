// Differences of the bits of elements, in byte planes.
//
// A difference d wraps around at the width of the elements. Its code is 2d, or −2d − 1 if d is negative. The planes of
// the codes go from the most significant byte to the least; plane p begins at `planes + p * stride`.
#pragma once

#include <stdint.h>

/// Codes the differences from `a` to `b`, of `count` elements of 1, 2, 4 or 8 bytes; returns how many are not 0.
long ckpt_differences(
    const void *a, const void *b, long count, int element_size, uint8_t *planes, long stride);

/// The same for elements of two bytes whose low and high bytes are in planes of their own.
long ckpt_differences_of_planes(
    const uint8_t *a_low, const uint8_t *a_high, const uint8_t *b_low, const uint8_t *b_high, long count,
    uint8_t *planes, long stride);
