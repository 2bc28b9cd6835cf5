// The functions through which ckpt uses MPI. scripts/install-mpi builds them with mpicc into a plugin that ckpt opens
// when an MPI launcher has started it, so that the program itself needs no MPI. Every function is called by one thread.
//
// Messages between two ranks are exchanged; everything else is made of exchanges (Sources/Ranks). A rank that fails
// announces it to all others, whose waits then end.
#include <mpi.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

enum {
    tagHeader = 1,
    tagData = 2,
    tagFailure = 3,
    /// Counts of MPI are 32-bit numbers.
    pieceBytes = 1 << 28,
    /// A rank that waits for another gives its processor away, and after this many looks sleeps between them.
    looksBeforeSleep = 2000,
    sleepNanoseconds = 100000,
};

enum { exchanged = 0, otherFailed = 1, mpiFailed = 2 };

/// The MPI that the plugin is built with, by whose name scripts/install-mpi calls it.
#ifdef OPEN_MPI
EXPORT const char ckpt_mpi_kind[] = "ckpt_mpi_kind=openmpi";
#else
EXPORT const char ckpt_mpi_kind[] = "ckpt_mpi_kind=mpich";
#endif

static MPI_Comm messages = MPI_COMM_NULL;
static int rank, size;
static char error_text[MPI_MAX_ERROR_STRING] = "";

static int check(int code) {
    int length = 0;
    if (code == MPI_SUCCESS) return 1;
    MPI_Error_string(code, error_text, &length);
    return 0;
}

/// The text of the last error of MPI.
EXPORT const char *ckpt_mpi_error(void) { return error_text; }

/// Starts MPI; returns 0, or mpiFailed.
EXPORT int ckpt_mpi_start(int *own_rank, int *rank_count) {
    int provided, started = 0;
    MPI_Initialized(&started);
    if (!started && !check(MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided))) return mpiFailed;
    // A communicator of its own, whose errors are returned.
    if (!check(MPI_Comm_dup(MPI_COMM_WORLD, &messages))) return mpiFailed;
    MPI_Comm_set_errhandler(messages, MPI_ERRORS_RETURN);
    MPI_Comm_rank(messages, &rank);
    MPI_Comm_size(messages, &size);
    *own_rank = rank;
    *rank_count = size;
    return 0;
}

/// The version of the MPI library.
EXPORT void ckpt_mpi_version(char *text, int capacity) {
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    MPI_Get_library_version(version, &length);
    snprintf(text, capacity, "%s", version);
}

static int failure_arrived(void) {
    int there = 0;
    return check(MPI_Iprobe(MPI_ANY_SOURCE, tagFailure, messages, &there, MPI_STATUS_IGNORE)) && there;
}

/// Waits for both requests. `is_patient` says that the other rank may come much later.
static int wait_for(MPI_Request requests[2], int is_patient) {
    MPI_Status statuses[2];
    for (long looks = 0;; looks++) {
        int done = 0;
        if (!check(MPI_Testall(2, requests, &done, statuses))) return mpiFailed;
        if (done) return exchanged;
        if (looks % 64 == 63 && failure_arrived()) return otherFailed;
        if (is_patient && looks > looksBeforeSleep) {
            const struct timespec pause = {0, sleepNanoseconds};
            nanosleep(&pause, NULL);
        } else {
            sched_yield();
        }
    }
}

static int exchange_piece(
    const void *out, int out_bytes, void *in, int in_bytes, int other, int tag, int is_patient) {
    MPI_Request requests[2];
    if (!check(MPI_Irecv(in, in_bytes, MPI_BYTE, other, tag, messages, &requests[0])) ||
        !check(MPI_Isend(out, out_bytes, MPI_BYTE, other, tag, messages, &requests[1])))
        return mpiFailed;
    return wait_for(requests, is_patient);
}

/// Sends a header of 32 bytes to another rank and receives its header, which may take as long as the other's work.
EXPORT int ckpt_mpi_exchange_headers(const void *out, void *in, int other) {
    return exchange_piece(out, 32, in, 32, other, tagHeader, 1);
}

/// Sends bytes to another rank and receives bytes from it, after both have exchanged headers.
EXPORT int ckpt_mpi_exchange(const void *out, int64_t out_bytes, void *in, int64_t in_bytes, int other) {
    int64_t sent = 0, received = 0;
    while (sent < out_bytes || received < in_bytes) {
        const int64_t sending = out_bytes - sent < pieceBytes ? out_bytes - sent : pieceBytes;
        const int64_t receiving = in_bytes - received < pieceBytes ? in_bytes - received : pieceBytes;
        const int result = exchange_piece(
            (const char *)out + sent, (int)sending, (char *)in + received, (int)receiving, other, tagData, 0);
        if (result != exchanged) return result;
        sent += sending;
        received += receiving;
    }
    return exchanged;
}

/// Announces to all other ranks that this one has failed; the text has at most 1,000 bytes.
EXPORT void ckpt_mpi_announce_failure(const char *text, int bytes) {
    static char copy[1000];
    static MPI_Request requests[4096];
    memcpy(copy, text, bytes < (int)sizeof copy ? bytes : (int)sizeof copy);
    for (int other = 0; other < size && other < 4096; other++)
        if (other != rank)
            MPI_Isend(copy, bytes < (int)sizeof copy ? bytes : (int)sizeof copy, MPI_BYTE, other, tagFailure, messages,
                &requests[other]);
    // The messages are small, so that they are sent while the other ranks are waited for.
}

/// Receives the announcement of another rank's failure if one has arrived: returns its length, or -1.
EXPORT int ckpt_mpi_receive_failure(char *text, int capacity, int *other) {
    MPI_Status status;
    int there = 0, length = 0;
    if (!check(MPI_Iprobe(MPI_ANY_SOURCE, tagFailure, messages, &there, &status)) || !there) return -1;
    MPI_Get_count(&status, MPI_BYTE, &length);
    if (length > capacity) return -1;
    if (!check(MPI_Recv(text, length, MPI_BYTE, status.MPI_SOURCE, tagFailure, messages, MPI_STATUS_IGNORE))) return -1;
    *other = status.MPI_SOURCE;
    return length;
}

/// Ends MPI when all ranks do.
EXPORT void ckpt_mpi_finish(void) { MPI_Finalize(); }
