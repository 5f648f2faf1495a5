// growing MODE: takes a step for each byte that it reads and answers each with a byte. What a step
// does depends on MODE; the memory that it takes is written.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define KIB 1024L
#define MIB (1024 * KIB)
#define PAGE 4096L

static char *map(long size, int perms)
{
    char *memory = mmap(NULL, size, perms, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("growing");
        exit(1);
    }
    return memory;
}

static char *written(long size)
{
    return memset(map(size, PROT_READ | PROT_WRITE), 1, size);
}

static void blocks(long count)
{
    for (long block = 0; block < count; block++)
        memset(malloc(1000), 1, 1000);
}

static char *region;

static void step(const char *mode, long step)
{
    static char *kept[8];
    if (!strcmp(mode, "mmap"))
        written(256 * KIB);
    else if (!strcmp(mode, "malloc") || !strcmp(mode, "arena"))
        blocks(64);
    else if (!strcmp(mode, "slow"))
        blocks(1);
    else if (!strcmp(mode, "sawtooth")) {
        kept[step % 8] = written(256 * KIB);
        for (int old = 0; step % 8 == 7 && old < 8; old++)
            munmap(kept[old], 256 * KIB);
    } else if (!strcmp(mode, "once")) {
        if (step == 25)
            written(8 * MIB);
    } else if (!strcmp(mode, "startup")) {
        if (step < 8)
            written(MIB);
    } else if (!strcmp(mode, "shrinking"))
        munmap(region + 32 * MIB - (step + 1) * 256 * KIB, 256 * KIB);
    else if (!strcmp(mode, "touching")) {
        if (step < 16)
            memset(region + step * MIB, 1, MIB);
    } else if (!strcmp(mode, "cache"))
        memset(region + step % 16 * MIB, (int)step, MIB);
    else if (!strcmp(mode, "rows")) {
        // Neighbours with other permissions do not merge.
        for (int row = 0; row < 8; row++)
            map(PAGE, row % 2 ? PROT_READ : PROT_NONE);
    } else if (strcmp(mode, "none"))
        exit(2);
}

static void *run(void *mode)
{
    char byte;
    // The first block of a thread makes its arena.
    if (!strcmp(mode, "arena"))
        blocks(1);
    if (write(1, ".", 1) != 1)
        exit(1);
    for (long number = 0; read(0, &byte, 1) == 1; number++) {
        step(mode, number);
        if (write(1, ".", 1) != 1)
            exit(1);
    }
    exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    char *mode = argv[1];
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, 9);
    if (!strcmp(mode, "shrinking"))
        region = written(32 * MIB);
    else if (!strcmp(mode, "touching") || !strcmp(mode, "cache"))
        region = map(16 * MIB, PROT_READ | PROT_WRITE);
    pthread_t thread;
    if (strcmp(mode, "arena"))
        run(mode);
    else if (pthread_create(&thread, NULL, run, mode) == 0)
        pthread_join(thread, NULL);
    return 1;
}
