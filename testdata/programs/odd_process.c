// A process that is hard to read. Prints `ready` (or what the test needs to know), and goes on until
// it is killed. Used by crates/vmatlas-linux/tests/it/live.rs.
//
//   plain          nothing odd
//   no-leader      the main thread has ended, another lives: prints that one's number
//   zombie         prints the pid of a child that ended and is not waited for
//   unmapped       prints the pid of a child that has unmapped everything
//   exec           executes itself for ever, with more or fewer rows each time
//   exec-same      the same with the same 150 rows at the same addresses each time
//   churn          two threads map, unmap, protect and move mappings among 200 rows
//   marks PAGES US  has PAGES rows at 0x100000000000, one or two of them writable and executable:
//                  every US microseconds another one becomes so, and then the former no more
//   threads N      N threads besides the first sleep and wake
//   vfork          a thread waits in vfork(2), where no signal wakes it: prints its number
//   move           moves a mapping of 1 MiB from below 150 rows to above them, and back
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, SLOTS = 200, RW = PROT_READ | PROT_WRITE };

static void *anonymous(void *at, long pages, int prot, int flags)
{
	return mmap(at, pages * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

static void *outlive(void *none)
{
	char state = 0;
	while (state != 'Z') {
		FILE *stat = fopen("/proc/self/stat", "r");
		if (stat == NULL || fscanf(stat, "%*d %*s %c", &state) != 1)
			exit(1);
		fclose(stat);
	}
	printf("%ld\n", syscall(SYS_gettid));
	wait_for_ever();
	return none;
}

static void *sleep_and_wake(void *none)
{
	for (;;)
		usleep(1000);
	return none;
}

static void *wait_in_vfork(void *none)
{
	printf("%ld\n", syscall(SYS_gettid));
	fflush(stdout);
	if (vfork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_for_ever();
	}
	return none;
}

// A child that `last` is the last act of, stopped or dead: its pid.
static void child(void (*last)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		last();
		_exit(0);
	}
	siginfo_t info;
	waitid(P_PID, pid, &info, WEXITED | WSTOPPED | WNOWAIT);
	printf("%d\n", pid);
}

static void nothing(void)
{
}

// As tools/testing/selftests/proc/proc-empty-vm.c: the fault after it stops the child.
static void unmap_all(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	munmap(NULL, (1ul << 47) - PAGE);
}

// Rows of which no two merge.
static void rows(int count)
{
	for (int i = 0; i < count; i++)
		anonymous(NULL, 1, i % 2 ? PROT_READ : RW, 0);
}

static char *slots;

static void *churn(void *seed)
{
	unsigned random = (uintptr_t)seed * 2654435761u;
	for (;;) {
		// Who only ever writes keeps all readers out.
		if (random >> 27 == 0)
			usleep(50);
		random = random * 1664525 + 1013904223;
		char *at = slots + (random >> 8) % SLOTS * 4 * PAGE;
		char *other = slots + (random >> 20) % SLOTS * 4 * PAGE;
		switch (random >> 4 & 7) {
		case 0:
			munmap(at, 2 * PAGE);
			break;
		case 1:
			anonymous(at, 3, RW, MAP_FIXED);
			break;
		case 2:
			mprotect(at, PAGE, PROT_READ);
			break;
		case 3:
			mprotect(at, 2 * PAGE, RW);
			break;
		case 4:
			mremap(at, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other);
			break;
		case 5:
			anonymous(at + PAGE, 5, PROT_NONE, MAP_FIXED);
			break;
		case 6:
			munmap(at, 8 * PAGE);
			break;
		default:
			anonymous(at, 1, PROT_EXEC, MAP_FIXED);
		}
	}
	return NULL;
}

static void mark_for_ever(long pages, long pause_us)
{
	char *base = anonymous((void *)0x100000000000, pages, PROT_READ, MAP_FIXED | MAP_NORESERVE);
	for (long i = 0; i < pages; i++)
		mprotect(base + i * PAGE, PAGE, i % 2 ? PROT_READ : RW);
	unsigned random = 1;
	long at = 0;
	mprotect(base, PAGE, RW | PROT_EXEC);
	puts("ready");
	fflush(stdout);
	for (;;) {
		random = random * 1664525 + 1013904223;
		long next = (random >> 8) % pages;
		if (next == at)
			continue;
		mprotect(base + next * PAGE, PAGE, RW | PROT_EXEC);
		mprotect(base + at * PAGE, PAGE, at % 2 ? PROT_READ : RW);
		at = next;
		if (pause_us > 0)
			usleep(pause_us);
	}
}

static void move_for_ever(void)
{
	char *low = (char *)0x100000000000, *high = (char *)0x200000000000;
	for (long i = 0; i < 150; i++)
		anonymous((char *)0x180000000000 + i * 2 * PAGE, 1, RW, MAP_FIXED);
	anonymous(low, 256, PROT_NONE, MAP_FIXED);
	puts("ready");
	for (;;) {
		mremap(low, 256 * PAGE, 256 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, high);
		usleep(20);
		mremap(high, 256 * PAGE, 256 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, low);
		usleep(20);
	}
}

int main(int count, char **arguments)
{
	const char *mode = count > 1 ? arguments[1] : "";
	int round = count > 2 ? atoi(arguments[2]) : 0;
	pthread_t thread;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setlinebuf(stdout);
	if (!strcmp(mode, "no-leader")) {
		pthread_create(&thread, NULL, outlive, NULL);
		pthread_exit(NULL);
	} else if (!strcmp(mode, "zombie")) {
		child(nothing);
	} else if (!strcmp(mode, "unmapped")) {
		child(unmap_all);
	} else if (!strncmp(mode, "exec", 4)) {
		int same = !strcmp(mode, "exec-same");
		char next[20];
		if (round == 0)
			puts("ready");
		if (same)
			personality(ADDR_NO_RANDOMIZE);
		rows(same ? 150 : round % 7 * 30);
		snprintf(next, sizeof next, "%d", round + 1);
		execl("/proc/self/exe", "odd_process", mode, next, NULL);
		return 1;
	} else if (!strcmp(mode, "churn")) {
		slots = anonymous(NULL, (SLOTS + 4) * 4, PROT_NONE, 0);
		for (long i = 0; i < 2; i++)
			pthread_create(&thread, NULL, churn, (void *)(i + 1));
		puts("ready");
	} else if (!strcmp(mode, "marks") && count > 3) {
		mark_for_ever(atol(arguments[2]), atol(arguments[3]));
	} else if (!strcmp(mode, "threads") && count > 2) {
		for (int i = 0; i < atoi(arguments[2]); i++)
			pthread_create(&thread, NULL, sleep_and_wake, NULL);
		puts("ready");
	} else if (!strcmp(mode, "vfork")) {
		pthread_create(&thread, NULL, wait_in_vfork, NULL);
	} else if (!strcmp(mode, "move")) {
		move_for_ever();
	} else {
		puts("ready");
	}
	wait_for_ever();
}
