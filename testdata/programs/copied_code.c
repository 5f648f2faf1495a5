/* Replaces a page of its code by a copy without a file, as programs do that move their code into
 * huge pages, and says where. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

__attribute__((noinline, section(".hot"), aligned(PAGE))) int copied(int n) { return n * 3 + 1; }
/* The code behind it is on another page. */
__attribute__((noinline, section(".hot"), aligned(PAGE))) int other(int n) { return n * 5 + 1; }

int main(void) {
    char *code = (char *)copied;
    char *copy = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(copy, code, PAGE);
    mprotect(copy, PAGE, PROT_READ | PROT_EXEC);
    if (mremap(copy, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, code) == MAP_FAILED) return 1;
    printf("copied %p\nother %p\nsum %d\nready\n", code, (void *)other, copied(0) + other(0));
    fflush(stdout);
    return getchar();
}
