// What Swift cannot import of HDF5: macros that expand to function calls, casts and mutable globals.
#pragma once
#include <hdf5.h>
#if H5_VERSION_GE(1, 14, 0)
#include <H5FDdevelop.h>
#endif

static inline hid_t ckpt_h5p_file_create(void) { return H5P_FILE_CREATE; }
static inline hid_t ckpt_h5p_file_access(void) { return H5P_FILE_ACCESS; }
static inline hid_t ckpt_h5p_dataset_create(void) { return H5P_DATASET_CREATE; }
static inline hid_t ckpt_h5p_link_create(void) { return H5P_LINK_CREATE; }
static inline hid_t ckpt_h5p_default(void) { return H5P_DEFAULT; }
static inline hid_t ckpt_h5s_all(void) { return H5S_ALL; }
static inline hid_t ckpt_h5e_default(void) { return H5E_DEFAULT; }

static inline unsigned ckpt_h5f_create_exclusively(void) { return H5F_ACC_EXCL; }

static inline hid_t ckpt_h5t_int8(void) { return H5T_STD_I8LE; }
static inline hid_t ckpt_h5t_int16(void) { return H5T_STD_I16LE; }
static inline hid_t ckpt_h5t_int32(void) { return H5T_STD_I32LE; }
static inline hid_t ckpt_h5t_int64(void) { return H5T_STD_I64LE; }
static inline hid_t ckpt_h5t_uint8(void) { return H5T_STD_U8LE; }
static inline hid_t ckpt_h5t_uint16(void) { return H5T_STD_U16LE; }
static inline hid_t ckpt_h5t_uint32(void) { return H5T_STD_U32LE; }
static inline hid_t ckpt_h5t_uint64(void) { return H5T_STD_U64LE; }
static inline hid_t ckpt_h5t_float32(void) { return H5T_IEEE_F32LE; }
static inline hid_t ckpt_h5t_float64(void) { return H5T_IEEE_F64LE; }
static inline hid_t ckpt_h5t_c_string(void) { return H5T_C_S1; }

// A file driver with everything unset but what newer versions of the library ask for, and the usual sharing of free
// space: one list for metadata, one for data.
static inline H5FD_class_t ckpt_h5fd_class(void)
{
    H5FD_class_t driver = {.fl_map = H5FD_FLMAP_DICHOTOMY};
#if H5_VERSION_GE(1, 14, 0)
    driver.version = H5FD_CLASS_VERSION;
    driver.value = (H5FD_class_value_t)600;
#endif
    return driver;
}
