/*
 * A static program of three threads that crashes: the smallest process that has a heap, a vDSO,
 * stacks and a file. The cores in testdata/cores are of it. It writes its maps to the file "maps".
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

char marked[64] = "data of the program";
static pthread_barrier_t barrier;

static void *run(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    for (;;)
        pause();
    return NULL;
}

int main(void)
{
    static char text[8192];
    pthread_attr_t small;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 3);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 << 10);
    pthread_create(&thread, &small, run, NULL);
    pthread_create(&thread, &small, run, NULL);
    pthread_barrier_wait(&barrier);
    memset(malloc(5000), 1, 5000);
    mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    int from = open("/proc/self/maps", O_RDONLY);
    int to = open("maps", O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ssize_t size;
    while ((size = read(from, text, sizeof text)) > 0)
        if (write(to, text, size) != size)
            return 1;
    int *volatile nowhere = (int *)0x10;
    *nowhere = marked[0];
    return 0;
}
