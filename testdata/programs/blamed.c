/* A program whose memory is blamed: two makers whose mappings the kernel joins, a thread, a part that is unmapped. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
static char *cache, *log_buffer;
static void cache_init(void) {
    cache = mmap(0, 48 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void log_open(void) {
    log_buffer = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static void cache_trim(void) {
    munmap(cache + (40 << 20), 8 << 20);
}
static void *worker(void *unused) {
    char *request = malloc(1 << 20);
    memset(request, 1, 1 << 20);
    usleep(300000);
    mprotect(log_buffer, 4096, PROT_READ);
    cache_trim();
    usleep(300000);
    return request;
}
/* With an argument it lives until its input ends: code of a program that is gone has no names. */
int main(int count, char **arguments) {
    pthread_t thread;
    char byte;
    cache_init();
    log_open();
    pthread_create(&thread, 0, worker, 0);
    pthread_join(thread, 0);
    return count > 1 && arguments[1] && read(0, &byte, 1) > 0;
}
