// Functions that make mappings, of which the kernel makes other rows than there were calls; it says
// at its end which function made what. Used by crates/vmatlas-linux/tests/it/record/.
#include "truth.h"
#include <linux/aio_abi.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/prctl.h>
#include <sys/shm.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)

// The makers differ in nothing but their names.
#define DEFINE_MAKER(name)                                                                         \
    MAKER char *name(char *at, long pages, int prot, int flags, int fd, long first) {              \
        char *got = (char *)CHECK(mmap(at, pages * PAGE, prot, flags, fd, first * PAGE));          \
        AFTER_CALL();                                                                              \
        return got;                                                                                \
    }

DEFINE_MAKER(maker_a)
DEFINE_MAKER(maker_b)
DEFINE_MAKER(maker_c)

static int fixed = ANONYMOUS | MAP_FIXED_NOREPLACE;
static int over = ANONYMOUS | MAP_FIXED;

MAKER void dropper(char *at, long pages) {
    CHECK(munmap(at, pages * PAGE));
    AFTER_CALL();
}

MAKER char *mover(char *at, long old, long new, int flags, char *to) {
    char *got = (char *)CHECK(mremap(at, old * PAGE, new * PAGE, flags, to));
    AFTER_CALL();
    return got;
}

static void joined(void) {
    char *at = arena(16);
    maker_a(at, 4, RW, fixed, -1, 0);
    at[0] = 1;
    maker_b(at + 8 * PAGE, 4, RW, fixed, -1, 0);
    // Joins what is below and what is above.
    maker_c(at + 4 * PAGE, 4, RW, fixed, -1, 0);
    at[5 * PAGE] = 1;
    maker_b(at + 12 * PAGE, 2, RW, fixed, -1, 0);
    made(at, 4 * PAGE, "maker_a");
    made(at + 4 * PAGE, 4 * PAGE, "maker_c");
    made(at + 8 * PAGE, 6 * PAGE, "maker_b");
    one_row(at, 14 * PAGE);
}

static void unmaps(void) {
    char *at = arena(32);
    maker_a(at, 16, RW, fixed, -1, 0);
    dropper(at + 4 * PAGE, 4);
    maker_b(at + 5 * PAGE, 2, RW, fixed, -1, 0);
    maker_b(at + 16 * PAGE, 8, RW, fixed, -1, 0);
    // The end of one, a whole one and the beginning of a third, with holes between.
    maker_c(at + 25 * PAGE, 1, RW, fixed, -1, 0);
    maker_c(at + 27 * PAGE, 5, RW, fixed, -1, 0);
    dropper(at + 22 * PAGE, 7);
    // A part of a page is all of it.
    CHECK(munmap(at + 31 * PAGE, 1));
    made(at, 4 * PAGE, "maker_a");
    made(at + 5 * PAGE, 2 * PAGE, "maker_b");
    made(at + 8 * PAGE, 8 * PAGE, "maker_a");
    made(at + 16 * PAGE, 6 * PAGE, "maker_b");
    made(at + 29 * PAGE, 2 * PAGE, "maker_c");
    one_row(at + 8 * PAGE, 14 * PAGE);
}

