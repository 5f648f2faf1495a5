// Threads and processes that make mappings for themselves and for others; each process says at its
// end who made what. Used by crates/vmatlas-linux/tests/it/record/.
#include "truth.h"
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>

#define RW (PROT_READ | PROT_WRITE)

#define DEFINE_MAKER(name)                                                                         \
    MAKER char *name(char *at, long pages) {                                                       \
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0);                            \
        char *got = (char *)CHECK(mmap(at, pages * PAGE, RW, flags, -1, 0));                       \
        got[0] = 1;                                                                                \
        return got;                                                                                \
    }

DEFINE_MAKER(maker_a)
DEFINE_MAKER(maker_b)
DEFINE_MAKER(maker_c)

static char *self;

static void await(pid_t pid) {
    int status;
    CHECK(waitpid(pid, &status, 0));
    if (status != 0) {
        dprintf(2, "a child ended with %x\n", status);
        _exit(2);
    }
}

struct order {
    char *at;
    long pages;
    long tid;
};

static void *make(void *argument) {
    struct order *order = argument;
    order->at = maker_b(order->at, order->pages);
    order->tid = syscall(SYS_gettid);
    return 0;
}

static struct order in_thread(char *at, long pages) {
    struct order order = {at, pages, 0};
    pthread_t thread;
    pthread_create(&thread, 0, make, &order);
    pthread_join(thread, 0);
    return order;
}

// What a thread made another one shortens, and overlays.
static void thread(void) {
    char *at = arena(32);
    struct order order = in_thread(at, 16);
    CHECK(munmap(at + 4 * PAGE, 2 * PAGE));
    maker_c(at + 12 * PAGE, 8);
    struct order second = in_thread(at + 14 * PAGE, 1);
    made_by(order.tid, at, 4 * PAGE, "maker_b");
    made_by(order.tid, at + 6 * PAGE, 6 * PAGE, "maker_b");
    made(at + 12 * PAGE, 2 * PAGE, "maker_c");
    made_by(second.tid, at + 14 * PAGE, PAGE, "maker_b");
    made(at + 15 * PAGE, 5 * PAGE, "maker_c");
}

// Copies go their own ways.
static void forks(void) {
    char *at = arena(32);
    long parent = getpid();
    maker_a(at, 16);
    pid_t child = CHECK(fork());
    if (child == 0) {
        CHECK(munmap(at, 2 * PAGE));
        maker_b(at + 8 * PAGE, 4);
        long pid = getpid();
        if (CHECK(fork()) == 0) {
            maker_c(at + 9 * PAGE, 1);
            made_by(parent, at + 2 * PAGE, 6 * PAGE, "maker_a");
            made_by(pid, at + 8 * PAGE, PAGE, "maker_b");
            made(at + 9 * PAGE, PAGE, "maker_c");
            made_by(pid, at + 10 * PAGE, 2 * PAGE, "maker_b");
            made_by(parent, at + 12 * PAGE, 4 * PAGE, "maker_a");
            last_words();
        }
        maker_a(at + 16 * PAGE, 4);
        int status;
        CHECK(wait(&status));
        made_by(parent, at + 2 * PAGE, 6 * PAGE, "maker_a");
        made(at + 8 * PAGE, 4 * PAGE, "maker_b");
        made_by(parent, at + 12 * PAGE, 4 * PAGE, "maker_a");
        made(at + 16 * PAGE, 4 * PAGE, "maker_a");
        last_words();
    }
    maker_c(at + 4 * PAGE, 4);
    await(child);
    made(at, 4 * PAGE, "maker_a");
    made(at + 4 * PAGE, 4 * PAGE, "maker_c");
    made(at + 8 * PAGE, 8 * PAGE, "maker_a");
}

// A child that has its parent's memory, not a copy.
static void vforks(void) {
    char *at = arena(32);
    maker_a(at, 8);
    pid_t child = vfork();
    if (child == 0) {
        maker_b(at + 4 * PAGE, 8);
        made(at + 4 * PAGE, 8 * PAGE, "maker_b");
        _exit(0);
    }
    await(child);
    made(at, 4 * PAGE, "maker_a");
    // And one that leaves it by executing a program.
    child = vfork();
    if (child == 0) {
        maker_c(at + 20 * PAGE, 1);
        made(at + 20 * PAGE, PAGE, "maker_c");
        execl(self, self, "thread", NULL);
        _exit(127);
    }
    await(child);
}

static void spawns(void) {
    extern char **environ;
    char *arguments[] = {self, "thread", NULL};
    pid_t child;
    if (posix_spawn(&child, self, 0, 0, arguments, environ) != 0)
        fail("posix_spawn");
    await(child);
    char *at = arena(8);
    maker_a(at, 8);
    made(at, 8 * PAGE, "maker_a");
}

// clone(2) with CLONE_VM alone: two processes, one address space, and no end of it in sight for
// the second when the first one ends.
static int share(void *at) {
    maker_b(at, 4);
    made(at, 4 * PAGE, "maker_b");
    return 0;
}

