#include "differences.h"

#define PART static inline __attribute__((always_inline))

/// Elements of a block: fewer than a byte can count, and a multiple of what a vector holds.
enum { block = 192 };

// The compiler vectorises the loops over a block.

PART long block_of_8(const uint8_t *a, const uint8_t *b, long count, uint8_t *restrict plane) {
    uint8_t changed = 0;
    for (long i = 0; i < count; i++) {
        uint8_t d = b[i] - a[i];
        plane[i] = (uint8_t)(d + d) ^ (uint8_t)-(d >> 7);
        changed += d != 0;
    }
    return changed;
}

PART long block_of_16(const uint16_t *a, const uint16_t *b, long count, uint8_t *restrict high, uint8_t *restrict low) {
    uint16_t changed = 0;
    for (long i = 0; i < count; i++) {
        uint16_t d = b[i] - a[i];
        uint16_t code = (uint16_t)(d + d) ^ (uint16_t)-(d >> 15);
        low[i] = (uint8_t)code;
        high[i] = (uint8_t)(code >> 8);
        changed += d != 0;
    }
    return changed;
}

PART long block_of_32(const uint32_t *a, const uint32_t *b, long count, uint8_t *planes, long stride) {
    uint8_t *restrict p0 = planes, *restrict p1 = planes + stride;
    uint8_t *restrict p2 = planes + 2 * stride, *restrict p3 = planes + 3 * stride;
    uint32_t changed = 0;
    for (long i = 0; i < count; i++) {
        uint32_t d = b[i] - a[i];
        uint32_t code = (d + d) ^ -(d >> 31);
        p3[i] = (uint8_t)code;
        p2[i] = (uint8_t)(code >> 8);
        p1[i] = (uint8_t)(code >> 16);
        p0[i] = (uint8_t)(code >> 24);
        changed += d != 0;
    }
    return changed;
}

PART long block_of_64(const uint64_t *a, const uint64_t *b, long count, uint8_t *planes, long stride) {
    long changed = 0;
    for (long i = 0; i < count; i++) {
        uint64_t d = b[i] - a[i];
        uint64_t code = (d + d) ^ -(d >> 63);
        for (int plane = 0; plane < 8; plane++) planes[plane * stride + i] = (uint8_t)(code >> (56 - 8 * plane));
        changed += d != 0;
    }
    return changed;
}

PART long block_of_planes(
    const uint8_t *a_low, const uint8_t *a_high, const uint8_t *b_low, const uint8_t *b_high, long count,
    uint8_t *restrict high, uint8_t *restrict low) {
    uint8_t changed = 0;
    for (long i = 0; i < count; i++) {
        uint8_t low_difference = b_low[i] - a_low[i];
        uint8_t high_difference = b_high[i] - a_high[i] - (b_low[i] < a_low[i]);
        uint8_t sign = (int8_t)high_difference < 0 ? 0xff : 0, carry = (int8_t)low_difference < 0;
        // Adding a byte to itself shifts it left.
        low[i] = (uint8_t)(low_difference + low_difference) ^ sign;
        high[i] = (uint8_t)(high_difference + high_difference + carry) ^ sign;
        changed += (low_difference | high_difference) != 0;
    }
    return changed;
}

PART long differences(const void *a, const void *b, long count, int element_size, uint8_t *planes, long stride) {
    long changed = 0;
    for (long start = 0; start < count; start += block) {
        long length = count - start < block ? count - start : block;
        uint8_t *target = planes + start;
        switch (element_size) {
            case 1:
                changed += block_of_8((const uint8_t *)a + start, (const uint8_t *)b + start, length, target);
                break;
            case 2:
                changed += block_of_16(
                    (const uint16_t *)a + start, (const uint16_t *)b + start, length, target, target + stride);
                break;
            case 4:
                changed += block_of_32(
                    (const uint32_t *)a + start, (const uint32_t *)b + start, length, target, stride);
                break;
            default:
                changed += block_of_64(
                    (const uint64_t *)a + start, (const uint64_t *)b + start, length, target, stride);
        }
    }
    return changed;
}

PART long differences_of_planes(
    const uint8_t *a_low, const uint8_t *a_high, const uint8_t *b_low, const uint8_t *b_high, long count,
    uint8_t *planes, long stride) {
    long changed = 0;
    for (long start = 0; start < count; start += block) {
        long length = count - start < block ? count - start : block;
        changed += block_of_planes(
            a_low + start, a_high + start, b_low + start, b_high + start, length, planes + start,
            planes + stride + start);
    }
    return changed;
}

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2")))

AVX2 static long differences_avx2(
    const void *a, const void *b, long count, int element_size, uint8_t *planes, long stride) {
    return differences(a, b, count, element_size, planes, stride);
}

AVX2 static long differences_of_planes_avx2(
    const uint8_t *a_low, const uint8_t *a_high, const uint8_t *b_low, const uint8_t *b_high, long count,
    uint8_t *planes, long stride) {
    return differences_of_planes(a_low, a_high, b_low, b_high, count, planes, stride);
}

static int has_avx2(void) { return __builtin_cpu_supports("avx2"); }

#else

#define differences_avx2 differences
#define differences_of_planes_avx2 differences_of_planes

static int has_avx2(void) { return 0; }

#endif

long ckpt_differences(const void *a, const void *b, long count, int element_size, uint8_t *planes, long stride) {
    return (has_avx2() ? differences_avx2 : differences)(a, b, count, element_size, planes, stride);
}

long ckpt_differences_of_planes(
    const uint8_t *a_low, const uint8_t *a_high, const uint8_t *b_low, const uint8_t *b_high, long count,
    uint8_t *planes, long stride) {
    return (has_avx2() ? differences_of_planes_avx2 : differences_of_planes)(
        a_low, a_high, b_low, b_high, count, planes, stride);
}
