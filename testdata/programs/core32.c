// A 32-bit program without a C library (-m32 -nostdlib -static): it writes its maps to the file
// "maps" of its working directory and then crashes.

static long call(long number, long b, long c, long d, long si, long di, long bp) {
    long args[] = {di, bp};
    long result;
    __asm__ volatile("push %%ebp; mov 4(%%edi), %%ebp; mov (%%edi), %%edi; int $0x80; pop %%ebp"
                     : "=a"(result), "+D"((long *){args})
                     : "a"(number), "b"(b), "c"(c), "d"(d), "S"(si)
                     : "memory");
    return result;
}

static char page[4096];

void _start(void) {
    long at = call(192 /* mmap2 */, 0, 0x8000, 3, 0x22, -1, 0);
    *(volatile char *)at = 1;
    call(125 /* mprotect */, at + 0x6000, 0x1000, 0, 0, 0, 0);
    long from = call(5 /* open */, (long)"/proc/self/maps", 0, 0, 0, 0, 0);
    long to = call(5, (long)"maps", 01101 /* O_WRONLY | O_CREAT | O_TRUNC */, 0600, 0, 0, 0);
    long length;
    while ((length = call(3 /* read */, from, (long)page, sizeof page, 0, 0, 0)) > 0)
        call(4 /* write */, to, (long)page, length, 0, 0, 0);
    int *volatile nowhere = (int *)0x10;
    *nowhere = 1;
}
