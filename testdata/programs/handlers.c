// Faults that a signal handler gets, which then ends the program: `handlers FAULT,HANDLER`.
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void raise_again(int number) {
    signal(number, SIG_DFL);
    raise(number);
}

static void kill_again(int number) {
    signal(number, SIG_DFL);
    kill(getpid(), number);
}

static void give_up(int number) {
    (void)number;
    abort();
}

static void fail(int number) {
    (void)number;
    *(volatile int *)8 = 1;
}

static void with_siginfo(int number, siginfo_t *info, void *context) {
    (void)info;
    (void)context;
    kill_again(number);
}

static sigjmp_buf before;

static void jump_back(int number) { siglongjmp(before, number); }

// Ends the program below a variable that was never written, in which an old frame may lie.
__attribute__((noinline)) static void end_deep(void) {
    volatile char room[1 << 16];
    room[0] = 1;
    if (room[0]) abort();
}

// The same, with a variable small enough to find the caller behind it.
__attribute__((noinline)) static void end_near(void) {
    volatile char room[6 << 10];
    room[0] = 1;
#ifdef __x86_64__
    // No frame pointer leads further.
    __asm__ volatile("mov $1, %%ebp" ::: "rbp");
#endif
    if (room[0]) abort();
}

__attribute__((noinline)) static int field(int *pointer) { return pointer[6]; }
__attribute__((noinline)) static void call(void (*function)(void)) { function(); }
__attribute__((noinline)) static int divide(int a, int b) { return a / b; }

__attribute__((noinline)) static void write_constant(void) {
    *(volatile char *)(unsigned long)"constant" = 1;
}

static void handle(const char *how, int number) {
    struct sigaction action = {0};
    if (!strcmp(how, "none")) return;
    if (!strncmp(how, "alt-", 4)) {
        stack_t stack = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
        sigaltstack(&stack, NULL);
        action.sa_flags = SA_ONSTACK;
        how += 4;
    }
    if (!strcmp(how, "raise")) action.sa_handler = raise_again;
    if (!strcmp(how, "kill")) action.sa_handler = kill_again;
    if (!strcmp(how, "abort")) action.sa_handler = give_up;
    if (!strcmp(how, "fail")) action.sa_handler = fail;
    if (!strcmp(how, "siginfo")) {
        action.sa_sigaction = with_siginfo;
        action.sa_flags |= SA_SIGINFO;
    }
    sigaction(number, &action, NULL);
}

int main(int count, char **arguments) {
    const int faults[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGUSR1};
    const char *fault = strtok(count > 1 ? arguments[1] : "", ",");
    const char *handler = strtok(NULL, ",");
    if (!fault || !handler) return 2;
    for (unsigned at = 0; at < sizeof faults / sizeof *faults; at++) handle(handler, faults[at]);
    if (!strcmp(fault, "field")) return field(NULL);
    if (!strcmp(fault, "call")) call(NULL);
    if (!strcmp(fault, "constant")) write_constant();
    if (!strcmp(fault, "divide")) return divide(count, count - 2);
    if (!strcmp(fault, "returned") || !strcmp(fault, "returned-near")) {
        signal(SIGSEGV, jump_back);
        if (!sigsetjmp(before, 1)) return field(NULL);
        if (!strcmp(fault, "returned")) end_deep();
        end_near();
    }
    if (!strcmp(fault, "trap")) __builtin_trap();
    if (!strcmp(fault, "cut")) {
        int file = open("cut.dat", O_RDWR | O_CREAT, 0600);
        if (ftruncate(file, 1 << 16)) return 2;
        char *there = mmap(NULL, 1 << 16, PROT_READ, MAP_SHARED, file, 0);
        if (ftruncate(file, 0)) return 2;
        return ((volatile char *)there)[1 << 15];
    }
    // No fault: the signal is one that the program sends to itself.
    if (!strcmp(fault, "sent")) raise(SIGUSR1);
    return 0;
}
