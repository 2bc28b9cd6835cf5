// 8-bit codes with a scale per block, bfloat16, and the random numbers that round to them. The including file defines
// KERNEL and WIDTH.
//
// Without fused multiply-add, so that the bits are the same for every vector width.
#include "ckernels.h"

#include <string.h>

#pragma STDC FP_CONTRACT OFF

#define INLINE static inline __attribute__((always_inline)) KERNEL

typedef float vector __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef int32_t integers __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef uint32_t words __attribute__((vector_size(4 * WIDTH), aligned(4)));
typedef uint16_t halves __attribute__((vector_size(2 * WIDTH), aligned(2)));
typedef uint8_t bytes __attribute__((vector_size(WIDTH), aligned(1)));

#define SELECT(mask, a, b) (((mask) & (a)) | (~(mask) & (b)))

/// The last elements of arrays whose length is not a multiple of WIDTH, padded with zeros.
#define PADDED(type, name, from, count) \
    type name[WIDTH] = {0};             \
    memcpy(name, from, (count) * sizeof *name)

KERNEL static void random_words(uint64_t key, uint32_t first, long count, uint32_t *out) {
    words index;
    for (int lane = 0; lane < WIDTH; lane++) index[lane] = first + (uint32_t)lane;
    for (long i = 0; i < count; i += WIDTH, index += WIDTH) {
        // The finaliser of Wellons's "lowbias32" (two rounds), with half of the key before each round.
        words x = index ^ (uint32_t)key;
        x = (x ^ (x >> 16)) * 0x7FEB352D;
        x = ((x ^ (x >> 15)) + (uint32_t)(key >> 32)) * 0x846CA68B;
        x ^= x >> 16;
        if (count - i >= WIDTH) *(words *)(out + i) = x;
        else memcpy(out + i, &x, (count - i) * sizeof *out);
    }
}

// A code is the upper bits of a float32: a sign if it has one, then exponent and three bits of the mantissa. The
// largest code stands for 1.875, code 1 for 1.125 / 2^15 (with sign) or 1.125 / 2^31 (without), code 0 for zero.
#define MANTISSA 20
#define LARGEST 1.875f
/// Blocks of smaller numbers are stored as zeros.
#define LEAST_SCALED 0x1p-90f

INLINE int32_t offset_of(int is_signed) { return (is_signed ? 127 - 15 : 127 - 31) << (23 - MANTISSA); }

INLINE void decode_vector(const uint8_t *codes, float scale, float *out, const int is_signed) {
    const words code = __builtin_convertvector(*(const bytes *)codes, words);
    const words magnitude = is_signed ? code & 0x7F : code;
    words bits = (magnitude + (uint32_t)offset_of(is_signed)) << MANTISSA;
    bits &= (words)(magnitude != 0);
    if (is_signed) bits |= (code & 0x80) << 24;
    *(vector *)out = (vector)bits * scale;
}

INLINE void decode(const uint8_t *codes, float scale, long count, float *out, const int is_signed) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) decode_vector(codes + i, scale, out + i, is_signed);
    if (i == count) return;
    PADDED(uint8_t, rest, codes + i, count - i);
    float decoded[WIDTH];
    decode_vector(rest, scale, decoded, is_signed);
    memcpy(out + i, decoded, (count - i) * sizeof *out);
}

