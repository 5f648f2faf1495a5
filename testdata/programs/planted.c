// Plants what a rule of vmatlas audit finds: planted MODE [FILE]. It prints a line and waits.
// Modes have the names of the rules. FILE is what the mode needs: a library, a file, a directory.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

static long page;
static const char *self;

static void fail(const char *what) {
    perror(what);
    exit(3);
}

static void *map(size_t size, int prot, int flags, int fd) {
    void *at = mmap(NULL, size, prot, flags, fd, 0);
    if (at == MAP_FAILED)
        fail("mmap");
    return at;
}

static void protect(void *at, size_t size, int prot) {
    if (mprotect(at, size, prot))
        fail("mprotect");
}

static void *anonymous(size_t size, int prot) {
    return map(size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static int open_file(const char *path, int flags) {
    int fd = open(path, flags, 0755);
    if (fd < 0)
        fail(path);
    return fd;
}

// Code that sleeps for ever by pause() or its equivalent.
static size_t code(unsigned char *to) {
#if defined(__x86_64__)
    static const unsigned char bytes[] = {0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7};
#elif defined(__aarch64__)
    static const unsigned char bytes[] = {0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x80, 0xd2, 0x02, 0x00, 0x80, 0xd2,
                                          0x03, 0x00, 0x80, 0xd2, 0x28, 0x09, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4,
                                          0xfa, 0xff, 0xff, 0x17};
#else
    static const unsigned char bytes[1];
#endif
    memcpy(to, bytes, sizeof bytes);
    return sizeof bytes;
}

static void *run(void *at) {
    ((void (*)(void))at)();
    return NULL;
}

static void *sleeper(void *never) {
    while (!never)
        pause();
    return never;
}

// A copy of this program, or of a file, in a memfd.
static int memfd_of(const char *path, int seal) {
    int from = open_file(path, O_RDONLY);
    int to = syscall(SYS_memfd_create, "planted", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
    if (to < 0)
        to = syscall(SYS_memfd_create, "planted", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (to < 0)
        fail("memfd_create");
    char bytes[65536];
    for (ssize_t size; (size = read(from, bytes, sizeof bytes)) > 0;)
        if (write(to, bytes, size) != size)
            fail("write");
    if (seal && fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
        fail("F_ADD_SEALS");
    return to;
}

static void exec_memfd(int seal) {
    int fd = memfd_of(self, seal);
    char *argv[] = {(char *)self, "wait", NULL}, *envp[] = {NULL};
    fexecve(fd, argv, envp);
    fail("fexecve");
}

static int make_relro_writable(struct dl_phdr_info *info, size_t size, void *done) {
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_GNU_RELRO && !*(int *)done) {
            uintptr_t start = (info->dlpi_addr + header->p_vaddr) & -page;
            uintptr_t end = (info->dlpi_addr + header->p_vaddr + header->p_memsz) & -page;
            protect((void *)start, end - start, PROT_READ | PROT_WRITE);
            *(int *)done = 1;
        }
    }
    return 0;
}

static void thread(void *stack, size_t size, void *(*body)(void *), void *with) {
    pthread_attr_t attributes;
    pthread_t id;
    pthread_attr_init(&attributes);
    if (stack && pthread_attr_setstack(&attributes, stack, size))
        fail("pthread_attr_setstack");
    if (pthread_create(&id, &attributes, body, with))
        fail("pthread_create");
    usleep(100000);
}

static void *mapped_file(const char *path, int prot, int flags) {
    int fd = open_file(path, flags & MAP_SHARED ? O_RDWR : O_RDONLY);
    struct stat stat;
    fstat(fd, &stat);
    return map(stat.st_size ? stat.st_size : page, prot, flags, fd);
}

// A function that is changed, alone in its page.
__attribute__((aligned(4096), noinline)) static int victim(int x) {
    return x + 1;
}

static void text(int differs) {
    unsigned char *at = (unsigned char *)((uintptr_t)victim & -page);
    protect(at, page, PROT_READ | PROT_WRITE | PROT_EXEC);
    volatile unsigned char *byte = (unsigned char *)victim;
    *byte = differs ? *byte ^ 0x5a : *byte;
    protect(at, page, PROT_READ | PROT_EXEC);
}

static void restart_without_aslr(void) {
    if (personality(0xffffffff) & ADDR_NO_RANDOMIZE)
        return;
    personality(ADDR_NO_RANDOMIZE);
    execl("/proc/self/exe", self, "aslr-off", NULL);
    fail("execl");
}

static pid_t child_that_waits(void) {
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return child;
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "wait", *file = argc > 2 ? argv[2] : NULL;
    page = sysconf(_SC_PAGESIZE);
    self = argv[0];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    pid_t child = 0;
#define MODE(name) else if (!strcmp(mode, name))
    if (!strcmp(mode, "wait")) {
    }
    MODE("wx") anonymous(1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC);
    MODE("wx-named") {
        void *at = anonymous(1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC);
        prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, 1 << 20, file);
    }
    MODE("wx-file") mapped_file(file, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE);
    MODE("wx-shared") map(page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1);
    MODE("anon-x") {
        void *at = anonymous(1 << 20, PROT_READ | PROT_WRITE);
        code(at);
        protect(at, 1 << 20, PROT_READ | PROT_EXEC);
    }
    MODE("anon-x-island") {
        void *at = anonymous(page, PROT_READ | PROT_WRITE);
        code(at);
        protect(at, page, PROT_READ | PROT_EXEC);
        thread(NULL, 0, run, at);
    }
    MODE("exec-stack") {
        char here;
        protect((void *)((uintptr_t)&here & -page), page, PROT_READ | PROT_WRITE | PROT_EXEC);
    }
    MODE("exec-heap") {
        char *at = sbrk(2 * page);
        protect((void *)(((uintptr_t)at + page - 1) & -page), page, PROT_READ | PROT_WRITE | PROT_EXEC);
    }
    MODE("dirty-text") text(0);
    MODE("text-differs") text(1);
    // The caller removes or replaces the file once it is mapped.
    MODE("map-code") mapped_file(file, PROT_READ | PROT_EXEC, MAP_PRIVATE);
    MODE("dlopen") {
        if (!dlopen(file, RTLD_NOW))
            fputs(dlerror(), stderr), exit(3);
    }
    MODE("memfd-exec") {
        int fd = memfd_of(self, 0);
        map(page, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd);
    }
    MODE("memfd-exe") exec_memfd(0);
    MODE("memfd-exe-sealed") exec_memfd(1);
    MODE("no-relro") {
        int done = 0;
        dl_iterate_phdr(make_relro_writable, &done);
    }
    MODE("aslr-off") restart_without_aslr();
    MODE("low-map") {
        if (mmap((void *)0, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
            fail("mmap");
    }
    MODE("guard-missing") {
        size_t size = 1 << 20;
        char *at = anonymous(2 * size, PROT_READ | PROT_WRITE);
        thread(at, size, sleeper, NULL);
        thread(at + size, size, sleeper, NULL);
    }
    MODE("stack-huge") {
        struct rlimit limit;
        getrlimit(RLIMIT_STACK, &limit);
        limit.rlim_cur = RLIM_INFINITY;
        if (setrlimit(RLIMIT_STACK, &limit))
            fail("setrlimit");
    }
    MODE("ptrace-window") {
        child = child_that_waits();
        if (ptrace(PTRACE_SEIZE, child, 0, 0))
            fail("ptrace");
    }
    MODE("foreign-memory") {
        char path[64];
        child = child_that_waits();
        snprintf(path, sizeof path, "/proc/%d/mem", child);
        open_file(path, O_RDONLY);
    }
    MODE("write-code") mapped_file(file, PROT_READ | PROT_WRITE, MAP_SHARED);
    MODE("secret-dumpable") {
        void *at = anonymous(page, PROT_READ | PROT_WRITE);
        if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, page, "tls secret"))
            exit(4);
    }
    MODE("secret-kept") {
        void *at = anonymous(page, PROT_READ | PROT_WRITE);
        madvise(at, page, MADV_DONTDUMP);
        if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, at, page, "tls secret"))
            exit(4);
    }
    MODE("map-budget") {
        // Neighbours with other permissions do not merge.
        long count = atol(file);
        char *at = anonymous(count * page, PROT_NONE);
        for (long i = 0; i < count; i += 2)
            if (mprotect(at + i * page, page, PROT_READ))
                break;
    }
    MODE("unexplained") {
        for (int i = 0; i < 64; i++) {
            char *at = anonymous(20 * page, PROT_READ | PROT_WRITE);
            // The holes keep neighbours from merging.
            munmap(at + 19 * page, page);
            memset(at, i + 1, 19 * page);
        }
    }
    MODE("kernel-surface") mapped_file(file, PROT_READ, MAP_SHARED);
    MODE("w-then-x") {
        void *at = anonymous(page, PROT_READ | PROT_WRITE);
        code(at);
        protect(at, page, PROT_READ | PROT_EXEC);
        if (file)
            return 0;
    }
    MODE("x-then-w") {
        void *at = anonymous(page, PROT_READ | PROT_EXEC);
        protect(at, page, PROT_READ | PROT_WRITE);
        if (file)
            return 0;
    }
    MODE("relro-undone") {
        int done = 0;
        dl_iterate_phdr(make_relro_writable, &done);
        if (file)
            return 0;
    }
    MODE("exec-unlinked") {
        int from = open_file(self, O_RDONLY);
        char path[] = "/tmp/planted-XXXXXX", bytes[4096];
        int to = mkstemp(path);
        ssize_t size = read(from, bytes, sizeof bytes);
        if (write(to, bytes, size) != size)
            fail("write");
        unlink(path);
        map(page, PROT_READ | PROT_EXEC, MAP_PRIVATE, to);
        if (file)
            return 0;
    }
    else {
        fprintf(stderr, "no mode %s\n", mode);
        return 2;
    }
    printf("%d\n", child);
    fflush(stdout);
    for (;;)
        pause();
}
