// A program whose system calls are recorded. Its first argument says what it does.
// Used by crates/vmatlas-linux/src/record/ptrace/tests/.
//
// Lengths of mappings tell a test which call was made where: each is made with one of its own.
#include "check.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L

static char *self;

static char *map(long pages)
{
	return (char *)CHECK(mmap(0, pages * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static void await(pid_t pid)
{
	int status;
	CHECK(waitpid(pid, &status, 0));
	if (status != 0) {
		fprintf(stderr, "recorded: a child ended with %x\n", status);
		exit(2);
	}
}

static void *map_in_thread(void *pages)
{
	map((long)pages);
	return 0;
}

static void thread(long pages)
{
	pthread_t thread;
	pthread_create(&thread, 0, map_in_thread, (void *)pages);
	pthread_join(thread, 0);
}

static void *exec_in_thread(void *unused)
{
	execl(self, self, "map", "107", NULL);
	return unused;
}

static void *storm(void *rounds)
{
	for (long i = 0; i < (long)rounds; i++) {
		long pages = 1 + (i & 7);
		munmap(map(pages), pages * PAGE);
	}
	return 0;
}

static void storms(long threads, long rounds)
{
	pthread_t ids[16];
	if (threads == 0)
		storm((void *)rounds);
	for (long i = 0; i < threads; i++)
		pthread_create(&ids[i], 0, storm, (void *)rounds);
	for (long i = 0; i < threads; i++)
		pthread_join(ids[i], 0);
}

static long int80(long number, long b, long c, long d, long si, long di, long bp)
{
	long result;
	register long r8 asm("r8") = bp;
	asm volatile("push %%rbp; mov %%r8, %%rbp; int $0x80; pop %%rbp"
		     : "=a"(result), "+r"(r8)
		     : "a"(number), "b"(b), "c"(c), "d"(d), "S"(si), "D"(di)
		     : "memory", "r9", "r10", "r11");
	return result;
}

// Memory that 32-bit calls can reach.
static void *low(void)
{
	return (void *)CHECK(mmap(0, PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
}

static void calls_of_i386(void)
{
	// mmap2, munmap.
	long at = int80(192, 0, 111 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at > -4096 && at < 0)
		_exit(3);
	int80(91, at, 111 * PAGE, 0, 0, 0, 0);
	// mmap with its arguments in memory, and one that fails.
	uint32_t *words = low();
	memcpy(words, (uint32_t[]){0, 112 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0}, 24);
	at = int80(90, (long)words, 0, 0, 0, 0, 0);
	int80(91, at, 112 * PAGE, 0, 0, 0, 0);
	int80(91, 1, 113 * PAGE, 0, 0, 0, 0);
}

static int child_of_clone(void *pages)
{
	map((long)pages);
	return 0;
}

static void children(void)
{
	map(101);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		map(102);
		_exit(0);
	}
	await(pid);
	pid = vfork();
	if (pid == 0) {
		map(103);
		_exit(0);
	}
	await(pid);
	char *arguments[] = {self, "map", "104", NULL};
	char *environment[] = {NULL};
	if (posix_spawn(&pid, self, 0, 0, arguments, environment) != 0)
		exit(2);
	await(pid);
	thread(105);
	char *stack = map(16);
	pid = CHECK(clone(child_of_clone, stack + 16 * PAGE, CLONE_VM | SIGCHLD, (void *)106));
	await(pid);
	pid = CHECK(clone(child_of_clone, stack + 16 * PAGE, CLONE_UNTRACED | SIGCHLD, (void *)108));
	await(pid);
}

static void handler(int signal)
{
	(void)signal;
}

static void own_filter(unsigned action)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {4, filter};
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	printf("%ld\n", syscall(SYS_getppid) == -1 ? (long)-errno : 0);
}

// A call that waits for a page that nobody gives until another thread has mapped memory.
static int uffd;
static char *missing;

static void *lock_missing(void *unused)
{
	mlock(missing, PAGE);
	return unused;
}

static void *release(void *unused)
{
	struct uffd_msg message;
	struct pollfd ready = {uffd, POLLIN, 0};
	poll(&ready, 1, 5000);
	CHECK(read(uffd, &message, sizeof message));
	// The other thread is in its call.
	munmap(map(121), 121 * PAGE);
	munmap(map(122), 122 * PAGE);
	struct uffdio_zeropage zero = {.range = {(uintptr_t)missing, PAGE}};
	CHECK(ioctl(uffd, UFFDIO_ZEROPAGE, &zero));
	return unused;
}

static void blocked(void)
{
	uffd = CHECK(syscall(SYS_userfaultfd, O_CLOEXEC));
	struct uffdio_api api = {.api = UFFD_API};
	CHECK(ioctl(uffd, UFFDIO_API, &api));
	missing = map(1);
	struct uffdio_register range = {.range = {(uintptr_t)missing, PAGE},
					.mode = UFFDIO_REGISTER_MODE_MISSING};
	CHECK(ioctl(uffd, UFFDIO_REGISTER, &range));
	pthread_t ids[2];
	pthread_create(&ids[0], 0, release, 0);
	pthread_create(&ids[1], 0, lock_missing, 0);
	pthread_join(ids[1], 0);
	pthread_join(ids[0], 0);
	puts("done");
}

static void state(void)
{
	// What a program sees of itself: descriptors, groups, signals.
	sigset_t mask;
	sigprocmask(SIG_BLOCK, 0, &mask);
	for (int signal = 1; signal < 65; signal++) {
		struct sigaction action;
		if (signal == 32 || signal == 33 || sigaction(signal, 0, &action) != 0)
			continue;
		if (sigismember(&mask, signal) || action.sa_handler != SIG_DFL)
			printf("signal %d %d %d\n", signal, sigismember(&mask, signal),
			       action.sa_handler == SIG_IGN);
	}
	for (int fd = 3; fd < 1024; fd++) {
		if (fcntl(fd, F_GETFD) != -1)
			printf("fd %d\n", fd);
	}
	printf("group %d session %d parent %d\n", getpgrp(), getsid(0), getppid());
	cpu_set_t set;
	sched_getaffinity(0, sizeof set, &set);
	printf("cpus %d\n", CPU_COUNT(&set));
}

int main(int argc, char **argv)
{
	self = argv[0];
	const char *mode = argv[1];
	long number = argc > 2 ? atol(argv[2]) : 0;
	if (strcmp(mode, "map") == 0) {
		map(number);
	} else if (strcmp(mode, "exit") == 0) {
		_exit(number);
	} else if (strcmp(mode, "signal") == 0) {
		raise(number);
	} else if (strcmp(mode, "fault") == 0) {
		*(volatile char *)0x18 = 1;
	} else if (strcmp(mode, "children") == 0) {
		children();
	} else if (strcmp(mode, "exec-from-thread") == 0) {
		pthread_t id;
		pthread_create(&id, 0, exec_in_thread, 0);
		pause();
	} else if (strcmp(mode, "i386") == 0) {
		calls_of_i386();
	} else if (strcmp(mode, "forks") == 0) {
		for (long i = 0; i < number; i++) {
			pid_t pid = CHECK(fork());
			if (pid == 0) {
				map(130);
				_exit(0);
			}
			if (i % 3 != 0)
				await(pid);
		}
		while (wait(0) > 0)
			;
		puts("done");
	} else if (strcmp(mode, "storm") == 0) {
		storms(number, atol(argv[3]));
		puts("done");
	} else if (strcmp(mode, "ptrace") == 0) {
		for (int i = 0; i < 3; i++)
			printf("%ld\n", ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 ? (long)-errno : 0);
	} else if (strcmp(mode, "io-uring") == 0) {
		// It fails without parameters, and where rings are disabled.
		for (int i = 0; i < 2; i++)
			syscall(SYS_io_uring_setup, 1, NULL);
	} else if (strcmp(mode, "filter-errno") == 0) {
		own_filter(SECCOMP_RET_ERRNO | 7);
	} else if (strcmp(mode, "filter-trace") == 0) {
		own_filter(SECCOMP_RET_TRACE | 1);
	} else if (strcmp(mode, "blocked") == 0) {
		blocked();
	} else if (strcmp(mode, "stop") == 0) {
		// Stopped, and continued by a child. In a process group of its own whose parent is in
		// another one: signals of the terminal do not stop an orphaned group, as ours may be.
		pid_t inner = fork();
		if (inner != 0) {
			await(inner);
			return 0;
		}
		setpgid(0, 0);
		pid_t parent = getpid();
		signal(SIGCONT, handler);
		pid_t pid = fork();
		if (pid == 0) {
			char path[64], line[512] = "";
			snprintf(path, sizeof path, "/proc/%d/stat", parent);
			while (strstr(line, ") T ") == NULL && strstr(line, ") t ") == NULL) {
				int fd = open(path, O_RDONLY);
				line[read(fd, line, sizeof line - 1)] = 0;
				close(fd);
				usleep(1000);
			}
			// It stays stopped.
			usleep(50000);
			map(141);
			kill(parent, SIGCONT);
			_exit(0);
		}
		raise(number);
		map(142);
		await(pid);
		puts("done");
	} else if (strcmp(mode, "stop-child") == 0) {
		// A parent sees its child stop, go on and end, which it does when the pipe is closed.
		int ends[2];
		CHECK(pipe(ends));
		pid_t pid = fork();
		if (pid == 0) {
			char byte;
			close(ends[1]);
			raise(SIGSTOP);
			_exit(5 + read(ends[0], &byte, 1));
		}
		int status;
		CHECK(waitpid(pid, &status, WUNTRACED));
		printf("%x ", status);
		kill(pid, SIGCONT);
		CHECK(waitpid(pid, &status, WCONTINUED));
		printf("%x ", status);
		close(ends[1]);
		CHECK(waitpid(pid, &status, 0));
		printf("%x\n", status);
	} else if (strcmp(mode, "killed") == 0) {
		// Killed in the middle of whatever its threads do.
		pid_t pid = fork();
		if (pid == 0) {
			storms(3, 1000000);
			_exit(0);
		}
		usleep(30000);
		kill(pid, SIGKILL);
		int status;
		CHECK(waitpid(pid, &status, 0));
		printf("%x\n", status);
	} else if (strcmp(mode, "killed-forking") == 0) {
		// Those that it made live on.
		pid_t pid = fork();
		if (pid == 0) {
			signal(SIGCHLD, SIG_IGN);
			for (int i = 0; i < 500; i++) {
				if (fork() == 0) {
					map(161);
					_exit(0);
				}
			}
			pause();
		}
		usleep(20000);
		kill(pid, SIGKILL);
		int status;
		CHECK(waitpid(pid, &status, 0));
		printf("%x\n", status);
	} else if (strcmp(mode, "suspend") == 0) {
		// 0 is no signal: until it is killed.
		if (number == 0)
			pause();
		raise(number);
		_exit(6);
	} else if (strcmp(mode, "daemon") == 0) {
		if (fork() == 0) {
			setsid();
			usleep(200000);
			map(151);
			_exit(0);
		}
		_exit(9);
	} else if (strcmp(mode, "pause") == 0) {
		usleep(number * 1000);
	} else if (strcmp(mode, "state") == 0) {
		state();
	} else {
		return 2;
	}
	return 0;
}
