// unread_memory [-t] [FILE]: makes system calls with an argument, and one with its stack pointer, in memory
// that nobody has read. Whoever reads it waits for a file system, of FILE, or for a userfaultfd. The kernel
// refuses the calls before it reads the arguments. It first prints a line and waits for one. With -t, the file
// is moved to that memory and back by another thread meanwhile. Used by crates/vmatlas-cli/tests/it/hostile.rs.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t size = 1 << 20;
static char *file, *place;
static atomic_int over;

static char *anonymous(char *at, int flags)
{
	char *start = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (start == MAP_FAILED)
		exit(2);
	return start;
}

static char *of_file(const char *name)
{
	struct stat stat;
	int fd = open(name, O_RDONLY);
	if (fd < 0 || fstat(fd, &stat) < 0)
		exit(2);
	size = (stat.st_size + 4095) & ~4095L;
	char *start = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (start == MAP_FAILED)
		exit(2);
	// At its end, the process would wait for the file system itself.
	close(fd);
	return start;
}

static char *of_userfaultfd(void)
{
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	char *start = anonymous(NULL, 0);
	struct uffdio_register all = {{(unsigned long)start, size}, UFFDIO_REGISTER_MODE_MISSING, 0};
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &all))
		exit(2);
	return start;
}

static void *move(void *unused)
{
	(void)unused;
	for (int times = 0; times < 1000; times++) {
		if (mremap(file, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place) == MAP_FAILED)
			exit(5);
		if (mremap(place, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, file) == MAP_FAILED)
			exit(6);
		anonymous(place, MAP_FIXED);
	}
	over = 1;
	return NULL;
}

static void use(char *unread)
{
	// A size and a flag that do not exist.
	if (syscall(SYS_clone3, unread, 1L) != -1)
		exit(3);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1L << 30, unread) != -1)
		exit(4);
	// mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
	register long flags asm("r10") = MAP_PRIVATE | MAP_ANONYMOUS, none asm("r8") = -1, offset asm("r9") = 0;
	long result;
	asm volatile("mov %%rsp, %%r12\n\tmov %[stack], %%rsp\n\tsyscall\n\tmov %%r12, %%rsp"
		     : "=a"(result)
		     : "a"(9L), "D"(0L), "S"(4096L), "d"((long)PROT_READ), "r"(flags), "r"(none), "r"(offset),
		       [stack] "r"(unread)
		     : "rcx", "r11", "r12", "memory");
	if (result < 0 || munmap((void *)result, 4096))
		exit(7);
}

int main(int count, char **words)
{
	int moves = count > 1 && !strcmp(words[1], "-t");
	file = count > 1 ? of_file(words[count - 1]) : of_userfaultfd();
	place = moves ? anonymous(NULL, 0) : file;
	puts("mapped");
	fflush(stdout);
	getchar();
	pthread_t mover;
	if (moves && pthread_create(&mover, NULL, move, NULL))
		return 2;
	do
		use(place + size - 2048);
	while (moves && !over);
	return 0;
}
