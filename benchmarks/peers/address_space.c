// address_space MAPPINGS OPERATIONS: maps MAPPINGS adjacent mappings of 16 pages, readable and
// writable in turn. Each operation picks one, and makes its middle four pages executable, restores
// their protection, unmaps them and maps them again. Prints the nanoseconds that the calls took, the
// number of failed calls, and the number of rows at the end.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096UL
#define BASE 0x100000000000UL

static int prot(uint64_t slot) { return slot % 2 ? PROT_READ | PROT_WRITE : PROT_READ; }

int main(int argc, char **argv) {
    uint64_t mappings = argc > 1 ? strtoull(argv[1], 0, 10) : 100;
    uint64_t operations = argc > 2 ? strtoull(argv[2], 0, 10) : 4000;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    for (uint64_t slot = 0; slot < mappings; slot++) {
        void *at = (void *)(BASE + slot * 16 * PAGE);
        if (mmap(at, 16 * PAGE, prot(slot), flags, -1, 0) != at) return perror("mmap"), 1;
    }
    uint64_t state = 1, failed = 0;
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (uint64_t i = 0; i < operations; i += 4) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t slot = (state >> 33) % mappings;
        void *at = (void *)(BASE + (slot * 16 + 6) * PAGE);
        failed += mprotect(at, 4 * PAGE, PROT_READ | PROT_EXEC) != 0;
        failed += mprotect(at, 4 * PAGE, prot(slot)) != 0;
        failed += munmap(at, 4 * PAGE) != 0;
        failed += mmap(at, 4 * PAGE, prot(slot), flags, -1, 0) != at;
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    FILE *maps = fopen("/proc/self/maps", "r");
    char *line = 0;
    size_t size = 0, rows = 0;
    while (maps && getline(&line, &size, maps) > 0) {
        uint64_t start = strtoull(line, 0, 16);
        rows += start >= BASE && start < BASE + mappings * 16 * PAGE;
    }
    printf("%lld %lu %lu\n", (to.tv_sec - from.tv_sec) * 1000000000LL + (to.tv_nsec - from.tv_nsec), failed, rows);
}
