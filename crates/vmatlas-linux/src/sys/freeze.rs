//! The requests of ptrace(2) that stop a thread for a while.
//!
//! # References
//! ptrace(2), wait4(2); Linux 6.18 `kernel/ptrace.c`.

use rustix::io::Errno;

/// What a traced thread did last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing new.
    Nothing,
    /// It has stopped, before it receives this signal (0: none).
    Stopped(i32),
    /// It has ended.
    Ended,
}

/// Traces a thread without stopping it.
pub(crate) fn seize(tid: u32) -> Result<(), Errno> {
    request(libc::PTRACE_SEIZE.into(), tid, 0)
}

/// Makes a traced thread stop soon.
pub(crate) fn interrupt(tid: u32) -> Result<(), Errno> {
    request(libc::PTRACE_INTERRUPT.into(), tid, 0)
}

/// Lets a stopped thread go on, with this signal.
pub(crate) fn detach(tid: u32, signal: i32) -> Result<(), Errno> {
    request(libc::PTRACE_DETACH.into(), tid, usize::try_from(signal).unwrap_or(0))
}

/// A request whose `data` is a number.
fn request(request: i64, tid: u32, data: usize) -> Result<(), Errno> {
    // SAFETY: for the requests of this file, the kernel neither reads nor writes memory of this
    // process: `data` is a signal number or a set of options.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, tid, 0_usize, data) };
    if result >= 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL))
}

/// What a traced thread did, without waiting for it.
pub(crate) fn seen(tid: u32) -> Seen {
    let mut status = 0;
    let Ok(pid) = libc::pid_t::try_from(tid) else { return Seen::Ended };
    // SAFETY: the kernel writes the status to `status`.
    match unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL | libc::WNOHANG) } {
        0 => Seen::Nothing,
        -1 => Seen::Ended,
        _ if !libc::WIFSTOPPED(status) => Seen::Ended,
        // A signal; the other stops are events, also that of a stopped process.
        _ if status >> 16 == 0 => Seen::Stopped(libc::WSTOPSIG(status)),
        _ => Seen::Stopped(0),
    }
}
