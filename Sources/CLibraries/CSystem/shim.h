// Linux system calls and flags that Swift's Glibc module lacks because it is built without _GNU_SOURCE.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

// See memmem(3).
extern void *memmem(const void *bytes, size_t count, const void *pattern, size_t pattern_count);

// In glibc since 2.28; see rename(2).
extern int renameat2(int old_folder, const char *old_path, int new_folder, const char *new_path, unsigned int flags);

static const unsigned int ckpt_rename_exchange = 1u << 1;

// The values depend on the processor architecture; see open(2).
static const int ckpt_o_direct = __O_DIRECT;
static const int ckpt_o_path = __O_PATH;

// The name appears in debuggers and in `top -H`; see pthread_setname_np(3).
extern int pthread_setname_np(pthread_t thread, const char *name);

// In glibc since 2.7; see mkostemp(3).
extern int mkostemp(char *name, int flags);

// Opens a new file without a name, which goes away when it is closed; -1 and errno if there can be none. On a file
// system that makes no such files, as older overlays, it has a name for a moment.
static inline int ckpt_nameless_file(const char *folder) {
    int descriptor = open(folder, O_RDWR | O_CLOEXEC | __O_TMPFILE, 0600);
    char name[PATH_MAX];
    if (descriptor >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return descriptor;
    if (snprintf(name, sizeof name, "%s/ckpt-XXXXXX", folder) >= (int)sizeof name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    descriptor = mkostemp(name, O_CLOEXEC);
    if (descriptor >= 0) unlink(name);
    return descriptor;
}
