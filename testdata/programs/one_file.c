// one_file FILE TIMES: maps the first page of a file so often, no two mappings joined, prints
// `ready` and waits to be killed.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int file = argc == 3 ? open(argv[1], O_RDONLY) : -1;
    long times = argc == 3 ? atol(argv[2]) : 0;
    for (long i = 0; i < times; i++) {
        int prot = i % 2 ? PROT_READ : PROT_READ | PROT_WRITE;
        if (mmap(NULL, 4096, prot, MAP_PRIVATE, file, 0) == MAP_FAILED) {
            perror("mmap");
            return 1;
        }
    }
    puts("ready");
    fflush(stdout);
    pause();
    return 0;
}
