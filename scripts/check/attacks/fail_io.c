// Preloaded by scripts/check/attack: makes the ATTACK_AT-th call of kind ATTACK_CALL on files below ATTACK_ROOT fail with
// errno ATTACK_ERRNO; with errno 0, a read or write is short. ATTACK_EVERY=1: all later calls fail too.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_int calls;

static const char *setting(const char *name) { const char *value = getenv(name); return value ? value : ""; }

static int below_root(const char *path)
{
    const char *root = setting("ATTACK_ROOT");
    size_t length = strlen(root);
    return length && path && (path[0] != '/' || (strncmp(path, root, length) == 0 && (path[length] == '/' || !path[length])));
}

static int watched(int descriptor)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t count = readlink(link, path, sizeof path - 1);
    if (count <= 0) return 0;
    path[count] = 0;
    return path[0] == '/' && below_root(path);
}

// 0: goes on; 1: fails, errno is set; 2: short.
static int fails(const char *call)
{
    if (strcmp(setting("ATTACK_CALL"), call)) return 0;
    int number = atomic_fetch_add(&calls, 1) + 1, at = atoi(setting("ATTACK_AT"));
    if (number != at && !(number > at && *setting("ATTACK_EVERY"))) return 0;
    int code = atoi(setting("ATTACK_ERRNO"));
    if (code == 0) return 2;
    errno = code;
    return 1;
}

#define TRANSFER(type, name, call, signature, arguments, shorter) \
    type name signature { \
        type (*next) signature = (type (*) signature)dlsym(RTLD_NEXT, #name); \
        int saved = errno; \
        if (watched(descriptor)) switch (fails(call)) { case 1: return -1; case 2: if (count > 1) return next shorter; } \
        errno = saved; \
        return next arguments; \
    }

TRANSFER(ssize_t, read, "read", (int descriptor, void *bytes, size_t count), (descriptor, bytes, count), (descriptor, bytes, count / 2))
TRANSFER(ssize_t, pread, "read", (int descriptor, void *bytes, size_t count, off_t at), (descriptor, bytes, count, at), (descriptor, bytes, count / 2, at))
TRANSFER(ssize_t, pread64, "read", (int descriptor, void *bytes, size_t count, off_t at), (descriptor, bytes, count, at), (descriptor, bytes, count / 2, at))
TRANSFER(ssize_t, write, "write", (int descriptor, const void *bytes, size_t count), (descriptor, bytes, count), (descriptor, bytes, count / 2))
TRANSFER(ssize_t, pwrite, "write", (int descriptor, const void *bytes, size_t count, off_t at), (descriptor, bytes, count, at), (descriptor, bytes, count / 2, at))
TRANSFER(ssize_t, pwrite64, "write", (int descriptor, const void *bytes, size_t count, off_t at), (descriptor, bytes, count, at), (descriptor, bytes, count / 2, at))

#define ON_DESCRIPTOR(name, call, signature, arguments) \
    int name signature { \
        int (*next) signature = (int (*) signature)dlsym(RTLD_NEXT, #name); \
        int saved = errno; \
        if (watched(descriptor) && fails(call) == 1) return -1; \
        errno = saved; \
        return next arguments; \
    }

ON_DESCRIPTOR(fsync, "fsync", (int descriptor), (descriptor))
ON_DESCRIPTOR(fdatasync, "fsync", (int descriptor), (descriptor))
ON_DESCRIPTOR(ftruncate, "truncate", (int descriptor, off_t size), (descriptor, size))
ON_DESCRIPTOR(ftruncate64, "truncate", (int descriptor, off_t size), (descriptor, size))
ON_DESCRIPTOR(posix_fallocate, "truncate", (int descriptor, off_t at, off_t size), (descriptor, at, size))
ON_DESCRIPTOR(close, "close", (int descriptor), (descriptor))

#define ON_PATH(name, call, signature, arguments, path) \
    int name signature { \
        int (*next) signature = (int (*) signature)dlsym(RTLD_NEXT, #name); \
        int saved = errno; \
        if (below_root(path) && fails(call) == 1) return -1; \
        errno = saved; \
        return next arguments; \
    }

ON_PATH(rename, "rename", (const char *from, const char *to), (from, to), from)
ON_PATH(renameat, "rename", (int a, const char *from, int b, const char *to), (a, from, b, to), from)
ON_PATH(renameat2, "rename", (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), from)
ON_PATH(link, "rename", (const char *from, const char *to), (from, to), from)
ON_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), path)
ON_PATH(unlink, "unlink", (const char *path), (path), path)

static int opening(const char *name, int folder, const char *path, int flags, mode_t mode)
{
    int saved = errno;
    if (below_root(path) && fails("open") == 1) return -1;
    errno = saved;
    int (*next)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, name);
    return next(folder, path, flags, mode);
}

#define MODE va_list rest; va_start(rest, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest)

int open(const char *path, int flags, ...) { MODE; return opening("openat", AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE; return opening("openat", AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE; return opening("openat", folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE; return opening("openat", folder, path, flags | O_LARGEFILE, mode); }
