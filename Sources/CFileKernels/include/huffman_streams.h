// The inner loops of decoding Huffman-coded literals of zstd (RFC 8878, section 4.2).
#pragma once

#include <stdint.h>

/// Bits of the longest code, and of an index into the tables.
enum { ckpt_huffman_index_bits = 11 };

/// A stream of codes that is read backwards.
struct ckpt_huffman_stream {
    /// Bits not yet decoded, uppermost first, followed by a one that marks how many there are.
    uint64_t bits;
    /// The place from which `bits` was loaded, in the stream that begins at `start`.
    const uint8_t *source;
    const uint8_t *start;
    /// The place of the next symbol, and the end of all symbols.
    uint8_t *target;
    uint8_t *end;
};

/// Fills the table of all symbols whose codes lie in an index.
///
/// `first_codes` has for each index the bits of the first code in the low byte, and its symbol in the high one. An
/// entry has the bits of all codes in the lowest byte, then the symbols, at most six, and their number in the highest.
void ckpt_huffman_fill(const uint16_t *first_codes, uint64_t *entries);

/// Decodes four streams, each as long as it certainly has bits and room for further symbols.
void ckpt_huffman_decode(const uint64_t *entries, struct ckpt_huffman_stream streams[4]);
