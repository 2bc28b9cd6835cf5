// HDF5 filter plugin for zstd, registered identifier 32015.
//
// With this plugin, h5dump, h5ls, h5diff and h5py read the tensors of a checkpoint. Unlike the usual plugin, it checks
// zstd's results: a chunk must be exactly one frame with the correct content size, so that damage is reported rather
// than read as numbers. It needs only libzstd; scripts/install-filter builds it.
//
// Parameter 0, optional, is the compression level for writing; reading ignores it.

#include <H5PLextern.h>
#include <stdlib.h>
#include <zstd.h>

#define ZSTD_FILTER_ID 32015

// Chunks of HDF5 1.x are smaller than 4 GiB; a larger size is damage.
#define MAXIMUM_CHUNK_BYTES 0xffffffffULL

// HDF5 allocates and frees chunk buffers with malloc and free, and a filter must do the same.
static size_t replace_buffer(void **buffer, size_t *buffer_size, void *new_buffer, size_t new_size, size_t used)
{
    free(*buffer);
    *buffer = new_buffer;
    *buffer_size = new_size;
    return used;
}

static size_t decompress(size_t byte_count, size_t *buffer_size, void **buffer)
{
    unsigned long long content_size = ZSTD_getFrameContentSize(*buffer, byte_count);
    if (content_size == ZSTD_CONTENTSIZE_UNKNOWN || content_size == ZSTD_CONTENTSIZE_ERROR)
        return 0;
    if (content_size == 0 || content_size > MAXIMUM_CHUNK_BYTES)
        return 0;
    size_t frame_size = ZSTD_findFrameCompressedSize(*buffer, byte_count);
    if (ZSTD_isError(frame_size) || frame_size != byte_count)
        return 0;
    // A block of 128 KiB takes at least four bytes; a larger content size would only cause a large allocation.
    if (content_size / 32768 > byte_count)
        return 0;
    void *output = malloc((size_t)content_size);
    if (output == NULL)
        return 0;
    size_t written = ZSTD_decompress(output, (size_t)content_size, *buffer, byte_count);
    if (ZSTD_isError(written) || written != content_size) {
        free(output);
        return 0;
    }
    return replace_buffer(buffer, buffer_size, output, written, written);
}

static size_t compress(int level, size_t byte_count, size_t *buffer_size, void **buffer)
{
    size_t bound = ZSTD_compressBound(byte_count);
    void *output = malloc(bound);
    if (output == NULL)
        return 0;
    ZSTD_CCtx *context = ZSTD_createCCtx();
    size_t written = 0;
    if (context != NULL) {
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
        written = ZSTD_compress2(context, output, bound, *buffer, byte_count);
        ZSTD_freeCCtx(context);
    }
    if (written == 0 || ZSTD_isError(written)) {
        free(output);
        return 0;
    }
    return replace_buffer(buffer, buffer_size, output, bound, written);
}

// The filter function; 0 means failure.
static size_t zstd_filter(unsigned flags, size_t parameter_count, const unsigned parameters[], size_t byte_count,
                          size_t *buffer_size, void **buffer)
{
    if (byte_count == 0)
        return 0;
    if (flags & H5Z_FLAG_REVERSE)
        return decompress(byte_count, buffer_size, buffer);
    int level = parameter_count > 0 ? (int)parameters[0] : ZSTD_CLEVEL_DEFAULT;
    return compress(level, byte_count, buffer_size, buffer);
}

static const H5Z_class2_t zstd_class = {
    H5Z_CLASS_T_VERS, ZSTD_FILTER_ID, 1, 1, "zstd", NULL, NULL, zstd_filter,
};

H5PL_type_t H5PLget_plugin_type(void) { return H5PL_TYPE_FILTER; }

const void *H5PLget_plugin_info(void) { return &zstd_class; }
