#include "sha256_blocks.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

// Everything is inlined into the two functions at the end, in which `count` is a constant.
#define SHA __attribute__((target("sha,sse4.1")))
#define PART static inline __attribute__((always_inline)) SHA

int ckpt_has_sha_extensions(void) {
    unsigned a, b, c, d;
    int has_sha = __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
    return has_sha && __builtin_cpu_supports("sse4.1");
}

/// FIPS 180-4, section 4.2.2.
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// Hashes blocks of `count` messages at the same time.
///
/// The instructions take the eight words of a state as ABEF and CDGH, with the first word in the highest position.
PART void blocks_of(int count, uint32_t *const states[], const char *bytes[], long blocks) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef[2], cdgh[2];
    for (int i = 0; i < count; i++) {
        __m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)states[i]), 0xb1);
        __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(states[i] + 4)), 0x1b);
        abef[i] = _mm_alignr_epi8(abcd, efgh, 8);
        cdgh[i] = _mm_blend_epi16(efgh, abcd, 0xf0);
    }
    for (; blocks > 0; blocks--) {
        __m128i old_abef[2], old_cdgh[2], words[2][4];
        for (int i = 0; i < count; i++) {
            old_abef[i] = abef[i];
            old_cdgh[i] = cdgh[i];
            for (int j = 0; j < 4; j++)
                words[i][j] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(bytes[i] + 16 * j)), big_endian);
            bytes[i] += 64;
        }
#pragma GCC unroll 16
        for (int group = 0; group < 16; group++) {
            for (int i = 0; i < count; i++) {
                __m128i *w = words[i];
                __m128i round = _mm_add_epi32(w[group & 3], _mm_load_si128((const __m128i *)(constants + 4 * group)));
                cdgh[i] = _mm_sha256rnds2_epu32(cdgh[i], abef[i], round);
                abef[i] = _mm_sha256rnds2_epu32(abef[i], cdgh[i], _mm_shuffle_epi32(round, 0x0e));
                if (group >= 12) continue;
                // The message words of the group after the next three.
                __m128i next = _mm_sha256msg1_epu32(w[group & 3], w[group + 1 & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(w[group + 3 & 3], w[group + 2 & 3], 4));
                w[group & 3] = _mm_sha256msg2_epu32(next, w[group + 3 & 3]);
            }
        }
        for (int i = 0; i < count; i++) {
            abef[i] = _mm_add_epi32(abef[i], old_abef[i]);
            cdgh[i] = _mm_add_epi32(cdgh[i], old_cdgh[i]);
        }
    }
    for (int i = 0; i < count; i++) {
        __m128i feba = _mm_shuffle_epi32(abef[i], 0x1b), dchg = _mm_shuffle_epi32(cdgh[i], 0xb1);
        _mm_storeu_si128((__m128i *)states[i], _mm_blend_epi16(feba, dchg, 0xf0));
        _mm_storeu_si128((__m128i *)(states[i] + 4), _mm_alignr_epi8(dchg, feba, 8));
    }
}

SHA void ckpt_sha256_blocks(uint32_t state[8], const void *bytes, long blocks) {
    uint32_t *const states[] = {state};
    const char *sources[] = {bytes};
    blocks_of(1, states, sources, blocks);
}

SHA void ckpt_sha256_blocks_of_two(
    uint32_t first_state[8], const void *first_bytes, uint32_t second_state[8], const void *second_bytes, long blocks) {
    uint32_t *const states[] = {first_state, second_state};
    const char *sources[] = {first_bytes, second_bytes};
    blocks_of(2, states, sources, blocks);
}

#else

int ckpt_has_sha_extensions(void) { return 0; }

void ckpt_sha256_blocks(uint32_t state[8], const void *bytes, long blocks) { __builtin_trap(); }

void ckpt_sha256_blocks_of_two(
    uint32_t first_state[8], const void *first_bytes, uint32_t second_state[8], const void *second_bytes, long blocks) {
    __builtin_trap();
}

#endif
