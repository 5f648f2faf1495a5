// merged_stacks THREADS: threads whose stacks lie in one mapping, apart by nothing but lightweight
// guard pages (MADV_GUARD_INSTALL, Linux 6.13), as glibc 2.42 makes them. Prints `TID START END`
// of each thread's stack with its guard, then `ready`; `no guards` where the kernel has none.
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PAGE = 4096, GUARD = 4 * PAGE, STACK = 256 * 1024, GUARD_INSTALL = 102 };

static pthread_barrier_t started;

__attribute__((noreturn)) static void *run(void *stack) {
    char name[16], used[8 * PAGE];
    snprintf(name, sizeof name, "merged-%d", gettid() % 10);
    pthread_setname_np(pthread_self(), name);
    memset(used, 1, sizeof used);
    char *start = stack;
    printf("%d %p %p\n", gettid(), start, start + STACK);
    fflush(stdout);
    pthread_barrier_wait(&started);
    for (;;) pause();
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int threads = argc > 1 ? atoi(argv[1]) : 4;
    char *all = mmap(0, (size_t)threads * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) return 1;
    pthread_barrier_init(&started, 0, threads + 1);
    for (int i = 0; i < threads; i++) {
        char *stack = all + (size_t)i * STACK;
        if (madvise(stack, GUARD, GUARD_INSTALL)) {
            puts("no guards\nready");
            fflush(stdout);
            return 0;
        }
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstack(&attributes, stack + GUARD, STACK - GUARD);
        pthread_t thread;
        if (pthread_create(&thread, &attributes, run, stack)) return 1;
    }
    pthread_barrier_wait(&started);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
