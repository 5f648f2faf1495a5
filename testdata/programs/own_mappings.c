// own_mappings: a program that maps memory itself beside an allocator's. It keeps the addresses in
// blocks, as language runtimes do, and its mappings have the flags and alignment of jemalloc's, so
// that the kernel joins them. It prints `own START END` of each, `block ADDRESS` of some blocks of
// malloc, then `ready`.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SIZE = 4 << 20, ALIGN = 2 << 20, COUNT = 12 };

// An entry as an allocator's list of its regions has it: the address, its size.
struct region {
    char *address;
    size_t size;
    struct region *next;
};

static char *map_own(void) {
    char *space = mmap(0, SIZE + ALIGN, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (space == MAP_FAILED) exit(1);
    char *start = (char *)(((uintptr_t)space + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
    if (start > space) munmap(space, start - space);
    munmap(start + SIZE, space + ALIGN - start);
    memset(start, 7, SIZE);
    return start;
}

int main(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct region *list = 0;
    for (int i = 0; i < COUNT; i++) {
        // The list lies among blocks of its size.
        struct region *region = 0;
        for (int j = 0; j < 5000; j++) region = malloc(sizeof *region);
        region->address = map_own();
        region->size = SIZE;
        region->next = list;
        list = region;
        printf("own %p %p\n", (void *)region->address, (void *)(region->address + SIZE));
        printf("block %p\n", (void *)region);
        char *large = malloc(3 << 20);
        if (!large) return 1;
        memset(large, 1, 3 << 20);
        printf("block %p\n", (void *)(large + (1 << 20)));
    }
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
