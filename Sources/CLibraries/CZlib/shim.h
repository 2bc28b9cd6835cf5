// zlib, whose initialisation is a macro that Swift does not import.
#pragma once
#include <zlib.h>

static inline int ckpt_inflate_init(z_stream *stream, int window_bits) { return inflateInit2(stream, window_bits); }
