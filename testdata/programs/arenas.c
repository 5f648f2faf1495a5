// arenas THREADS: threads that allocate memory from glibc's arenas, and what glibc says of it.
// Prints of each thread `stack TID NAME START END GUARD` (pthread_getattr_np(3)) and
// `block ADDRESS`, a large block as `large ADDRESS SIZE`, then what malloc_info(3) says, then
// `ready`. The last thread runs all the time, and one has ended.
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static pthread_barrier_t started;
static int threads;

static void *filled(size_t size) {
    void *block = malloc(size);
    if (!block) exit(1);
    return memset(block, 0xa5, size);
}

static void *ends(void *argument) {
    filled(1000);
    return argument;
}

static void *run(void *argument) {
    int number = (intptr_t)argument;
    char name[16];
    snprintf(name, sizeof name, "worker-%d", number);
    pthread_setname_np(pthread_self(), name);
    void *block = 0;
    for (int i = 0; i < 10 + number * 20; i++) block = filled(10000);
    pthread_attr_t attributes;
    void *start;
    size_t size, guard;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &start, &size);
    pthread_attr_getguardsize(&attributes, &guard);
    printf("stack %d %s %p %p %zu\nblock %p\n", gettid(), name, start, (char *)start + size, guard, block);
    pthread_barrier_wait(&started);
    while (number == threads - 1) __asm__ volatile("");
    for (;;) pause();
    return 0;
}

int main(int argc, char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    threads = argc > 1 ? atoi(argv[1]) : 4;
    pthread_barrier_init(&started, 0, threads + 1);
    pthread_t thread;
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread, 0, run, (void *)(intptr_t)i)) return 1;
    pthread_barrier_wait(&started);
    if (pthread_create(&thread, 0, ends, 0)) return 1;
    pthread_join(thread, 0);
    for (int i = 0; i < 40; i++) filled(10000);
    for (int i = 1; i <= 3; i++) printf("large %p %d\n", filled(i << 20), i << 20);
    malloc_info(0, stdout);
    puts("ready");
    fflush(stdout);
    for (;;) pause();
}
