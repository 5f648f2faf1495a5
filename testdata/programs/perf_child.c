// Does what it is told by lines of its input, and prints each system call that it made:
// "tid call arg0 arg1 arg2 arg3 result", in hexadecimal but the tid; then "done".
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3

static pthread_barrier_t go, done;
static volatile int quit;

static pid_t gettid_(void) { return syscall(SYS_gettid); }

struct call {
	const char *name;
	unsigned long args[4], result;
};

static struct call made[64];
static int count;

static void *note(const char *name, unsigned long a, unsigned long b, unsigned long c,
		  unsigned long d, unsigned long result)
{
	made[count++] = (struct call){name, {a, b, c, d}, result};
	return (void *)result;
}

static void print_calls(pid_t tid)
{
	for (int i = 0; i < count; i++) {
		struct call *m = &made[i];
		printf("%d %s %lx %lx %lx %lx %lx\n", tid, m->name, m->args[0], m->args[1],
		       m->args[2], m->args[3], m->result);
	}
	count = 0;
}

static unsigned long outer_return, inner_return;

// Calls whose results are known, made below two functions whose return addresses are known.
static __attribute__((noinline)) void inner(void)
{
	inner_return = (unsigned long)__builtin_return_address(0);
	char *p = mmap(NULL, 0x5000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	note("mmap", 0, 0x5000, 3, 0x22, (unsigned long)p);
	note("mprotect", (unsigned long)p, 0x1000, 1, 0, mprotect(p, 0x1000, PROT_READ));
	note("madvise", (unsigned long)p, 0x2000, MADV_DONTFORK, 0,
	     madvise(p, 0x2000, MADV_DONTFORK));
	prctl(PR_GET_DUMPABLE);
	char *q = mremap(p + 0x2000, 0x3000, 0x9000, MREMAP_MAYMOVE);
	note("mremap", (unsigned long)p + 0x2000, 0x3000, 0x9000, 1, (unsigned long)q);
	note("munmap", (unsigned long)q, 0x9000, 0, 0, munmap(q, 0x9000));
	note("munmap", (unsigned long)p, 0x2000, 0, 0, munmap(p, 0x2000));
	note("munmap", 1, 0x1000, 0, 0, munmap((void *)1, 0x1000) ? -22 : 0);
}

static __attribute__((noinline)) void outer(void)
{
	outer_return = (unsigned long)__builtin_return_address(0);
	inner();
	asm volatile("" ::: "memory");
}

static void *worker(void *number)
{
	(void)number;
	for (;;) {
		pthread_barrier_wait(&go);
		if (quit)
			return NULL;
		for (int turn = 0; turn < THREADS; turn++) {
			if (turn == (long)number) {
				outer();
				print_calls(gettid_());
			}
			pthread_barrier_wait(&done);
		}
	}
}

static void *once(void *unused)
{
	outer();
	print_calls(gettid_());
	return unused;
}

static int pairs, depth;

static __attribute__((noinline)) int deep(int left)
{
	volatile char frame[64];
	frame[0] = left;
	if (left > 0)
		return deep(left - 1) + frame[0];
	for (int i = 0; i < pairs; i++) {
		char *p = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		munmap(p, 0x10000);
	}
	return frame[0];
}

static void *bench(void *unused)
{
	deep(depth);
	return unused;
}

static void *churn(void *left)
{
	count = 0;
	outer();
	if (left) {
		pthread_t thread;
		// Who opens events for each thread cannot catch one that is gone before it is open.
		usleep(20000);
		pthread_create(&thread, NULL, churn, (char *)left - 1);
		pthread_detach(thread);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	pthread_barrier_init(&go, NULL, THREADS + 1);
	pthread_barrier_init(&done, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker, (void *)i);
	setvbuf(stdout, malloc(1 << 16), _IOFBF, 1 << 16);
	printf("ready\n");
	fflush(stdout);
	char line[100];
	while (fgets(line, sizeof line, stdin)) {
		int number = 0;
		if (!strcmp(line, "calls\n")) {
			outer();
			print_calls(getpid());
			printf("returns %lx %lx\n", inner_return, outer_return);
		} else if (!strcmp(line, "threads\n")) {
			pthread_barrier_wait(&go);
			for (int turn = 0; turn < THREADS; turn++)
				pthread_barrier_wait(&done);
		} else if (!strcmp(line, "new\n")) {
			pthread_t thread;
			pthread_create(&thread, NULL, once, NULL);
			pthread_join(thread, NULL);
		} else if (!strcmp(line, "fork\n")) {
			fflush(stdout);
			pid_t pid = fork();
			if (!pid) {
				outer();
				print_calls(getpid());
				fflush(stdout);
				_exit(0);
			}
			waitpid(pid, NULL, 0);
		} else if (!strcmp(line, "exec\n")) {
			pid_t pid = vfork();
			if (!pid) {
				execl("/bin/true", "true", NULL);
				_exit(1);
			}
			waitpid(pid, NULL, 0);
			printf("%d\n", pid);
		} else if (!strcmp(line, "touch\n")) {
			char *p = mmap(NULL, 64 << 12, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			madvise(p, 64 << 12, MADV_NOHUGEPAGE);
			for (int i = 0; i < 64; i++)
				p[i << 12] = 1;
			printf("%lx\n", (unsigned long)p);
		} else if (sscanf(line, "churn %d", &number) == 1) {
			pthread_t thread;
			pthread_create(&thread, NULL, churn, (void *)(long)number);
			pthread_detach(thread);
		} else if (sscanf(line, "bench %d %d %d", &number, &pairs, &depth) == 3) {
			pthread_t all[64];
			struct timespec a, b;
			// Of all threads: what other programs do counts little.
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
			for (int i = 0; i < number; i++)
				pthread_create(&all[i], NULL, bench, NULL);
			for (int i = 0; i < number; i++)
				pthread_join(all[i], NULL);
			clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
			printf("%ld\n", (b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec);
		}
		printf("done\n");
		fflush(stdout);
	}
	return 0;
}
