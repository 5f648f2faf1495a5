// forked PAGES CHILDREN: maps PAGES pages, writes them all and forks CHILDREN children, of which the
// one with number N, from 0, writes the first 16 * (N + 1) pages. Prints the address of the mapping
// in hexadecimal and the process IDs of the children, once all have written, and waits to be killed.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long pages = argc == 3 ? atol(argv[1]) : 0, children = argc == 3 ? atol(argv[2]) : 0;
    size_t size = (size_t)pages * 4096;
    volatile char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int done[2];
    if (memory == MAP_FAILED || pipe(done) != 0) {
        perror("forked");
        return 1;
    }
    // A huge page would be copied as a whole.
    madvise((void *)memory, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += 4096)
        memory[at] = 1;
    printf("%lx", (long)memory);
    for (long child = 0; child < children; child++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (long page = 0; page < 16 * (child + 1); page++)
                memory[page * 4096] = 2;
            if (write(done[1], "", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        char byte;
        if (pid < 0 || read(done[0], &byte, 1) != 1)
            return 1;
        printf(" %d", pid);
    }
    puts("");
    fflush(stdout);
    for (;;)
        pause();
}
