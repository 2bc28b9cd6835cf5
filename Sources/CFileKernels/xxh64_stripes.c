#include "xxh64_stripes.h"

#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

static const uint64_t prime1 = 0x9E3779B185EBCA87, prime2 = 0xC2B2AE3D27D4EB4F;

/// Adds a word, already multiplied by `prime2`, to a lane.
static inline uint64_t round_of(uint64_t lane, uint64_t product) {
    lane += product;
    return (lane << 31 | lane >> 33) * prime1;
}

/// Updates all lanes with a stripe. The barrier keeps the lanes out of vectors, in which a multiplication takes longer.
static inline void stripe(uint64_t lanes[4], const uint64_t products[4]) {
    for (int i = 0; i < 4; i++) {
        lanes[i] = round_of(lanes[i], products[i]);
        __asm__("" : "+r"(lanes[i]));
    }
}

#if defined(__x86_64__)

/// Multiplies words by `prime2` in vectors, which leaves one scalar multiplication to a lane and round. A processor
/// begins one of those in a cycle, which bounds the speed. Returns the number of stripes done.
__attribute__((target("avx2"))) static long stripes_avx2(uint64_t hash[4], const char *bytes, long stripes) {
    enum { batch = 4 };
    uint64_t lanes[4] = {hash[0], hash[1], hash[2], hash[3]};
    const __m256i low = _mm256_set1_epi64x((uint32_t)prime2), high = _mm256_set1_epi64x(prime2 >> 32);
    long done = 0;
    for (; done + batch <= stripes; done += batch) {
        uint64_t products[4 * batch] __attribute__((aligned(32)));
        for (int i = 0; i < batch; i++) {
            __m256i words = _mm256_loadu_si256((const __m256i *)(bytes + 32 * (done + i)));
            __m256i middle = _mm256_add_epi64(
                _mm256_mul_epu32(words, high), _mm256_mul_epu32(_mm256_srli_epi64(words, 32), low));
            __m256i product = _mm256_add_epi64(_mm256_mul_epu32(words, low), _mm256_slli_epi64(middle, 32));
            _mm256_store_si256((__m256i *)(products + 4 * i), product);
        }
        // The products pass through memory.
        __asm__("" : "+m"(products));
        for (int i = 0; i < batch; i++) stripe(lanes, products + 4 * i);
    }
    memcpy(hash, lanes, sizeof lanes);
    return done;
}

#endif

void ckpt_xxh64_stripes(uint64_t *hash, const void *bytes, long stripes) {
    uint64_t lanes[4];
    memcpy(lanes, hash, sizeof lanes);
    const char *input = bytes;
    long done = 0;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) done = stripes_avx2(lanes, input, stripes);
#endif
    for (; done < stripes; done++) {
        uint64_t products[4];
        memcpy(products, input + 32 * done, sizeof products);
        for (int i = 0; i < 4; i++) products[i] *= prime2;
        stripe(lanes, products);
    }
    memcpy(hash, lanes, sizeof lanes);
}
