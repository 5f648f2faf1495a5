// many_mappings DIR ROWS: a process of about ROWS mappings as large programs have them, of which
// no two merge. Makes its files below DIR, prints `ready` and waits to be killed.
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum { PAGE = 4096, FILES = 400, RW = PROT_READ | PROT_WRITE };

static char *at = (char *)0x700000000000;
static long rows, most;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static char *map(long pages, int prot, int flags, int fd, long offset) {
    if (rows == most) {
        puts("ready");
        fflush(stdout);
        for (;;) pause();
    }
    if (mmap(at, pages * PAGE, prot, flags | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, offset * PAGE) != at)
        die("mmap");
    rows++;
    at += pages * PAGE;
    return at - pages * PAGE;
}

static void anonymous(long pages, int prot) { map(pages, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

static void segments(int fd) {
    map(10, PROT_READ, MAP_PRIVATE, fd, 0);
    map(90, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 10);
    map(40, PROT_READ, MAP_PRIVATE, fd, 100);
    map(4, PROT_READ, MAP_PRIVATE, fd, 139);
    map(2, RW, MAP_PRIVATE, fd, 143);
    anonymous(3, RW);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    most = atol(argv[2]);
    int library[FILES], index[FILES], gone[FILES];
    for (int i = 0; i < FILES; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/libcomponent-%d.so.%d.%d.1", argv[1], i, i % 7, i % 90);
        if ((library[i] = open(path, O_CREAT | O_RDWR, 0644)) < 0) die(path);
        snprintf(path, sizeof path, "%s/indices-%08xQk2TzW7sRkuXw-%d-index-_%x.cfs", argv[1], i * 2654435761u, i % 5, i);
        if ((index[i] = open(path, O_CREAT | O_RDWR, 0644)) < 0) die(path);
        snprintf(path, sizeof path, "%s/.org.chromium.Chromium.%06x", argv[1], i * 40503);
        if ((gone[i] = open(path, O_CREAT | O_RDWR, 0644)) < 0) die(path);
        if (i % 2) unlink(path);
        if (ftruncate(library[i], 200 * PAGE) || ftruncate(index[i], 200 * PAGE) || ftruncate(gone[i], 200 * PAGE))
            die("ftruncate");
    }
    int memfd = memfd_create("pulseaudio", MFD_CLOEXEC);
    if (memfd < 0 || ftruncate(memfd, 1 << 20)) die("memfd");
    // What the program has already, and the row of [vsyscall], count too.
    rows = 25;
    for (int i = 0;; i++) {
        segments(library[i % FILES]);
        for (int thread = 0; thread < 4; thread++) {
            anonymous(1, PROT_NONE);
            anonymous(16, RW);
        }
        for (int arena = 0; arena < 2; arena++) {
            at += PAGE;
            anonymous(33, RW);
            anonymous(15, PROT_NONE);
        }
        map(20, PROT_READ, MAP_SHARED, index[i % FILES], i % 3);
        map(30, PROT_READ, MAP_SHARED, index[(i + 1) % FILES], i % 5);
        map(8, RW, MAP_SHARED, gone[i % FILES], 0);
        map(4, RW, MAP_SHARED, memfd, i % 100);
        char *named = map(8, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        // Not in every kernel; an unnamed row does as well.
        prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, named, 8 * PAGE, "libc_malloc");
        at += i % 3 * PAGE;
    }
}
