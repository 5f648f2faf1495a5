/*
 * A process of three threads with mappings of every sort. It writes its maps to the file "maps" of
 * its working directory and then crashes (argument "crash"), or says "ready" and waits ("wait").
 * A number as argument: with so many mappings more it crashes.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <unistd.h>

static char bss[100000];
static char data[5000] = "data";
static pthread_barrier_t barrier;

static void *run(void *name)
{
    prctl(PR_SET_NAME, name);
    pthread_barrier_wait(&barrier);
    for (;;)
        pause();
    return NULL;
}

static void *map(size_t size, int prot, int flags, int fd, off_t offset)
{
    void *at = mmap(NULL, size, prot, flags, fd, offset);
    if (at == MAP_FAILED)
        err(1, "mmap");
    return at;
}

static void copy_maps(void)
{
    static char text[65536];
    int from = open("/proc/self/maps", O_RDONLY);
    int to = open("maps", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ssize_t size;
    if (from < 0 || to < 0)
        err(1, "maps");
    while ((size = read(from, text, sizeof text)) > 0)
        if (write(to, text, size) != size)
            err(1, "maps");
    close(from);
    close(to);
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int file = open("file with\nline feed", O_CREAT | O_RDWR, 0600);
    int gone = open("gone", O_CREAT | O_RDWR, 0600);
    int memory = memfd_create("some memory", 0);
    if (file < 0 || gone < 0 || memory < 0 || ftruncate(file, 20480) || ftruncate(gone, 8192) ||
        ftruncate(memory, 8192))
        err(1, "files");
    unlink("gone");
    pthread_barrier_init(&barrier, NULL, 3);
    pthread_create(&thread, NULL, run, "first");
    pthread_create(&thread, NULL, run, "second");
    pthread_barrier_wait(&barrier);
    memset(malloc(5000), 1, 5000);
    bss[50000] = data[0];

    map(8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map(8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 7, 8192);
    map(4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(map(8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 7, 8192);
    map(8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 4096);
    map(8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 12288);
    map(4096, PROT_READ, MAP_PRIVATE, gone, 4096);
    map(8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    void *kept = map(8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(kept, 7, 8192);
    madvise(kept, 8192, MADV_DONTDUMP);
    int id = shmget(IPC_PRIVATE, 8192, IPC_CREAT | 0600);
    void *segment = shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    if (segment == (void *)-1)
        err(1, "shmat");
    close(file);
    close(gone);
    close(memory);

    int more = argc > 1 ? atoi(argv[1]) : 0;
    for (int i = 0; i < more; i++)
        map(4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    copy_maps();
    if (more > 0 || (argc > 1 && strcmp(argv[1], "crash") == 0))
        *(volatile int *)0x10 = 1;
    printf("ready\n");
    fflush(stdout);
    for (;;)
        pause();
}
