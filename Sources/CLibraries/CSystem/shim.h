// Linux system calls and flags that Swift's Glibc module lacks because it is built without _GNU_SOURCE.
#pragma once
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

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
