// A program for examples: it has a page that may be written and executed, and grows by 8 MiB of malloc
// for each byte that it reads.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    void *page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    printf("%lx %lx\n", (unsigned long)page, (unsigned long)&qsort);
    fflush(stdout);
    char byte;
    while (read(0, &byte, 1) == 1) {
        char *block = malloc(8 << 20);
        if (!block)
            return 1;
        memset(block, 1, 8 << 20);
        if (write(1, ".", 1) != 1)
            return 1;
    }
    return 0;
}
