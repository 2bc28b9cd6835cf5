// Preloaded into ckpt train-rl or train-sft: kills the process in a chosen phase of its next step.
//
// KILL_PHASE: rollout (while responses are sampled), update (after the step's rollouts were logged), write (while a
// state is written), save (when a state is about to get its final name), saved (when it has it) or retire (when the
// state before it is about to be replaced by a plain model). train-sft has no rollouts, so there rollout is anywhere
// between saves. KILL_CALL: which matrix product, or which write, of the phase it is to be, from 1. KILL_SKIP: states
// to let pass first, as a run that starts at step 0 saves one before its first step.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int products, writes, states, rollouts_logged;

static int number(const char *name)
{
    const char *text = getenv(name);
    return text == NULL ? 0 : atoi(text);
}

static int is_phase(const char *name)
{
    const char *phase = getenv("KILL_PHASE");
    return phase != NULL && strcmp(phase, name) == 0;
}

static void count_product(void)
{
    if (states < number("KILL_SKIP") || !(is_phase("rollout") || (is_phase("update") && rollouts_logged)))
        return;
    if (__atomic_add_fetch(&products, 1, __ATOMIC_RELAXED) == number("KILL_CALL"))
        kill(getpid(), SIGKILL);
}

void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                 const float *b, int ldb, float beta, float *c, int ldc)
{
    static void (*next)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *,
                        int);
    if (next == NULL)
        next = dlsym(RTLD_NEXT, "cblas_sgemm");
    count_product();
    next(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t place)
{
    ssize_t (*next)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    if (states >= number("KILL_SKIP") && is_phase("write") &&
        __atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED) == number("KILL_CALL")) {
        next(file, bytes, count / 2, place);
        kill(getpid(), SIGKILL);
    }
    return next(file, bytes, count, place);
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    size_t length = strlen(to);
    if (strstr(to, "/rollouts/step-") != NULL)
        rollouts_logged = 1;
    if (length > 3 && strcmp(to + length - 3, ".h5") == 0) {
        int number_of_state = states++ - number("KILL_SKIP");
        if ((is_phase("save") && number_of_state == 0) || (is_phase("retire") && number_of_state == 1))
            kill(getpid(), SIGKILL);
        if (is_phase("saved") && number_of_state == 0) {
            next(from, to);
            kill(getpid(), SIGKILL);
        }
    }
    return next(from, to);
}
