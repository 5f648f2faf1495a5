/* storm PAIRS THREADS [wait]: maps 64 KiB and unmaps it again, PAIRS times in all, 17 frames deep,
 * in THREADS threads. With `wait`, it begins when a line comes in. Prints the number of pairs. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { SIZE = 64 << 10, DEPTH = 14 }; /* besides main or start_thread, run, pair or the C library */

static long each;

__attribute__((noinline)) static long pair(void)
{
	void *place = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return place != MAP_FAILED && munmap(place, SIZE) == 0;
}

__attribute__((noinline)) static long deeper(int depth)
{
	volatile long done = 0; /* prevents tail calls */
	if (depth > 0) {
		done += deeper(depth - 1);
		return done;
	}
	for (long i = 0; i < each; i++)
		done += pair();
	return done;
}

static void *run(void *sum)
{
	*(long *)sum = deeper(DEPTH - 1);
	return NULL;
}

int main(int argc, char **argv)
{
	long pairs = argc > 1 ? atol(argv[1]) : 1000, count = argc > 2 ? atol(argv[2]) : 1, sum = 0;
	pthread_t *threads = calloc(count, sizeof *threads);
	long *sums = calloc(count, sizeof *sums);
	if (argc > 3)
		getchar();
	each = pairs / count;
	for (long i = 1; i < count; i++)
		pthread_create(&threads[i], NULL, run, &sums[i]);
	run(&sums[0]);
	for (long i = 1; i < count; i++)
		pthread_join(threads[i], NULL);
	for (long i = 0; i < count; i++)
		sum += sums[i];
	printf("%ld\n", sum);
	return 0;
}
