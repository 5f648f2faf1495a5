//! process_vm_readv(2): the memory of another process in one call.

use rustix::io::Errno;

/// Reads the memory of a task from `address` on. Gives the number of bytes read, which is less
/// where the memory ends or may not be read further on.
///
/// # Errors
/// `EFAULT` nothing there, `ESRCH` no such task, `EPERM` not allowed to (the rules of ptrace, see
/// ptrace(2)), `ENOSYS` a kernel or a seccomp filter without this call.
pub(crate) fn read_memory(tid: u32, address: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
    // Neither a thread's number nor an address of the target is ever out of these ranges.
    let tid = libc::pid_t::try_from(tid).map_err(|_| Errno::SRCH)?;
    let address = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: the kernel writes at most `iov_len` bytes to `local`, which is `bytes`, borrowed
    // for the call. `remote` is an address of the other process, which only the kernel looks at.
    // Neither std nor rustix has this call.
    let read = unsafe { libc::process_vm_readv(tid, &local, 1, &remote, 1, 0) };
    usize::try_from(read).map_err(|_| {
        let error = std::io::Error::last_os_error();
        Errno::from_io_error(&error).unwrap_or(Errno::IO)
    })
}
