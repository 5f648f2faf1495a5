// deep_mmap DEPTH: maps 1 MiB in a function that has called itself DEPTH times. Used by
// crates/vmatlas-cli/tests/it/blame.rs.
#include <stdlib.h>
#include <sys/mman.h>

__attribute__((noinline, noclone)) static void *deeper(int depth)
{
	volatile char frame[16];
	frame[0] = 1;
	void *memory = depth ? deeper(depth - 1)
			     : mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return frame[0] ? memory : 0;
}

int main(int count, char **words)
{
	return count < 2 || deeper(atoi(words[1])) == MAP_FAILED;
}
