// Preloaded into a program that writes files: fsync never returns.
#include <unistd.h>

int fsync(int descriptor)
{
    (void)descriptor;
    for (;;)
        pause();
}