INLINE void encode_vector(
    const float *x, const uint32_t *random, float inverse, uint8_t *codes, const int is_signed) {
    const int32_t largest = is_signed ? 127 : 255;
    const union { int32_t bits; float value; } least = {(offset_of(is_signed) + 1) << MANTISSA};
    const vector value = *(const vector *)x;
    const words word = *(const words *)random;
    // 16 random bits, as a number in 0 ..< 2^20.
    const integers chance = (integers)(((is_signed ? word & 0xFFFF : word >> 16) << 4) | 8);
    const integers bits = (integers)((vector)((words)value & 0x7FFFFFFF) * inverse);
    integers code = ((bits + chance) >> MANTISSA) - offset_of(is_signed);
    code = SELECT(code > largest, largest, code);
    if (is_signed) {
        // Between 0 and the least number: one of the two.
        const vector threshold = __builtin_convertvector(chance, vector) * (least.value * 0x1p-20f);
        code = SELECT(bits < least.bits, (integers)(threshold < (vector)bits) & 1, code);
        code |= (integers)(((words)value >> 24) & 0x80);
    } else {
        // Never down to zero: a first moment is divided by the root of this number.
        code = SELECT(code < 1, 1, code) & (integers)(value > 0);
    }
    *(bytes *)codes = __builtin_convertvector(code, bytes);
}

INLINE void keep_larger(words *most, const float *x) {
    const words magnitude = *(const words *)x & 0x7FFFFFFF;
    *most = SELECT((words)(magnitude > *most), magnitude, *most);
}

INLINE float encode(const float *x, const uint32_t *random, long count, uint8_t *codes, const int is_signed) {
    const long whole = count / WIDTH * WIDTH, left = count - whole;
    PADDED(float, rest, x + whole, left);
    PADDED(uint32_t, rest_random, random + whole, left);
    words most = {0};
    keep_larger(&most, rest);
    for (long i = 0; i < whole; i += WIDTH) keep_larger(&most, x + i);
    union { uint32_t bits; float value; } top = {0};
    for (int lane = 0; lane < WIDTH; lane++) top.bits = most[lane] > top.bits ? most[lane] : top.bits;
    if (!(top.value >= LEAST_SCALED)) {
        memset(codes, 0, count);
        return 0;
    }
    const float inverse = LARGEST / top.value;
    for (long i = 0; i < whole; i += WIDTH) encode_vector(x + i, random + i, inverse, codes + i, is_signed);
    uint8_t rest_codes[WIDTH];
    encode_vector(rest, rest_random, inverse, rest_codes, is_signed);
    memcpy(codes + whole, rest_codes, left);
    return top.value / LARGEST;
}

KERNEL static void decode_signed(const uint8_t *codes, float scale, long count, float *out) {
    decode(codes, scale, count, out, 1);
}

KERNEL static void decode_unsigned(const uint8_t *codes, float scale, long count, float *out) {
    decode(codes, scale, count, out, 0);
}

KERNEL static float encode_signed(const float *x, const uint32_t *random, long count, uint8_t *codes) {
    return encode(x, random, count, codes, 1);
}

KERNEL static float encode_unsigned(const float *x, const uint32_t *random, long count, uint8_t *codes) {
    return encode(x, random, count, codes, 0);
}

INLINE void round_vector(const float *x, const uint32_t *random, uint16_t *out) {
    const words bits = *(const words *)x;
    const words up = bits + (*(const words *)random & 0xFFFF);
    // An infinity stays one, and a NaN does not become one.
    const words same = bits | ((words)((bits & 0x7FFFFF) != 0) & 0x400000);
    const words kept = SELECT((words)((bits & 0x7F800000) != 0x7F800000), up, same);
    *(halves *)out = __builtin_convertvector(kept >> 16, halves);
}

KERNEL static void round_bf16(const float *x, const uint32_t *random, long count, uint16_t *out) {
    long i = 0;
    for (; i + WIDTH <= count; i += WIDTH) round_vector(x + i, random + i, out + i);
    if (i == count) return;
    PADDED(float, rest, x + i, count - i);
    PADDED(uint32_t, rest_random, random + i, count - i);
    uint16_t rounded[WIDTH];
    round_vector(rest, rest_random, rounded);
    memcpy(out + i, rounded, (count - i) * sizeof *out);
}

#define QUANTIZATION_KERNELS \
    {random_words, decode_signed, decode_unsigned, encode_signed, encode_unsigned, round_bf16}
