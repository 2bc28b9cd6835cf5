#include "huffman_streams.h"

#include <string.h>

/// Look-ups between two loads of 64 bits, of which 56 can be used.
enum { lookups = 5, most_symbols = 6 };

#define PART static inline __attribute__((always_inline))

void ckpt_huffman_fill(const uint16_t *first_codes, uint64_t *entries) {
    enum { index_bits = ckpt_huffman_index_bits };
    // The entries of indices with fewer bits, those with n bits from place 2^n on. What follows a first code is there.
    uint64_t shorter[1 << index_bits];
    uint8_t lengths[256];
    for (int bits = 0; bits <= index_bits; bits++) {
        uint64_t *level = bits == index_bits ? entries : shorter + (1 << bits);
        for (int index = 0; index < 1 << bits; index++) {
            unsigned code = first_codes[index << (index_bits - bits)], length = code & 0xff;
            if (length > (unsigned)bits) {
                level[index] = 0;
                continue;
            }
            lengths[code >> 8] = length;
            uint64_t rest = shorter[(1 << (bits - length)) + (index & ((1 << (bits - length)) - 1))];
            uint64_t count = rest >> 56, used = rest & 0xff;
            if (count == most_symbols) {
                used -= lengths[rest >> 48 & 0xff];
                count--;
            }
            // The first five symbols of the rest follow.
            uint64_t symbols = (uint64_t)(code >> 8) << 8 | (rest & 0xffffffffff00) << 8;
            level[index] = (used + length) | symbols | (count + 1) << 56;
        }
    }
}

/// Rounds of look-ups that stay within a stream and its target.
PART long rounds(const struct ckpt_huffman_stream *stream, const uint8_t *source, const uint8_t *target) {
    // Eight bytes are stored at once. A round takes at most seven bytes and what is left of one.
    long by_target = (stream->end - target - 8) / (lookups * most_symbols), by_source = (source - stream->start) / 7;
    return by_target < by_source ? by_target : by_source;
}

PART void look_up(const uint64_t *entries, uint64_t *bits, uint8_t **target) {
    uint64_t entry = entries[*bits >> (64 - ckpt_huffman_index_bits)];
    *bits <<= entry & 63;
    uint64_t symbols = entry >> 8;
    memcpy(*target, &symbols, 8);
    *target += entry >> 56;
}

PART void refill(uint64_t *bits, const uint8_t **source) {
    int used = __builtin_ctzll(*bits);
    *source -= used >> 3;
    uint64_t loaded;
    memcpy(&loaded, *source, 8);
    *bits = (loaded | 1) << (used & 7);
}

PART void decode_one(const uint64_t *entries, struct ckpt_huffman_stream *stream) {
    uint64_t bits = stream->bits;
    const uint8_t *source = stream->source;
    uint8_t *target = stream->target;
    while (rounds(stream, source, target) > 0) {
        for (int number = 0; number < lookups; number++) look_up(entries, &bits, &target);
        refill(&bits, &source);
    }
    stream->bits = bits, stream->source = source, stream->target = target;
}

PART void decode(const uint64_t *entries, struct ckpt_huffman_stream s[4]) {
    // Local copies stay in registers.
    uint64_t bits0 = s[0].bits, bits1 = s[1].bits, bits2 = s[2].bits, bits3 = s[3].bits;
    const uint8_t *source0 = s[0].source, *source1 = s[1].source, *source2 = s[2].source, *source3 = s[3].source;
    uint8_t *target0 = s[0].target, *target1 = s[1].target, *target2 = s[2].target, *target3 = s[3].target;
    for (;;) {
        long count = rounds(&s[0], source0, target0), other;
        if ((other = rounds(&s[1], source1, target1)) < count) count = other;
        if ((other = rounds(&s[2], source2, target2)) < count) count = other;
        if ((other = rounds(&s[3], source3, target3)) < count) count = other;
        if (count <= 0) break;
        do {
            for (int number = 0; number < lookups; number++) {
                look_up(entries, &bits0, &target0);
                look_up(entries, &bits1, &target1);
                look_up(entries, &bits2, &target2);
                look_up(entries, &bits3, &target3);
            }
            refill(&bits0, &source0);
            refill(&bits1, &source1);
            refill(&bits2, &source2);
            refill(&bits3, &source3);
        } while (--count > 0);
    }
    s[0].bits = bits0, s[1].bits = bits1, s[2].bits = bits2, s[3].bits = bits3;
    s[0].source = source0, s[1].source = source1, s[2].source = source2, s[3].source = source3;
    s[0].target = target0, s[1].target = target1, s[2].target = target2, s[3].target = target3;
    // Streams with shorter codes end before the others.
    for (int stream = 0; stream < 4; stream++) decode_one(entries, &s[stream]);
}

#if defined(__x86_64__)

// BMI2 shifts by a number in any register.
#define BMI2 __attribute__((target("bmi,bmi2")))

BMI2 static void decode_bmi2(const uint64_t *entries, struct ckpt_huffman_stream s[4]) { decode(entries, s); }

void ckpt_huffman_decode(const uint64_t *entries, struct ckpt_huffman_stream streams[4]) {
    if (__builtin_cpu_supports("bmi2")) decode_bmi2(entries, streams); else decode(entries, streams);
}

#else

// Symbols are stored and bits loaded as little-endian numbers.
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a little-endian processor");

void ckpt_huffman_decode(const uint64_t *entries, struct ckpt_huffman_stream streams[4]) { decode(entries, streams); }

#endif
