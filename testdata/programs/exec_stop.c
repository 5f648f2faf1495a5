// exec_stop FLAGS PROGRAM [ARGUMENT...]: executes a program and stops it before its first
// instruction; prints its pid, or how it ended instead, and waits to be killed, upon which the
// program dies, too. FLAGS: r addresses are not randomised, z page 0 is mapped, x
// READ_IMPLIES_EXEC, m same-page merging of all memory, s a stack limit of 64 KiB, - none.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

static int start(const char *flags, char **words) {
    unsigned long persona = 0;
    persona |= strchr(flags, 'r') ? ADDR_NO_RANDOMIZE : 0;
    persona |= strchr(flags, 'z') ? MMAP_PAGE_ZERO : 0;
    persona |= strchr(flags, 'x') ? READ_IMPLIES_EXEC : 0;
    struct rlimit limit = {.rlim_cur = 65536, .rlim_max = RLIM_INFINITY};
    if (getrlimit(RLIMIT_STACK, &limit) == 0) {
        limit.rlim_cur = strchr(flags, 's') ? 65536 : 8 << 20;
        setrlimit(RLIMIT_STACK, &limit);
    }
    if (strchr(flags, 'm'))
        prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
    personality(persona);
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    execv(words[0], words);
    return 127;
}

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    pid_t child = fork();
    if (child == 0)
        _exit(start(argv[1], argv + 2));
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP) {
        ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_EXITKILL);
        printf("%d\n", child);
    } else if (WIFEXITED(status)) {
        puts("refused");
    } else {
        puts("killed");
        kill(child, SIGKILL);
    }
    fflush(stdout);
    pause();
    return 0;
}
