//! process_vm_readv(2): the memory of another process in one call.

use rustix::io::Errno;
use vmatlas_recording::Tid;

/// Reads the memory of a task at `address`. Returns the number of bytes read, which is smaller if
/// the readable memory ends first.
///
/// # Errors
/// `EFAULT` nothing is readable at `address`, `ESRCH` no such task, `EPERM` not permitted by the
/// rules of ptrace(2), `ENOSYS` the kernel or a seccomp filter lacks this call.
pub(crate) fn read_memory(tid: Tid, address: u64, bytes: &mut [u8]) -> Result<usize, Errno> {
    // Task ids and user addresses are always in these ranges.
    let tid = libc::pid_t::try_from(tid.get()).map_err(|_| Errno::SRCH)?;
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
