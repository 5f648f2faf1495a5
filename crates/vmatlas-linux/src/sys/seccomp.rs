//! Seccomp filters.
//!
//! # References
//! seccomp(2), PR_SET_NO_NEW_PRIVS(2const); Linux 6.18 `include/uapi/linux/seccomp.h`,
//! `kernel/seccomp.c`.

use rustix::io::Errno;

/// An instruction of a filter.
pub(crate) use libc::sock_filter as Instruction;

/// Installs a filter permanently on the calling thread and everything it makes or executes. Without
/// CAP_SYS_ADMIN this also sets no_new_privs permanently: the thread can gain no privileges by
/// execve(2). Allocates nothing, so a forked child may call it.
pub(crate) fn install(filter: &[Instruction]) -> Result<(), Errno> {
    match set_filter(filter) {
        Err(Errno::ACCESS) => {
            rustix::thread::set_no_new_privs(true)?;
            set_filter(filter)
        }
        other => other,
    }
}

fn set_filter(filter: &[Instruction]) -> Result<(), Errno> {
    let len = u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel reads `len` instructions at `filter` and copies them; it writes nothing.
    // A filter cannot break this thread's memory: at worst a system call fails.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program)
    };
    if result == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}
