//! The memory of another process, read without stopping it.
//!
//! # References
//! process_vm_readv(2).

use std::ffi::c_void;

/// Reads from `address` of the process of a task, and says how many bytes were read: fewer than
/// asked for where memory ends, none if it may not be read.
pub(crate) fn read_memory(tid: u32, address: u64, to: &mut [u8]) -> usize {
    let (Ok(pid), Ok(remote)) = (libc::pid_t::try_from(tid), usize::try_from(address)) else {
        return 0;
    };
    let local = libc::iovec { iov_base: to.as_mut_ptr().cast::<c_void>(), iov_len: to.len() };
    let remote = libc::iovec { iov_base: remote as *mut c_void, iov_len: to.len() };
    // SAFETY: the kernel writes at most `to.len()` bytes to `to`, which is borrowed mutably. The
    // other address is only looked at in the other process; rustix does not wrap this call.
    let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).unwrap_or(0)
}
