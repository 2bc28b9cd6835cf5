// Preloaded into a program that saves a checkpoint, to make one system call on the file being written fail.
//
// FAIL_CALL is write, truncate, fsync or rename; FAIL_AT is the number of the call, from 1; FAIL_WITH is the errno, or
// 0 for a write of only half the bytes, or -1 to kill the process. Only calls on files whose name ends in .partial, and
// fsync of folders, count.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int calls;

static int is_partial(const char *path)
{
    size_t length = strlen(path);
    return length > 8 && strcmp(path + length - 8, ".partial") == 0;
}

static int is_watched(int descriptor, int folders_too)
{
    char link[64], path[4096];
    struct stat status;
    if (folders_too && fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode))
        return 1;
    char *digits = link + sizeof link - 1;
    *digits = 0;
    unsigned number = (unsigned)descriptor;
    do
        *--digits = (char)('0' + number % 10);
    while (number /= 10);
    memcpy(digits - 14, "/proc/self/fd/", 14);
    ssize_t count = readlink(digits - 14, path, sizeof path - 1);
    if (count < 0)
        return 0;
    path[count] = 0;
    return is_partial(path);
}

// Returns whether this is the call to fail, after setting errno or killing the process.
static int fails(const char *name)
{
    const char *call = getenv("FAIL_CALL"), *at = getenv("FAIL_AT"), *with = getenv("FAIL_WITH");
    if (call == NULL || at == NULL || with == NULL || strcmp(call, name) != 0)
        return 0;
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) != atoi(at))
        return 0;
    if (atoi(with) < 0)
        kill(getpid(), SIGKILL);
    errno = atoi(with);
    return 1;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset)
{
    ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    if (is_watched(descriptor, 0) && fails("write")) {
        if (errno != 0)
            return -1;
        return next(descriptor, bytes, count / 2 + 1, offset);
    }
    return next(descriptor, bytes, count, offset);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset)
{
    return pwrite64(descriptor, bytes, count, offset);
}

ssize_t write(int descriptor, const void *bytes, size_t count)
{
    ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    if (is_watched(descriptor, 0) && fails("write")) {
        if (errno != 0)
            return -1;
        return next(descriptor, bytes, count / 2 + 1);
    }
    return next(descriptor, bytes, count);
}

int fsync(int descriptor)
{
    int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
    return is_watched(descriptor, 1) && fails("fsync") ? -1 : next(descriptor);
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    return is_partial(from) && fails("rename") ? -1 : next(from, to);
}

int ftruncate64(int descriptor, off64_t length)
{
    int (*next)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    return is_watched(descriptor, 0) && fails("truncate") ? -1 : next(descriptor, length);
}

int ftruncate(int descriptor, off_t length)
{
    return ftruncate64(descriptor, length);
}
