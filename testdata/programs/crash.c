// Crashes in the way that its first argument names. Each way has a function of its own, which the
// stack shows. Used by crates/vmatlas-cli/tests/it/explain.rs.
//
// What the machine cannot do ends with status 77.
#define _GNU_SOURCE
#include <assert.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAY(name) __attribute__((noinline, noclone)) void name(void)
#define PAGE 4096UL

struct node {
    struct node *next;
    long value;
    char rest[4096];
};

// What the compiler must not know: neither values nor that a call is the last one.
static volatile uintptr_t known;
static volatile int sink;

static void *hidden(uintptr_t value)
{
    known = value;
    return (void *)known;
}

static char *map(size_t size, int protection)
{
    char *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return memory;
}

WAY(null_read) { sink = *(volatile int *)hidden(0); }
WAY(null_field) { ((volatile struct node *)hidden(0))->value = 1; }
WAY(null_atomic) { __atomic_fetch_add(&((struct node *)hidden(0))->value, 1, __ATOMIC_SEQ_CST); }
WAY(null_call) { ((void (*)(void))hidden(0))(); sink = 1; }

WAY(write_literal) { *(volatile char *)hidden((uintptr_t)"a literal") = 'A'; }
WAY(write_code) { *(volatile char *)hidden((uintptr_t)write_literal) = 0; }

static void nothing(void) {}
// Constants with addresses are data that are relocated.
static void (*const table[])(void) = {nothing, null_read, nothing};
WAY(write_relro) { *(void (*volatile *)(void))hidden((uintptr_t)table) = nothing; }

WAY(execute_data)
{
    static unsigned char code[64] = {0xc3};
    ((void (*)(void))hidden((uintptr_t)code))();
    sink = 1;
}
WAY(execute_stack)
{
    volatile unsigned char code[64];
    code[0] = 0xc3;
    ((void (*)(void))hidden((uintptr_t)code))();
    sink = code[0];
}

WAY(reserve)
{
    char *memory = map(1UL << 30, PROT_NONE);
    *(volatile char *)hidden((uintptr_t)memory + (1UL << 29)) = 1;
}
WAY(guard)
{
    char *memory = map(16 * PAGE, PROT_READ | PROT_WRITE);
    mprotect(memory + 8 * PAGE, PAGE, PROT_NONE);
    for (volatile char *at = hidden((uintptr_t)memory); at < memory + 16 * PAGE; at++)
        *at = 1;
}

#pragma GCC diagnostic ignored "-Winfinite-recursion"
__attribute__((noinline, noclone)) int deeper(int depth)
{
    volatile char frame[256];
    frame[0] = depth;
    return deeper(depth + 1) + frame[0];
}
WAY(overflow) { sink = deeper(0); }
static void *deep_thread(void *unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "deep");
    sink = deeper(0);
    return NULL;
}
WAY(overflow_thread)
{
    pthread_t thread;
    pthread_create(&thread, NULL, deep_thread, NULL);
    pthread_join(thread, NULL);
}
// One frame that is larger than what is left.
WAY(overflow_frame)
{
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    volatile char frame[limit.rlim_cur == RLIM_INFINITY ? 1UL << 40 : limit.rlim_cur];
    frame[0] = 1;
    sink = frame[0];
}

WAY(past_mapping)
{
    // Around it nothing is mapped.
    char *memory = map(512 * PAGE, PROT_NONE);
    munmap(memory, 512 * PAGE);
    memory = mmap(memory + 256 * PAGE, PAGE, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    volatile int *numbers = hidden((uintptr_t)memory);
    for (int i = 0;; i++)
        numbers[i] = i;
}
WAY(past_file)
{
    char name[] = "cut-XXXXXX";
    int file = mkstemp(name);
    if (file < 0 || ftruncate(file, 8 * PAGE))
        exit(1);
    char *memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ftruncate(file, PAGE + 100))
        exit(1);
    sink = *(volatile char *)hidden((uintptr_t)memory + 5 * PAGE);
}
WAY(after_unmap)
{
    char *memory = map(512 * PAGE, PROT_READ | PROT_WRITE);
    memory[100 * PAGE] = 1;
    munmap(memory, 512 * PAGE);
    sink = *(volatile char *)hidden((uintptr_t)memory + 100 * PAGE);
}
// The upper half of a mapping.
WAY(after_unmap_half)
{
    char *memory = map(1024 * PAGE, PROT_READ | PROT_WRITE);
    memory[600 * PAGE] = 1;
    munmap(memory + 512 * PAGE, 512 * PAGE);
    sink = *(volatile char *)hidden((uintptr_t)memory + 600 * PAGE);
}
WAY(after_mprotect)
{
    char *memory = map(512 * PAGE, PROT_READ | PROT_WRITE);
    memory[100 * PAGE] = 1;
    mprotect(memory, 512 * PAGE, PROT_READ);
    *(volatile char *)hidden((uintptr_t)memory + 100 * PAGE) = 1;
}

