//! A process that only keeps files open.

use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};

/// Keeps files open until the returned end of a pipe is closed. A separate process, for which no
/// process waits, closes them, so this process does not block: closing the last descriptor of some
/// files takes the kernel long.
pub(crate) fn hold(files: Vec<OwnedFd>) -> Result<OwnedFd> {
    let (until, end) = pipe_with(PipeFlags::CLOEXEC)?;
    // Descriptors it must not keep: another process may wait for the end of our output.
    let mut kept: Vec<u32> =
        files.iter().chain([&until]).map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    kept.sort_unstable();
    let until_number = until.as_raw_fd();
    // SAFETY: the child of a process with threads may only do what signal handlers may. It makes
    // the system calls fork, close_range, read and _exit, and reads `kept`, which is complete.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: as above. The child of the child has no parent that would have to wait for it.
        unsafe {
            if libc::fork() != 0 {
                libc::_exit(0);
            }
            let mut first = 0;
            for number in &kept {
                if *number > first {
                    libc::syscall(libc::SYS_close_range, first, *number - 1, 0);
                }
                first = *number + 1;
            }
            libc::syscall(libc::SYS_close_range, first, u32::MAX, 0);
            let mut byte = 0_u8;
            // Returns when the other end of the pipe is closed.
            libc::read(until_number, (&raw mut byte).cast(), 1);
            libc::_exit(0);
        }
    }
    let child = Pid::from_raw(child).filter(|pid| pid.as_raw_pid() > 0).ok_or(Errno::AGAIN)?;
    // The first child ends at once.
    let _ = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::empty()));
    drop(files);
    Ok(end)
}
