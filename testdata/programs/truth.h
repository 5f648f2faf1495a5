// What programs of known truth say when they end: who made which bytes, and their own maps.
//
// Each process writes the file PID of the directory $TRUTH with its last act. A line
// "made START-END FUNCTION TID" says that all these bytes came by a call that FUNCTION made in the
// thread TID; "one START-END" that the kernel shows them in one row. Behind a line "maps" follows
// what maps of /proc says. Nothing is mapped for this: no stdio, no malloc.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
#define MAKER __attribute__((noinline, noclone)) static
// Keeps the call before it from becoming a jump, which would leave no frame.
#define AFTER_CALL() __asm__ volatile("" ::: "memory")

#define CHECK(call)                                                                                \
    ({                                                                                             \
        long result_ = (long)(call);                                                               \
        if (result_ == -1)                                                                         \
            fail(#call);                                                                           \
        result_;                                                                                   \
    })

static char truth_text[1 << 16];
static size_t truth_length;

__attribute__((unused)) static void fail(const char *what) {
    dprintf(2, "%s: %s\n", what, strerror(errno));
    _exit(2);
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = sizeof truth_text - truth_length;
    size_t length = vsnprintf(truth_text + truth_length, room, format, arguments);
    va_end(arguments);
    if (length >= room)
        _exit(3);
    truth_length += length;
}

__attribute__((unused)) static void made_by(long tid, void *start, long bytes, const char *maker) {
    say("made %lx-%lx %s %ld\n", (long)start, (long)start + bytes, maker, tid);
}

__attribute__((unused)) static void made(void *start, long bytes, const char *maker) {
    made_by(syscall(SYS_gettid), start, bytes, maker);
}

__attribute__((unused)) static void one_row(void *start, long bytes) {
    say("one %lx-%lx\n", (long)start, (long)start + bytes);
}

static void write_all(int fd, const char *bytes, size_t length) {
    while (length > 0) {
        long written = CHECK(write(fd, bytes, length));
        bytes += written;
        length -= written;
    }
}

// Does not return. Nothing may run beside it.
__attribute__((noreturn, unused)) static void last_words(void) {
    static char page[1 << 16];
    const char *directory = getenv("TRUTH");
    if (directory) {
        snprintf(page, sizeof page, "%s/%d", directory, getpid());
        int out = CHECK(open(page, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        int in = CHECK(open("/proc/thread-self/maps", O_RDONLY | O_CLOEXEC));
        say("maps\n");
        write_all(out, truth_text, truth_length);
        long length;
        while ((length = CHECK(read(in, page, sizeof page))) > 0)
            write_all(out, page, length);
    }
    _exit(0);
}

// Addresses that nothing is mapped at, with nothing mapped close by, for calls that say where.
__attribute__((unused)) static char *arena(long pages) {
    char *start = (char *)CHECK(mmap(0, (pages + 32) * PAGE, PROT_NONE,
                                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    CHECK(munmap(start, (pages + 32) * PAGE));
    return start + 16 * PAGE;
}