WAY(not_canonical) { sink = ((volatile struct node *)hidden(0x1357a468b9530246))->value; }
WAY(not_canonical_call) { ((void (*)(void))hidden(0x1357a468b9530246))(); sink = 1; }
WAY(poison) { ((volatile struct node *)hidden(0xdeadbeefdeadbeef))->value = 1; }
WAY(poison32) { ((volatile struct node *)hidden(0xdeadbeef))->value = 1; }
WAY(poison_junk) { sink = ((volatile struct node *)hidden(0x5a5a5a5a5a5a5a5a))->value; }
WAY(poison_asan) { sink = ((volatile struct node *)hidden(0xbebebebebebebebe))->value; }
// Needs GLIBC_TUNABLES=glibc.malloc.perturb=157 or the like.
WAY(poison_glibc)
{
    struct node *node = malloc(sizeof *node), *volatile kept = node;
    node->next = node;
    free(node);
    // The allocator keeps its own words at the beginning of a freed block.
    sink = ((volatile struct node *)*(struct node **)(kept->rest + 512))->value;
}
WAY(text_pointer)
{
    struct { char name[8]; struct node *next; } item = {"", NULL};
    strcpy((char *)hidden((uintptr_t)&item), "overlong name!!");
    sink = ((volatile struct node *)hidden((uintptr_t)item.next))->value;
}
WAY(double_pointer)
{
    double number = 1234.5;
    uintptr_t bits;
    memcpy(&bits, &number, sizeof bits);
    sink = ((volatile struct node *)hidden(bits))->value;
}
WAY(halves) { sink = ((volatile struct node *)hidden(0x0000002a00000007))->value; }
WAY(truncated)
{
    struct node *node = (struct node *)map(2 * PAGE, PROT_READ | PROT_WRITE);
    int lost = (int)(intptr_t)node;
    sink = ((volatile struct node *)hidden((uintptr_t)(intptr_t)lost))->value;
}
WAY(map_failed)
{
    struct node *node = mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sink = ((volatile struct node *)hidden((uintptr_t)node))->value;
}
WAY(kernel) { sink = *(volatile int *)hidden(0xffffffff81000000); }

WAY(misaligned)
{
#ifdef __x86_64__
    char *memory = map(PAGE, PROT_READ | PROT_WRITE);
    __asm__ volatile("movaps (%0), %%xmm0" : : "r"(hidden((uintptr_t)memory + 8)) : "xmm0");
#else
    exit(77);
#endif
}
WAY(alignment_check)
{
#ifdef __x86_64__
    char *memory = map(PAGE, PROT_READ | PROT_WRITE);
    volatile int *odd = hidden((uintptr_t)memory + 1);
    unsigned long flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(flags | 1 << 18); // AC
    __asm__ volatile("movl $1, (%0)" : : "r"(odd) : "memory");
    __builtin_ia32_writeeflags_u64(flags);
#endif
    // Emulated processors do not check.
    exit(77);
}
WAY(protection_key)
{
    char *memory = map(PAGE, PROT_READ | PROT_WRITE);
    int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (key < 0 || pkey_mprotect(memory, PAGE, PROT_READ | PROT_WRITE, key))
        exit(77);
    sink = *(volatile char *)hidden((uintptr_t)memory);
}
WAY(guard_install)
{
    char *memory = map(64 * PAGE, PROT_READ | PROT_WRITE);
    if (madvise(memory + 32 * PAGE, PAGE, 102 /* MADV_GUARD_INSTALL */))
        exit(77);
    *(volatile char *)hidden((uintptr_t)memory + 32 * PAGE + 8) = 1;
}

// A buffer of the lower of two stacks, up to the guard of the upper one.
static void *overrun(void *unused)
{
    (void)unused;
    prctl(PR_SET_NAME, "overrun");
    register volatile char *at = hidden((uintptr_t)__builtin_frame_address(0));
    for (;;)
        *at++ = 1;
    return NULL;
}
static void *waiting(void *unused)
{
    for (;;)
        pause();
    return unused;
}
WAY(overrun_thread)
{
    pthread_t upper, lower;
    pthread_create(&upper, NULL, waiting, NULL);
    pthread_create(&lower, NULL, overrun, NULL);
    pthread_join(lower, NULL);
}
// An instruction that takes no such value.
WAY(refused)
{
#ifdef __x86_64__
    unsigned reserved = ~0U;
    __asm__ volatile("ldmxcsr %0" : : "m"(reserved));
#endif
    // Elsewhere, and on an emulated processor that does not check it.
    exit(77);
}

