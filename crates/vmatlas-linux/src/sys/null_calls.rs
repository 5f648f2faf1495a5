//! System calls made in a way that changes nothing, so that their tracepoints fire.

use std::ffi::c_long;

/// map_shadow_stack(2), which the C library does not have.
pub(crate) const MAP_SHADOW_STACK: c_long = 453;

/// Makes system call `number` with arguments by which each of those that change an address space
/// fails or only asks: addresses that are not aligned, lengths of 0, flags and descriptors that
/// do not exist. Returns what the kernel answered.
pub(crate) fn make(number: c_long) -> c_long {
    let arguments: [c_long; 6] = match number {
        // 0 asks where the break is.
        libc::SYS_brk => [0; 6],
        // This persona asks for the one there is.
        libc::SYS_personality => [0xffff_ffff, 0, 0, 0, 0, 0],
        // Fails with EINVAL: no such flags.
        libc::SYS_clone => [libc::CLONE_SIGHAND.into(), 0, 0, 0, 0, 0],
        // Fails with EINVAL: `struct clone_args` is never that short.
        libc::SYS_clone3 => [0; 6],
        libc::SYS_mmap => [1, 0, 0, 0, -1, 1],
        libc::SYS_io_setup => [0; 6],
        libc::SYS_io_destroy => [0; 6],
        MAP_SHADOW_STACK => [1, 0, -1, -1, -1, -1],
        libc::SYS_shmat => [-1, 1, -1, -1, -1, -1],
        libc::SYS_userfaultfd | libc::SYS_prctl | libc::SYS_arch_prctl | libc::SYS_ioctl => [-1; 6],
        libc::SYS_pkey_alloc | libc::SYS_pkey_free | libc::SYS_mlockall => [-1; 6],
        libc::SYS_process_madvise => [-1, 0, 0, -1, -1, -1],
        // Nothing of this program's is locked.
        libc::SYS_munlockall => [0; 6],
        libc::SYS_munmap
        | libc::SYS_mprotect
        | libc::SYS_pkey_mprotect
        | libc::SYS_mremap
        | libc::SYS_madvise
        | libc::SYS_mlock
        | libc::SYS_mlock2
        | libc::SYS_munlock
        | libc::SYS_mseal
        | libc::SYS_mbind
        | libc::SYS_remap_file_pages
        | libc::SYS_shmdt
        | libc::SYS_set_mempolicy_home_node => [1, 0, -1, -1, -1, -1],
        _ => return -1,
    };
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: only the calls above are made, with arguments that have each of them fail or change
    // nothing of this process's memory, and that point to nothing.
    unsafe { libc::syscall(number, a, b, c, d, e, f) }
}
