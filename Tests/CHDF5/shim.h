// Swift cannot import HDF5's macros that expand to mutable globals.
#pragma once
#include <hdf5.h>

static inline hid_t ckpt_h5t_int8(void) { return H5T_STD_I8LE; }
