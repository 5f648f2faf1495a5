// Calls itself through functions of several shapes. Each notes where it returns to, the innermost
// prints the notes, one a line ("return ADDRESS" or "interrupted ADDRESS"), then "ready TID", and
// waits. The modes: plain, raw (waits without the C library), signal, altstack, thread, library
// PATH (this file compiled with LIBRARY), deep (a thousand frames).
#define _GNU_SOURCE
#include <alloca.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define NOTE() note("return", (unsigned long)__builtin_return_address(0))
// Keeps calls from becoming jumps.
#define AFTER_CALL() __asm__ volatile("" ::: "memory")

#ifndef ROOM
#define ROOM 5000 // More than a page, and than what is read of a stack at once.
#endif

#ifdef LIBRARY

// Waits before the program begins, if told so: the first function is the dynamic linker's.
__attribute__((constructor)) static void loaded(void) {
    char byte;
    if (!getenv("WAIT_WHEN_LOADED"))
        return;
    printf("return %lx\nready %ld\n", (unsigned long)__builtin_return_address(0),
           syscall(SYS_gettid));
    fflush(stdout);
    while (read(0, &byte, 1) > 0 && byte != '\n') {
    }
}

__attribute__((noinline)) int through(void (*note)(const char *, unsigned long), int (*next)(int),
                                      int depth) {
    volatile char room[200];
    room[0] = 1;
    NOTE();
    int result = next(depth - 1);
    AFTER_CALL();
    return result + room[0];
}

#else

#include <dlfcn.h>
#include <pthread.h>

static struct {
    const char *what;
    unsigned long address;
} notes[2000];
static int noted;
static const char *mode;
static int (*library)(void (*)(const char *, unsigned long), int (*)(int), int);

static void note(const char *what, unsigned long address) {
    notes[noted].what = what;
    notes[noted++].address = address;
}

static int next(int depth);

__attribute__((noinline)) static int plain(int depth) {
    NOTE();
    int result = next(depth - 1);
    AFTER_CALL();
    return result + 1;
}

__attribute__((noinline)) static int large(int depth) {
    volatile char room[ROOM];
    room[depth] = 1;
    NOTE();
    int result = next(depth - 1);
    AFTER_CALL();
    return result + room[depth];
}

__attribute__((noinline)) static int sized(int depth) {
    volatile char *room = alloca(depth * 32 + 16);
    room[0] = 1;
    NOTE();
    int result = next(depth - 1);
    AFTER_CALL();
    return result + room[0];
}

// The stack pointer is rounded down, and the caller's kept in a register or on the stack.
__attribute__((noinline)) static int aligned(int depth) {
    volatile char room[64] __attribute__((aligned(128)));
    volatile char *more = alloca(depth * 8 + 8);
    room[0] = more[0] = 1;
    NOTE();
    int result = next(depth - 1);
    AFTER_CALL();
    return result + room[0] + more[0];
}

__attribute__((noinline)) static int saving(int depth) {
    NOTE();
    int result = next(depth - 1);
    // Clobbers what a function has to save.
    __asm__ volatile("" ::: "rbx", "r12", "r13", "r14", "r15", "memory");
    return result + 1;
}

static void bottom(void);

static void on_signal(int number, siginfo_t *info, void *context) {
    (void)info;
    note("interrupted", ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP]);
    NOTE();
    (void)number;
    mode = "plain";
    next(3);
    AFTER_CALL();
}

__attribute__((noinline)) static int fault(int depth) {
    NOTE();
    int *volatile nowhere = 0;
    *nowhere = depth;
    AFTER_CALL();
    return 1;
}

__attribute__((noinline)) static int next(int depth) {
    int result = 0;
    NOTE();
    if (depth > 0 && library)
        result = library(note, next, depth);
    else if (depth > 0)
        switch (depth % 5) {
        case 0: result = plain(depth); break;
        case 1: result = large(depth); break;
        case 2: result = sized(depth); break;
        case 3: result = aligned(depth); break;
        default: result = saving(depth); break;
        }
    else if (!strcmp(mode, "signal") || !strcmp(mode, "altstack"))
        result = fault(depth);
    else
        bottom();
    AFTER_CALL();
    return result + 1;
}

__attribute__((noinline)) static void bottom(void) {
    NOTE();
    for (int i = noted; i-- > 0;)
        printf("%s %lx\n", notes[i].what, notes[i].address);
    printf("ready %ld\n", syscall(SYS_gettid));
    fflush(stdout);
    char byte;
    if (!strcmp(mode, "raw")) {
        long result;
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(SYS_read), "D"(0), "S"(&byte), "d"(1)
                         : "rcx", "r11", "memory");
    } else {
        while (read(0, &byte, 1) > 0 && byte != '\n') {
        }
    }
    AFTER_CALL();
}

static void *thread(void *depth) {
    NOTE();
    next(*(int *)depth);
    AFTER_CALL();
    return 0;
}

int main(int argc, char **argv) {
    int depth = 8;
    mode = argc > 1 ? argv[1] : "plain";
    if (!strcmp(mode, "deep"))
        depth = 500;
    if (!strcmp(mode, "thread")) {
        pthread_t other;
        pthread_create(&other, 0, thread, &depth);
        pthread_join(other, 0);
        return 0;
    }
    NOTE();
    if (!strcmp(mode, "signal") || !strcmp(mode, "altstack")) {
        struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
        if (!strcmp(mode, "altstack")) {
            stack_t stack = {.ss_sp = malloc(1 << 17), .ss_size = 1 << 17};
            sigaltstack(&stack, 0);
            action.sa_flags |= SA_ONSTACK;
        }
        sigaction(SIGSEGV, &action, 0);
    }
    if (!strcmp(mode, "library")) {
        // Stands once in the library as it is opened first, and once as it is opened again, when
        // something else is where it was.
        for (int time = 0; time < 2; time++) {
            void *opened = dlopen(argv[2], RTLD_NOW);
            if (!opened)
                return 1;
            library = (int (*)(void (*)(const char *, unsigned long), int (*)(int), int))dlsym(
                opened, "through");
            noted = 1;
            next(depth);
            Dl_info info;
            dladdr((void *)library, &info);
            dlclose(opened);
            mmap(info.dli_fbase, 4096, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        }
        return 0;
    }
    next(depth);
    AFTER_CALL();
    return 0;
}

#endif
