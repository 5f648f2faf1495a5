// Threads of which the first ends before the others. The first argument is what happens when a line
// has been read from the standard input, or its end:
//   lives  a second thread executes /bin/true, while the first lives
//   ended  the same after the end of the first
//   last   a second thread ends the process after the end of the first

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *what;

static void *second(void *unused)
{
    char byte;
    printf("%d\n", getpid());
    fflush(stdout);
    while (read(0, &byte, 1) > 0 && byte != '\n') {
    }
    mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (strcmp(what, "last") == 0)
        return unused;
    execl("/bin/true", "true", (char *)NULL);
    abort();
}

static void *third(void *unused)
{
    for (;;)
        pause();
    return unused;
}

int main(int count, char **words)
{
    pthread_t thread;
    what = count > 1 ? words[1] : "lives";
    if (strcmp(what, "last") != 0)
        pthread_create(&thread, NULL, third, NULL);
    pthread_create(&thread, NULL, second, NULL);
    if (strcmp(what, "lives") == 0)
        third(NULL);
    pthread_exit(NULL);
}
