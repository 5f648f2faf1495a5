// A program that grows: an import that keeps every record in memory, beside an index and a log.
//
//   target/demo-grow    imports 24 records of 1 MiB, and ends
//
// `vmatlas record -o grow.vmrec -- target/demo-grow` and `vmatlas blame grow.vmrec` name the calls
// behind its memory. The kernel shows index and log as parts of one row.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char *index_memory, *log_memory, *records[24];

static char *map(size_t size, int access)
{
    return mmap(NULL, size, access, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void open_index(void)
{
    index_memory = map(1 << 20, PROT_READ | PROT_WRITE);
    index_memory[0] = 1;
}

static void open_log(void)
{
    log_memory = map(256 << 10, PROT_READ | PROT_WRITE);
    log_memory[0] = 1;
}

static char *read_record(int number)
{
    char *record = malloc(1 << 20);
    memset(record, number, 1 << 20);
    return record;
}

static void *import(void *unused)
{
    pthread_setname_np(pthread_self(), "import");
    for (int number = 0; number < 24; number++)
        records[number] = read_record(number);
    return unused;
}

int main(void)
{
    pthread_t thread;
    map(1 << 20, PROT_NONE); // a guard between the data and what the loader mapped
    open_index();
    open_log();
    pthread_create(&thread, NULL, import, NULL);
    pthread_join(thread, NULL);
    mprotect(log_memory, 4096, PROT_READ); // the head of the log is complete
}