static void moves(void) {
    char *at = arena(128);
    maker_a(at, 4, RW, fixed, -1, 0);
    at[0] = 1;
    // It grows where it is, moves, and shrinks.
    mover(at, 4, 8, 0, 0);
    mover(at, 8, 8, MREMAP_MAYMOVE | MREMAP_FIXED, at + 32 * PAGE);
    mover(at + 32 * PAGE, 8, 6, 0, 0);
    made(at + 32 * PAGE, 4 * PAGE, "maker_a");
    made(at + 36 * PAGE, 2 * PAGE, "mover");
    one_row(at + 32 * PAGE, 6 * PAGE);
    // It moves away and grows at once; where it goes was something else.
    maker_b(at, 4, RW, fixed, -1, 0);
    maker_c(at + 48 * PAGE, 12, PROT_READ, fixed, -1, 0);
    mover(at, 4, 10, MREMAP_MAYMOVE | MREMAP_FIXED, at + 49 * PAGE);
    made(at + 48 * PAGE, PAGE, "maker_c");
    made(at + 49 * PAGE, 4 * PAGE, "maker_b");
    made(at + 53 * PAGE, 6 * PAGE, "mover");
    made(at + 59 * PAGE, PAGE, "maker_c");
    // The middle of a mapping leaves it.
    maker_a(at + 8 * PAGE, 12, RW, fixed, -1, 0);
    mover(at + 12 * PAGE, 4, 4, MREMAP_MAYMOVE | MREMAP_FIXED, at + 64 * PAGE);
    made(at + 8 * PAGE, 4 * PAGE, "maker_a");
    made(at + 16 * PAGE, 4 * PAGE, "maker_a");
    made(at + 64 * PAGE, 4 * PAGE, "maker_a");
    // The pages move, the mapping stays: both are of who made it.
    maker_b(at + 80 * PAGE, 4, RW, fixed, -1, 0);
    at[80 * PAGE] = 1;
    if (mremap(at + 80 * PAGE, 4 * PAGE, 4 * PAGE,
               MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, at + 96 * PAGE) != MAP_FAILED)
        made(at + 96 * PAGE, 4 * PAGE, "maker_b");
    made(at + 80 * PAGE, 4 * PAGE, "maker_b");
    // A second view of shared memory, by an old length of 0.
    char *shared = maker_c(at + 110 * PAGE, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mover(shared, 0, 2, MREMAP_MAYMOVE | MREMAP_FIXED, at + 120 * PAGE);
    made(shared, 2 * PAGE, "maker_c");
    made(at + 120 * PAGE, 2 * PAGE, "mover");
}

// Since Linux 6.17 one call moves several mappings, with the holes between them.
static void moves_of_many(void) {
    char *at = arena(64);
    maker_a(at, 2, RW, fixed, -1, 0);
    maker_b(at + 2 * PAGE, 2, PROT_READ, fixed, -1, 0);
    maker_c(at + 5 * PAGE, 3, RW, fixed, -1, 0);
    char *to = at + 32 * PAGE;
    if (mremap(at, 8 * PAGE, 8 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED)
        to = at;
    made(to, 2 * PAGE, "maker_a");
    made(to + 2 * PAGE, 2 * PAGE, "maker_b");
    made(to + 5 * PAGE, 3 * PAGE, "maker_c");
}

static void overlays(void) {
    char *at = arena(24);
    maker_a(at, 16, RW, fixed, -1, 0);
    maker_b(at + 4 * PAGE, 4, RW, over, -1, 0);
    maker_c(at + 14 * PAGE, 4, RW, over, -1, 0);
    int fd = CHECK(open("/proc/self/exe", O_RDONLY));
    maker_b(at + 10 * PAGE, 2, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
    maker_a(at + 5 * PAGE, 1, PROT_NONE, over, -1, 0);
    close(fd);
    made(at, 4 * PAGE, "maker_a");
    made(at + 4 * PAGE, PAGE, "maker_b");
    made(at + 5 * PAGE, PAGE, "maker_a");
    made(at + 6 * PAGE, 2 * PAGE, "maker_b");
    made(at + 8 * PAGE, 2 * PAGE, "maker_a");
    made(at + 10 * PAGE, 2 * PAGE, "maker_b");
    made(at + 12 * PAGE, 2 * PAGE, "maker_a");
    made(at + 14 * PAGE, 4 * PAGE, "maker_c");
}

MAKER void brk_a(char *to) {
    CHECK(brk(to));
    AFTER_CALL();
}

MAKER void brk_b(char *to) {
    CHECK(brk(to));
    AFTER_CALL();
}

static void breaks(void) {
    char *start = (char *)(((intptr_t)sbrk(0) + PAGE - 1) / PAGE * PAGE);
    brk_a(start + 2 * PAGE + 100);
    start[0] = 1;
    // The page in which the break was is of who reached it first.
    brk_b(start + 6 * PAGE - 1);
    brk_b(start + 5 * PAGE);
    brk_a(start + 3 * PAGE + 1);
    brk_b(start + 9 * PAGE);
    // On the same page nothing changes.
    brk_a(start + 8 * PAGE + 7);
    made(start, 3 * PAGE, "brk_a");
    made(start + 3 * PAGE, 6 * PAGE, "brk_b");
    one_row(start, 9 * PAGE);
}

static void files(void) {
    char *at = arena(64);
    int fd = CHECK(memfd_create("a name", MFD_CLOEXEC));
    CHECK(ftruncate(fd, 16 * PAGE));
    int flags = MAP_SHARED | MAP_FIXED_NOREPLACE;
    maker_a(at, 4, RW, flags, fd, 0);
    maker_b(at + 4 * PAGE, 4, RW, flags, fd, 4);
    maker_c(at + 8 * PAGE, 4, RW, flags, fd, 0);
    made(at, 4 * PAGE, "maker_a");
    made(at + 4 * PAGE, 4 * PAGE, "maker_b");
    made(at + 8 * PAGE, 4 * PAGE, "maker_c");
    one_row(at, 8 * PAGE);
    // Private ones too, and beyond the end of the file.
    flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE;
    maker_b(at + 20 * PAGE, 10, RW, flags, fd, 2);
    at[21 * PAGE] = 1;
    maker_c(at + 30 * PAGE, 10, PROT_READ, flags, fd, 12);
    made(at + 20 * PAGE, 10 * PAGE, "maker_b");
    made(at + 30 * PAGE, 10 * PAGE, "maker_c");
    close(fd);
    // Shared without a file.
    maker_a(at + 50 * PAGE, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    maker_b(at + 52 * PAGE, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    made(at + 50 * PAGE, 2 * PAGE, "maker_a");
    made(at + 52 * PAGE, 2 * PAGE, "maker_b");
}

MAKER char *attacher(int id, char *at, int flags) {
    char *got = (char *)CHECK(shmat(id, at, flags));
    AFTER_CALL();
    return got;
}

static void segments(void) {
    int id = CHECK(shmget(IPC_PRIVATE, 3 * PAGE + 5, IPC_CREAT | 0600));
    char *at = arena(32);
    attacher(id, at, 0);
    char *second = attacher(id, 0, SHM_RDONLY);
    char *third = attacher(id, at + 16 * PAGE, 0);
    dropper(at + PAGE, 1);
    CHECK(shmdt(third));
    // Over what is there.
    maker_a(at + 8 * PAGE, 8, RW, fixed, -1, 0);
    attacher(id, at + 10 * PAGE, SHM_REMAP);
    shmctl(id, IPC_RMID, 0);
    made(at, PAGE, "attacher");
    made(at + 2 * PAGE, 2 * PAGE, "attacher");
    made(second, 4 * PAGE, "attacher");
    made(at + 8 * PAGE, 2 * PAGE, "maker_a");
    made(at + 10 * PAGE, 4 * PAGE, "attacher");
    made(at + 14 * PAGE, 2 * PAGE, "maker_a");
}

MAKER long ring(aio_context_t *context, long events) {
    long result = syscall(SYS_io_setup, events, context);
    AFTER_CALL();
    return result;
}

static void rings(void) {
    aio_context_t contexts[3] = {0};
    for (int i = 0; i < 3; i++)
        CHECK(ring(&contexts[i], 64));
    CHECK(syscall(SYS_io_destroy, contexts[1]));
    made((void *)contexts[0], PAGE, "ring");
    made((void *)contexts[2], PAGE, "ring");
}

// What splits rows and joins them again makes nothing.
static void flags(void) {
    char *at = arena(64);
    maker_a(at, 32, RW, fixed, -1, 0);
    memset(at, 1, 32 * PAGE);
    maker_b(at + 32 * PAGE, 16, RW, fixed, -1, 0);
    CHECK(mlock(at + 4 * PAGE, 4 * PAGE));
    CHECK(mlock(at + 12 * PAGE, 4 * PAGE));
    CHECK(munlock(at + 12 * PAGE, 4 * PAGE));
    CHECK(madvise(at + 9 * PAGE, PAGE, MADV_DONTFORK));
    CHECK(madvise(at + 20 * PAGE, 2 * PAGE, MADV_DONTDUMP));
    CHECK(madvise(at + 20 * PAGE, 2 * PAGE, MADV_DODUMP));
    CHECK(madvise(at + 30 * PAGE, 4 * PAGE, MADV_DONTNEED));
    CHECK(mprotect(at + 24 * PAGE, 2 * PAGE, PROT_READ));
    CHECK(mprotect(at + 25 * PAGE, PAGE, PROT_NONE));
    CHECK(mprotect(at + 34 * PAGE, 2 * PAGE, PROT_READ));
    CHECK(mprotect(at + 34 * PAGE, 2 * PAGE, RW));
    // A part of it is done before it fails, because of the hole behind.
    if (mprotect(at + 44 * PAGE, 8 * PAGE, PROT_READ) != -1)
        fail("mprotect of a hole");
    madvise(at + 40 * PAGE, 2 * PAGE, MADV_HUGEPAGE);
    // Where the kernel has them.
    syscall(462 /* mseal */, at + 36 * PAGE, 2 * PAGE, 0);
    prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at + 38 * PAGE, PAGE, "a name");
    made(at, 32 * PAGE, "maker_a");
    made(at + 32 * PAGE, 16 * PAGE, "maker_b");
}

__attribute__((noinline)) static int deeper(int depth) {
    volatile char room[32 << 10];
    room[0] = depth;
    return depth == 0 ? 0 : deeper(depth - 1) + room[0];
}

static void stack(void) {
    if (deeper(100) == 1)
        fail("impossible");
    maker_a(arena(4), 4, RW, fixed, -1, 0);
}

// Grows downwards when what lies below it is touched, as main's stack does.
static void grows(void) {
    char *at = arena(2048) + 1024 * PAGE;
    maker_a(at, 4, RW, fixed | MAP_GROWSDOWN, -1, 0);
    for (int page = -1; page > -20; page--)
        at[page * PAGE] = 1;
    made(at - 19 * PAGE, 23 * PAGE, "maker_a");
}

#ifdef __x86_64__
// No frame of the C library.
MAKER char *raw(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    AFTER_CALL();
    return (char *)result;
}

static void raw_calls(void) {
    char *at = arena(16);
    raw(SYS_mmap, (long)at, 4 * PAGE, RW, fixed, -1, 0);
    maker_a(at + 4 * PAGE, 4, RW, fixed, -1, 0);
    raw(SYS_mremap, (long)at + 4 * PAGE, 4 * PAGE, 6 * PAGE, 0, 0, 0);
    raw(SYS_munmap, (long)at, PAGE, 0, 0, 0, 0);
    made(at + PAGE, 3 * PAGE, "raw");
    made(at + 4 * PAGE, 4 * PAGE, "maker_a");
    made(at + 8 * PAGE, 2 * PAGE, "raw");
    one_row(at + PAGE, 9 * PAGE);
}

MAKER long int80(long number, long b, long c, long d, long si, long di, long bp) {
    long result;
    register long r8 asm("r8") = bp;
    asm volatile("push %%rbp; mov %%r8, %%rbp; int $0x80; pop %%rbp"
                 : "=a"(result), "+r"(r8)
                 : "a"(number), "b"(b), "c"(c), "d"(d), "S"(si), "D"(di)
                 : "memory", "r9", "r10", "r11");
    AFTER_CALL();
    return result;
}

// System calls of 32-bit programs.
static void i386(void) {
    long at = int80(192 /* mmap2 */, 0, 8 * PAGE, RW, ANONYMOUS, -1, 0);
    if (at <= 0 && at > -4096)
        _exit(77);
    int80(91 /* munmap */, at + 2 * PAGE, 2 * PAGE, 0, 0, 0, 0);
    int80(125 /* mprotect */, at + 5 * PAGE, PAGE, PROT_READ, 0, 0, 0);
    int80(192, at + 6 * PAGE, PAGE, RW, over, -1, 0);
    long moved = int80(163 /* mremap */, at, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, 0, 0);
    made((void *)moved, 4 * PAGE, "int80");
    made((void *)(at + 4 * PAGE), 4 * PAGE, "int80");
}
#endif

#ifdef __x86_64__
#define ARCH_MAP_VDSO_32 0x2002
#define ARCH_MAP_VDSO_64 0x2003

MAKER long vdso_maker(int option, void *hint) {
    long size = syscall(SYS_arch_prctl, option, hint);
    AFTER_CALL();
    return size;
}

// Where `[vdso]` and the pages that it reads from are: the kernel maps them one above the other.
static char *find_vdso(long *bytes) {
    static char text[1 << 16];
    size_t length = 0;
    int fd = CHECK(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
    for (long got; (got = CHECK(read(fd, text + length, sizeof text - 1 - length))) > 0;)
        length += got;
    text[length] = 0;
    close(fd);
    char *first = 0;
    *bytes = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
        unsigned long start, end;
        if (!strstr(line, "[vvar") && !strstr(line, "[vdso]"))
            continue;
        if (sscanf(line, "%lx-%lx", &start, &end) != 2)
            fail("sscanf");
        first = first ? first : (char *)start;
        *bytes += end - start;
    }
    return first;
}

// As CRIU does it. The C library must not be asked for the time after that.
static void vdso(void) {
    char *at = arena(64);
    long bytes;
    if (vdso_maker(ARCH_MAP_VDSO_64, at) != -1 || errno != EEXIST)
        _exit(77);
    char *first = find_vdso(&bytes);
    dropper(first, bytes / PAGE);
    CHECK(vdso_maker(ARCH_MAP_VDSO_32, at + 48 * PAGE));
    first = find_vdso(&bytes);
    dropper(first, bytes / PAGE);
    // Something is in the way: the kernel chooses.
    maker_a(at + 2 * PAGE, 1, RW, fixed, -1, 0);
    CHECK(vdso_maker(ARCH_MAP_VDSO_64, at));
    first = find_vdso(&bytes);
    if (first == at)
        fail("a place that is taken");
    made(at + 2 * PAGE, PAGE, "maker_a");
    dropper(first, bytes / PAGE);
    CHECK(vdso_maker(ARCH_MAP_VDSO_64, at + 16 * PAGE));
    if (find_vdso(&bytes) != at + 16 * PAGE)
        fail("the hint");
    made(at + 16 * PAGE, bytes, "vdso_maker");
}
#endif

// What is shown as the heap is elsewhere now, as CRIU says it of a process that it restores.
static void renamed_heap(void) {
    char text[4096];
    int fd = CHECK(open("/proc/self/stat", O_RDONLY | O_CLOEXEC));
    long length = CHECK(read(fd, text, sizeof text - 1));
    close(fd);
    text[length] = 0;
    // Fields from the third on.
    unsigned long field[60] = {0};
    char *at = strrchr(text, ')') + 2;
    for (int i = 3; i < 53 && at; i++) {
        field[i] = strtoul(at, 0, 10);
        at = strchr(at, ' ');
        at = at ? at + 1 : 0;
    }
    char *heap = arena(16);
    maker_a(heap, 8, RW, fixed, -1, 0);
    struct prctl_mm_map map = {
        .start_code = field[26], .end_code = field[27], .start_stack = field[28],
        .start_data = field[45], .end_data = field[46], .arg_start = field[48],
        .arg_end = field[49], .env_start = field[50], .env_end = field[51],
        .start_brk = (unsigned long)heap, .brk = (unsigned long)heap + 8 * PAGE, .exe_fd = -1,
    };
    if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == -1)
        _exit(77);
    made(heap, 8 * PAGE, "maker_a");
}

static const struct {
    const char *name;
    void (*run)(void);
} MODES[] = {
    {"joined", joined},     {"unmaps", unmaps}, {"moves", moves},       {"moves-of-many", moves_of_many},
    {"overlays", overlays}, {"breaks", breaks}, {"files", files},       {"segments", segments},
    {"rings", rings},       {"flags", flags},   {"stack", stack},   {"grows", grows},
    {"renamed-heap", renamed_heap},
#ifdef __x86_64__
    {"raw", raw_calls},     {"i386", i386},     {"vdso", vdso},
#endif
};

int main(int argc, char **argv) {
    for (size_t i = 0; argc > 1 && i < sizeof MODES / sizeof *MODES; i++) {
        if (strcmp(argv[1], MODES[i].name) == 0) {
            MODES[i].run();
            last_words();
        }
    }
    return 2;
}
