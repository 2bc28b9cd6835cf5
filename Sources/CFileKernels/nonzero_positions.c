#include "nonzero_positions.h"

#if defined(__SSE2__)

#include <emmintrin.h>

/// A bit for each of 16 bytes, set where both arrays are zero.
static inline uint64_t zeros(const uint8_t *a, const uint8_t *b) {
    __m128i both = _mm_or_si128(_mm_loadu_si128((const __m128i *)a), _mm_loadu_si128((const __m128i *)b));
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(both, _mm_setzero_si128()));
}

/// A bit for each of 64 bytes, set where one of the arrays is not zero.
static inline uint64_t nonzeros(const uint8_t *a, const uint8_t *b) {
    return ~(zeros(a, b) | zeros(a + 16, b + 16) << 16 | zeros(a + 32, b + 32) << 32 | zeros(a + 48, b + 48) << 48);
}

#else

static inline uint64_t nonzeros(const uint8_t *a, const uint8_t *b) {
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++) bits |= (uint64_t)((a[i] | b[i]) != 0) << i;
    return bits;
}

#endif

long ckpt_nonzero_positions(const uint8_t *a, const uint8_t *b, long count, long limit, uint32_t *positions) {
    long found = 0, start = 0;
    for (; start + 64 <= count; start += 64) {
        for (uint64_t bits = nonzeros(a + start, b + start); bits != 0; bits &= bits - 1)
            positions[found++] = (uint32_t)(start + __builtin_ctzll(bits));
        if (found > limit) return -1;
    }
    for (; start < count; start++)
        if ((a[start] | b[start]) != 0) positions[found++] = (uint32_t)start;
    return found > limit ? -1 : found;
}