WAY(aborted) { abort(); }
WAY(assertion) { assert(hidden(0)); }
WAY(heap_corrupt)
{
    char *block = malloc(2000), *behind = malloc(2000);
    memset(hidden((uintptr_t)block), 'x', 2100);
    free(behind);
    free(block);
}
WAY(double_free)
{
    void *block = malloc(100);
    void *volatile same = block;
    free(block);
    free(same);
}
WAY(stack_smash)
{
    char buffer[16];
    memset(hidden((uintptr_t)buffer), 'x', 64);
    __asm__ volatile("" : : "r"(buffer) : "memory");
}
WAY(divide) { sink = 5 / (int)(intptr_t)hidden(0); }
WAY(divide_minimum) { sink = (int)(intptr_t)hidden(0x80000000) / (int)(intptr_t)hidden(-1UL); }
WAY(illegal) { __builtin_trap(); }
WAY(privileged)
{
#ifdef __x86_64__
    __asm__ volatile("hlt");
#else
    exit(77);
#endif
}
WAY(breakpoint)
{
#ifdef __x86_64__
    __asm__ volatile("int3");
#else
    raise(SIGTRAP);
#endif
    sink = 1;
}
WAY(seccomp)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpriority, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
    getpriority(PRIO_PROCESS, 0);
}
WAY(sent) { kill(getpid(), SIGSEGV); sleep(1); }
static void sent_by_child_of(int number)
{
    // A shell ignores some for what it starts in the background.
    signal(number, SIG_DFL);
    if (fork() == 0) {
        kill(getppid(), number);
        _exit(0);
    }
    for (;;)
        pause();
}
WAY(sent_by_child) { sent_by_child_of(SIGSEGV); sink = 1; }
WAY(sent_abort) { sent_by_child_of(SIGABRT); sink = 1; }
WAY(sent_quit) { sent_by_child_of(SIGQUIT); sink = 1; }
WAY(abort_kill) { kill(getpid(), SIGABRT); sleep(1); }
WAY(abort_raise) { raise(SIGABRT); sink = 1; }
WAY(abort_call) { abort(); }
WAY(queued)
{
    union sigval value = { .sival_ptr = (void *)0x12345678 };
    sigqueue(getpid(), SIGSEGV, value);
    sleep(1);
}
WAY(file_size)
{
    // Much larger than the core, which has the same limit.
    struct rlimit limit = { 64 << 20, 64 << 20 };
    setrlimit(RLIMIT_FSIZE, &limit);
    int file = open("large", O_RDWR | O_CREAT, 0600);
    sink = pwrite(file, "x", 1, 64 << 20);
}
WAY(cpu_time)
{
    struct rlimit limit = { 1, 2 };
    setrlimit(RLIMIT_CPU, &limit);
    for (;;)
        sink++;
}

#define ENTRY(name) {#name, name}
static const struct { const char *name; void (*way)(void); } ways[] = {
    ENTRY(null_read), ENTRY(null_field), ENTRY(null_atomic), ENTRY(null_call), ENTRY(write_literal),
    ENTRY(write_code), ENTRY(write_relro), ENTRY(execute_data), ENTRY(execute_stack), ENTRY(reserve),
    ENTRY(guard), ENTRY(overflow), ENTRY(overflow_thread), ENTRY(overflow_frame), ENTRY(past_mapping),
    ENTRY(past_file), ENTRY(after_unmap), ENTRY(after_unmap_half), ENTRY(after_mprotect), ENTRY(not_canonical),
    ENTRY(not_canonical_call), ENTRY(poison), ENTRY(poison32), ENTRY(poison_junk), ENTRY(poison_asan),
    ENTRY(poison_glibc), ENTRY(text_pointer), ENTRY(double_pointer), ENTRY(halves), ENTRY(truncated),
    ENTRY(map_failed), ENTRY(kernel), ENTRY(misaligned), ENTRY(alignment_check), ENTRY(protection_key),
    ENTRY(guard_install), ENTRY(overrun_thread), ENTRY(refused), ENTRY(aborted), ENTRY(assertion), ENTRY(heap_corrupt), ENTRY(double_free),
    ENTRY(stack_smash), ENTRY(divide), ENTRY(divide_minimum), ENTRY(illegal), ENTRY(privileged),
    ENTRY(breakpoint), ENTRY(seccomp), ENTRY(sent), ENTRY(sent_by_child), ENTRY(sent_abort), ENTRY(sent_quit),
    ENTRY(abort_kill), ENTRY(abort_raise), ENTRY(abort_call), ENTRY(queued), ENTRY(file_size), ENTRY(cpu_time),
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (argc > 1 && !strcmp(argv[1], ways[i].name)) {
            ways[i].way();
            return 0;
        }
    fprintf(stderr, "crash WAY\n");
    return 2;
}
