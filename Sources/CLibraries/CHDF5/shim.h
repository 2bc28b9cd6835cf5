// What Swift cannot import of HDF5: macros that expand to function calls and casts.
#pragma once
#include <hdf5.h>
