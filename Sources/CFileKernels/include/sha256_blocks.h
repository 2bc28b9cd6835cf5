// SHA-256's compression function with x86 SHA instructions, for one or two messages at a time. Each instruction depends
// on the previous one, so interleaving a second message costs almost nothing.
#pragma once

#include <stdint.h>

/// Whether the functions below may be called.
int ckpt_has_sha_extensions(void);

/// Updates a state with blocks of 64 bytes (FIPS 180-4, section 6.2.2).
void ckpt_sha256_blocks(uint32_t state[8], const void *bytes, long blocks);

/// The same for two messages.
void ckpt_sha256_blocks_of_two(
    uint32_t first_state[8], const void *first_bytes, uint32_t second_state[8], const void *second_bytes, long blocks);
