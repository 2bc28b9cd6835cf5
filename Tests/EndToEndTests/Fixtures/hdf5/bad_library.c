// Stands for libhdf5 reading a file that makes it misbehave; BEHAVIOUR says how.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int H5open(void) {
    const char *kind = getenv("BEHAVIOUR");
    if (!strcmp(kind, "crash")) *(volatile int *)8 = 1;
    while (!strcmp(kind, "loop"));
    if (!strcmp(kind, "memory")) {
        // More than the limit of the process, however much the machine has.
        for (int i = 0; i < 1 << 20; i++)
            if (!malloc(1 << 28)) _exit(3);
    }
    if (!strcmp(kind, "chatter")) {
        for (int i = 0; i < 1000; i++) write(1, "HDF5-DIAG: error", 16);
    }
    return 0;
}
