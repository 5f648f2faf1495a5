// A 32-bit program without a C library (-m32 -nostdlib -static), whose mappings become one row; its
// last act is to print its own maps. Used by crates/vmatlas-linux/tests/it/record/.

__attribute__((noinline)) static long call(long number, long b, long c, long d, long si, long di,
                                           long bp) {
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
    call(91 /* munmap */, at + 0x2000, 0x2000, 0, 0, 0, 0);
    call(192, at + 0x2000, 0x1000, 3, 0x32, -1, 0);
    call(125 /* mprotect */, at + 0x6000, 0x1000, 1, 0, 0, 0);
    long start = call(45 /* brk */, 0, 0, 0, 0, 0, 0);
    call(45, start + 0x5000, 0, 0, 0, 0, 0);
    call(163 /* mremap */, at + 0x7000, 0x1000, 0x4000, 1, 0, 0);
    long fd = call(5 /* open */, (long)"/proc/self/maps", 0, 0, 0, 0, 0);
    long length;
    while ((length = call(3 /* read */, fd, (long)page, sizeof page, 0, 0, 0)) > 0)
        call(4 /* write */, 1, (long)page, length, 0, 0, 0);
    call(1 /* exit */, 0, 0, 0, 0, 0, 0);
}
