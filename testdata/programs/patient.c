// Does what the lines of its standard input say and answers each, so that a test can do something
// between two of them. Used by tests of the recorder.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t last_signal;

static void handler(int number) {
    last_signal = number;
}

// A mapping that tests find by its length.
static char *map(long pages) {
    char *at = mmap(0, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        _exit(3);
    // So that it joins no other.
    mprotect(at, pages * 4096, PROT_READ | PROT_EXEC);
    return at;
}

__attribute__((noinline)) static void crash(void) {
    *(volatile char *)0x1234 = 1;
}

int main(void) {
    char line[64];
    printf("pid %d\n", getpid());
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        long number = strtol(line + strcspn(line, " "), NULL, 10);
        if (strncmp(line, "map ", 4) == 0) {
            map(number);
        } else if (strncmp(line, "flip ", 5) == 0) {
            // As a compiler at run time does.
            char *at = map(16);
            for (long i = 0; i < number; i++) {
                char *page = at + 4096 * (i / 2 % 4);
                if (mprotect(page, 4096, i % 2 ? PROT_READ | PROT_EXEC : PROT_READ | PROT_WRITE) != 0)
                    _exit(3);
                if (i % 2 == 0)
                    *page = i;
            }
        } else if (strncmp(line, "fork ", 5) == 0) {
            for (long i = 0; i < number; i++) {
                pid_t child = fork();
                if (child == 0) {
                    map(1000 + i);
                    _exit(0);
                }
                waitpid(child, NULL, 0);
            }
        } else if (strncmp(line, "handle ", 7) == 0) {
            struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
            sigaction(number, &action, NULL);
        } else if (strncmp(line, "ignore ", 7) == 0) {
            signal(number, SIG_IGN);
        } else if (strcmp(line, "signal") == 0) {
            printf("signal %d\n", last_signal);
        } else if (strncmp(line, "exit ", 5) == 0) {
            exit(number);
        } else if (strcmp(line, "crash") == 0) {
            crash();
        }
        printf("%s done\n", line);
        fflush(stdout);
    }
    puts("end");
    return 0;
}
