//! A process that only keeps files open.

use super::fork::run_apart;
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::Result;
use rustix::pipe::{PipeFlags, pipe_with};

/// Keeps files open until the returned end of a pipe is closed. A separate process, for which no
/// process waits, closes them, so this process does not block: closing the last descriptor of some
/// files takes the kernel long.
pub(crate) fn hold(files: Vec<OwnedFd>) -> Result<OwnedFd> {
    let (until, end) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut kept: Vec<i32> = files.iter().chain([&until]).map(|fd| fd.as_raw_fd()).collect();
    let number = until.as_raw_fd();
    let mut byte = 0_u8;
    // Returns when the other end of the pipe is closed.
    let work = || {
        // SAFETY: read(2) writes to a byte that exists.
        unsafe { libc::read(number, (&raw mut byte).cast(), 1) };
    };
    // SAFETY: `work` makes one system call.
    unsafe { run_apart(&mut kept, work)? };
    drop(files);
    Ok(end)
}
