/* Fills a heap of so many MiB with blocks of 1000 random bytes, and crashes. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    size_t blocks = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1) << 10;
    unsigned random = 1;
    while (blocks--) {
        unsigned *block = malloc(1000);
        if (!block)
            return 1;
        for (int i = 0; i < 250; i++)
            block[i] = random = random * 1664525 + 1013904223;
    }
    abort();
}
