// Known makers of mappings: who made how many pages is told by the name of the function. Run
// under strace -k and vmatlas record by crates/vmatlas-cli/tests/it/strace.rs, it does the same
// every time. Prints the number of its child.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096L
// A function that is a frame of its own and returns to its caller.
#define MAKER __attribute__((noinline, noclone))

static inline __attribute__((always_inline)) char *map_at(char *place, long pages)
{
	int fixed = place ? MAP_FIXED : 0;
	char *made = mmap(place, pages * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | fixed, -1, 0);
	if (made == MAP_FAILED)
		exit(2);
	return made;
}

// Two makers of what the kernel shows as one row.
MAKER char *left(char *place)
{
	char *made = map_at(place, 2);
	asm volatile("" ::: "memory");
	return made;
}

MAKER char *right(char *place)
{
	char *made = map_at(place, 3);
	asm volatile("" ::: "memory");
	return made;
}

MAKER char *reserve(void)
{
	char *made = mmap(0, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	asm volatile("" ::: "memory");
	return made;
}

MAKER char *holed(void)
{
	char *made = map_at(0, 11);
	munmap(made + 4 * PAGE, 2 * PAGE);
	mprotect(made, PAGE, PROT_READ);
	asm volatile("" ::: "memory");
	return made;
}

MAKER char *moved(void)
{
	char *made = map_at(0, 3);
	asm volatile("" ::: "memory");
	return made;
}

// Five pages of which three were made before.
MAKER char *grow(char *old, char *to)
{
	char *made = mremap(old, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	asm volatile("" ::: "memory");
	return made;
}

MAKER void *in_thread(void *unused)
{
	map_at(0, 7);
	asm volatile("" ::: "memory");
	return unused;
}

MAKER void spawn(void)
{
	pthread_t thread;
	if (pthread_create(&thread, 0, in_thread, 0) != 0)
		exit(2);
	pthread_join(thread, 0);
}

MAKER void in_child(void)
{
	map_at(0, 9);
	asm volatile("" ::: "memory");
}

int main(void)
{
	char *place = reserve();
	left(place + 8 * PAGE);
	right(place + 10 * PAGE);
	holed();
	grow(moved(), place + 20 * PAGE);
	spawn();
	pid_t child = fork();
	if (child == 0) {
		in_child();
		munmap(place + 9 * PAGE, PAGE);
		_exit(0);
	}
	waitpid(child, 0, 0);
	dprintf(1, "%d\n", child);
	return 0;
}
