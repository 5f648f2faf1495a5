// blocks: a program that tells what its memory is. It allocates blocks in two threads and prints
// `block ADDRESS SIZE` of each, `mapped START END` of memory that it maps itself, `bss ADDRESS` and
// `tls ADDRESS` of variables of its own, then `ready`. It maps its own code a second time, as V8
// does.
#define _GNU_SOURCE
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PAGES = 203 * 4096 };

static char zeroes[3 << 20];
static _Thread_local char local[3000];
static pthread_barrier_t done;

static void allocate(size_t size) {
    char *block = malloc(size);
    if (!block) exit(1);
    memset(block, 0xa5, size);
    printf("block %p %zu\n", (void *)block, size);
}

static void *run(void *argument) {
    for (int i = 1; i < 1500; i++) allocate(i * 7);
    allocate(5000000);
    pthread_barrier_wait(&done);
    for (;;) pause();
    return argument;
}

static int map_code(struct dl_phdr_info *info, size_t size, void *argument) {
    int file = open("/proc/self/exe", O_RDONLY);
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = info->dlpi_phdr + i;
        if (segment->p_type == PT_LOAD && segment->p_flags & PF_X
            && mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, segment->p_offset & -4096) == MAP_FAILED)
            exit(1);
    }
    close(file);
    // The first one is the program.
    return 1;
}

int main(void) {
    dl_iterate_phdr(map_code, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pthread_barrier_init(&done, 0, 2);
    pthread_t thread;
    if (pthread_create(&thread, 0, run, 0)) return 1;
    pthread_barrier_wait(&done);
    for (int i = 1; i < 1500; i++) allocate(i * 7);
    allocate(3 << 20);
    memset(zeroes, 1, sizeof zeroes);
    memset(local, 1, sizeof local);
    char *mapped = mmap(0, PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return 1;
    memset(mapped, 0xff, PAGES);
    printf("mapped %p %p\nbss %p\ntls %p\nready\n", mapped, mapped + PAGES, zeroes + sizeof zeroes / 2, local);
    fflush(stdout);
    for (;;) pause();
}