static void clones(void) {
    char *stack = maker_c(0, 16);
    char *at = arena(8);
    pid_t child = CHECK(clone(share, stack + 16 * PAGE, CLONE_VM | SIGCHLD, at));
    await(child);
    made(stack, 16 * PAGE, "maker_c");
}

static void executes(void) {
    maker_a(0, 16);
    execl(self, self, "thread", NULL);
    fail("execl");
}

static void *execute(void *unused) {
    executes();
    return unused;
}

static void executes_in_thread(void) {
    pthread_t thread;
    pthread_create(&thread, 0, execute, 0);
    pause();
}

// A hundred threads allocate and free, beside what each makes for good.
#define THREADS 100
#define ROUNDS 40
static struct order orders[THREADS];
static pthread_barrier_t all;

static void *allocate(void *argument) {
    struct order *order = argument;
    unsigned seed = order - orders;
    void *kept[8] = {0};
    pthread_barrier_wait(&all);
    for (int round = 0; round < ROUNDS; round++) {
        seed = seed * 1103515245 + 12345;
        void **place = &kept[seed >> 16 & 7];
        free(*place);
        size_t size = (seed >> 8 & 0xff) << (seed >> 20 & 3) << 8;
        *place = malloc(size);
        if (size > 0)
            memset(*place, 1, size);
    }
    make(order);
    // Some is freed by its thread, some lives on.
    for (int i = 0; i < 4; i++)
        free(kept[i]);
    return 0;
}

static void storm(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&all, 0, THREADS);
    // The large half gets mappings of its own, however often such are freed.
    mallopt(M_MMAP_THRESHOLD, 64 << 10);
    for (int i = 0; i < THREADS; i++) {
        orders[i] = (struct order){0, 2, 0};
        if (pthread_create(&threads[i], 0, allocate, &orders[i]) != 0)
            fail("pthread_create");
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], 0);
    for (int i = 0; i < THREADS; i++)
        made_by(orders[i].tid, orders[i].at, orders[i].pages * PAGE, "maker_b");
}

// The address space outlives the process that had it first.
static int outlive(void *at) {
    char byte;
    int *gone = at;
    // Until the parent has ended, and its end of the pipe with it.
    close(gone[1]);
    while (read(gone[0], &byte, 1) > 0) {
    }
    made(maker_b(0, 90), 90 * PAGE, "maker_b");
    last_words();
}

static void orphans(void) {
    int gone[2];
    CHECK(pipe(gone));
    char *stack = maker_c(0, 16);
    made(stack, 16 * PAGE, "maker_c");
    CHECK(clone(outlive, stack + 16 * PAGE, CLONE_VM, gone));
    // More than the gap that /etc/ld.so.cache has left: what fills that exactly joins its
    // neighbours or not, as these were written to.
    made(maker_a(0, 211), 211 * PAGE, "maker_a");
    _exit(0);
}

// The first thread ends, and another has the process for itself.
static void *stay(void *first) {
    pthread_join(*(pthread_t *)first, 0);
    made(maker_b(0, 90), 90 * PAGE, "maker_b");
    last_words();
}

static void leaders(void) {
    static pthread_t first, second;
    first = pthread_self();
    made(maker_a(0, 70), 70 * PAGE, "maker_a");
    pthread_create(&second, 0, stay, &first);
    pthread_exit(0);
}

// Threads map and unmap while another one makes copies of all of it.
static volatile int over;

static void *churn(void *unused) {
    for (long i = 0; !over; i++) {
        char *at = maker_b(0, 1 + (i & 7));
        CHECK(munmap(at, (1 + (i & 7)) * PAGE));
    }
    return unused;
}

static void copies(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], 0, churn, 0);
    for (int i = 0; i < 40; i++) {
        pid_t child = CHECK(fork());
        if (child == 0)
            last_words();
        await(child);
    }
    over = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], 0);
}

// Others of the threads end when one executes a program, wherever they are.
static void *exec_soon(void *unused) {
    usleep(20000);
    executes();
    return unused;
}

static void executes_among_threads(void) {
    pthread_t thread;
    for (int i = 0; i < 3; i++)
        pthread_create(&thread, 0, churn, 0);
    pthread_create(&thread, 0, exec_soon, 0);
    churn(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} MODES[] = {
    {"thread", thread}, {"fork", forks},     {"vfork", vforks},
    {"spawn", spawns},  {"clone", clones},   {"exec", executes},
    {"storm", storm},   {"exec-in-thread", executes_in_thread},
    {"orphan", orphans}, {"leader", leaders}, {"copies", copies}, {"exec-among-threads", executes_among_threads},
};

int main(int argc, char **argv) {
    self = argv[0];
    for (size_t i = 0; argc > 1 && i < sizeof MODES / sizeof *MODES; i++) {
        if (strcmp(argv[1], MODES[i].name) == 0) {
            MODES[i].run();
            last_words();
        }
    }
    return 2;
}
