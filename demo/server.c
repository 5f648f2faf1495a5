// A service that holds its data in memory: a cache, a table, sessions, and two threads.
//
//   target/demo-server &          serves until it is ended
//   target/demo-server request    asks it to keep 50,000 sessions more, and waits for the answer
//
// `vmatlas demo-server --deep` names each of these pieces; a snapshot before a request and `diff`
// show what grew.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static char *cache, *table, *sessions;

static void *work(void *started)
{
    pthread_setname_np(pthread_self(), "worker");
    pthread_barrier_wait(started); // both stacks are there
    char *buffer = malloc(1000); // the first malloc of a thread makes an arena for it
    memset(buffer, 1, 1000);
    pthread_barrier_wait(started);
    for (;;)
        pause();
    return NULL;
}

static void *write_log(void *started)
{
    pthread_setname_np(pthread_self(), "logger");
    pthread_barrier_wait(started);
    pthread_barrier_wait(started);
    for (;;)
        pause();
    return NULL;
}

static void keep_sessions(void)
{
    for (int i = 0; i < 50000; i++) {
        char *session = malloc(100);
        memcpy(session, &sessions, sizeof sessions); // a list: each has the one before
        sessions = session;
    }
}

int main(int argc, char **argv)
{
    // A socket without a file, named like the program.
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    strncpy(name.sun_path + 1, program_invocation_short_name, sizeof name.sun_path - 2);
    int connection, listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (argc > 1) {
        while (connect(listener, (struct sockaddr *)&name, sizeof name))
            usleep(10000); // the service is not ready
        return read(listener, argv[1], 1) == 1 ? puts("50,000 sessions more are kept") < 0 : 1;
    }
    int file = memfd_create("cache", MFD_CLOEXEC);
    ftruncate(file, 128 << 20);
    cache = mmap(NULL, 128 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    memset(cache, 1, 10 << 20);
    table = calloc(24 << 20, 1);
    memset(table, 1, 6 << 20);
    pthread_t worker, logger;
    pthread_barrier_t started;
    pthread_barrier_init(&started, NULL, 3);
    pthread_create(&worker, NULL, work, &started);
    pthread_create(&logger, NULL, write_log, &started);
    pthread_barrier_wait(&started);
    pthread_barrier_wait(&started); // all memory is there
    if (bind(listener, (struct sockaddr *)&name, sizeof name) || listen(listener, 9))
        return perror("demo-server"), 1;
    while ((connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        keep_sessions();
        write(connection, "!", 1);
        close(connection);
    }
}
