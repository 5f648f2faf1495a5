// Fills 1 GiB of memory with random bytes, so that no file system stores holes, and crashes some
// calls deep.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *next;
    long value;
};

__attribute__((noinline)) static long visit(struct node *volatile node, int depth)
{
    if (depth > 0)
        return visit(node, depth - 1) + 1;
    return node->value;
}

int main(int argc, char **argv)
{
    size_t size = (size_t)atol(argc > 1 ? argv[1] : "1024") << 20;
    uint64_t *memory = malloc(size), word = 88172645463325252;
    if (!memory)
        return 2;
    for (size_t i = 0; i < size / sizeof word; i++) {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        memory[i] = word;
    }
    fflush(stdout);
    return visit(NULL, 10) != 0;
}
