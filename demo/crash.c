// A program that crashes: a cache gives its memory back, and is still used.
//
//   target/demo-crash
//
// `vmatlas record -o crash.vmrec -- target/demo-crash` and `vmatlas explain crash.vmrec` name the
// access that failed, and the call that had unmapped the memory.
#include <stddef.h>
#include <sys/mman.h>

#define SIZE (1 << 20)

struct entry {
    long key, value;
};

static long *squares;
static struct entry *cache;

static void *map(void)
{
    return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void prepare(void)
{
    squares = map();
    for (long key = 0; key < 1000; key++)
        squares[key] = key * key;
    mprotect(squares, SIZE, PROT_READ); // from now on a constant
    cache = map();
    for (long key = 0; key < 1000; key++)
        cache[key] = (struct entry){ key, squares[key] };
}

static long lookup(long key)
{
    return cache[key].value;
}

// Gives memory back when there is little.
static void trim(void)
{
    munmap(cache, SIZE);
}

static long serve(void)
{
    long sum = 0;
    for (long key = 30; key < 60; key++) {
        sum += lookup(key);
        if (key == 31)
            trim();
    }
    return sum;
}

int main(void)
{
    prepare();
    return serve() == 0;
}
