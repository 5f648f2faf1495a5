// memory_in_file FILE: maps the file, prints a line, waits for a line, and then makes system calls with an
// argument, and one with its stack pointer, in the last page of the file, which nobody has read. Whoever
// reads them waits for the file system. The kernel refuses the calls before it reads the arguments. Used by crates/vmatlas-cli/tests/it/hostile.rs.
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int count, char **words)
{
	struct stat stat;
	int fd = count == 2 ? open(words[1], O_RDONLY) : -1;
	if (fd < 0 || fstat(fd, &stat) < 0)
		return 2;
	size_t size = (stat.st_size + 4095) & ~4095L;
	char *start = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (start == MAP_FAILED)
		return 2;
	// At its end, the process would wait for the file system itself.
	close(fd);
	puts("mapped");
	fflush(stdout);
	getchar();
	char *unread = start + size - 2048;
	// A size and a flag that do not exist.
	if (syscall(SYS_clone3, unread, 1L) != -1)
		return 3;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1L << 30, unread) != -1)
		return 4;
	// mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
	register long flags asm("r10") = MAP_PRIVATE | MAP_ANONYMOUS, none asm("r8") = -1, offset asm("r9") = 0;
	long result;
	asm volatile("mov %%rsp, %%r12\n\tmov %[stack], %%rsp\n\tsyscall\n\tmov %%r12, %%rsp"
		     : "=a"(result)
		     : "a"(9L), "D"(0L), "S"(4096L), "d"((long)PROT_READ), "r"(flags), "r"(none), "r"(offset),
		       [stack] "r"(unread)
		     : "rcx", "r11", "r12", "memory");
	return result < 0;
}
