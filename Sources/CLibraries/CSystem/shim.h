// System calls and flags of Linux that Swift's Glibc module leaves out, since it is built without _GNU_SOURCE.
#pragma once
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

// Finds bytes in bytes; see memmem(3).
extern void *memmem(const void *bytes, size_t count, const void *pattern, size_t pattern_count);

// In glibc since 2.28; see rename(2).
extern int renameat2(int old_folder, const char *old_path, int new_folder, const char *new_path, unsigned int flags);

static const unsigned int ckpt_rename_exchange = 1u << 1;

// Their numbers differ between processors; see open(2).
static const int ckpt_o_direct = __O_DIRECT;
static const int ckpt_o_path = __O_PATH;

// Shown by debuggers and top -H; see pthread_setname_np(3).
extern int pthread_setname_np(pthread_t thread, const char *name);
