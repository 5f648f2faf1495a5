//! fork(2) by the bare system call. The C library's function runs the handlers of pthread_atfork(3)
//! and takes locks, which other threads of this process may hold.

use rustix::io::{Errno, Result};
use rustix::process::Pid;

/// The side of a fork.
pub(crate) enum Forked {
    Parent(Pid),
    Child,
}

/// Makes a child process. Its end sends `signal` to this process; with 0 only a wait with `__WALL`
/// or `__WCLONE` sees it.
///
/// # Errors
/// Those of clone(2): `EAGAIN`, `ENOMEM`.
///
/// # Safety
/// If other threads exist, the child may only do what handlers of signals may do, and must not
/// return to code that does more.
pub(crate) unsafe fn fork(signal: i32) -> Result<Forked> {
    // SAFETY: without flags, clone(2) is fork(2): the child has a copy of all memory, and goes on
    // here. With zeros, the order of the other arguments, which differs among architectures, does
    // not matter. s390x has the flags second.
    let result = unsafe {
        if cfg!(target_arch = "s390x") {
            libc::syscall(libc::SYS_clone, 0, signal, 0, 0, 0)
        } else {
            libc::syscall(libc::SYS_clone, signal, 0, 0, 0, 0)
        }
    };
    match i32::try_from(result) {
        Ok(0) => Ok(Forked::Child),
        Ok(pid @ 1..) => Pid::from_raw(pid).map(Forked::Parent).ok_or(Errno::AGAIN),
        _ => Err(last_error()),
    }
}

/// Runs `work` in a process of its own, which no process has to wait for, and which has no
/// descriptors but `kept`. Neither a handler of this program nor SIGCHLD runs for it.
///
/// # Errors
/// Those of clone(2).
///
/// # Safety
/// `work` may only make system calls, on memory that exists now: it allocates nothing, takes no
/// lock and does not panic.
pub(crate) unsafe fn run_apart(kept: &mut [i32], work: impl FnOnce()) -> Result<()> {
    kept.sort_unstable();
    let signals = block_signals();
    // SAFETY: the child makes the system calls below and those of `work`.
    let child = match unsafe { fork(0) } {
        Ok(Forked::Child) => {
            // SAFETY: as above. The child of the child has no parent that would have to wait.
            unsafe {
                if let Ok(Forked::Child) = fork(0) {
                    keep_only(kept);
                    work();
                }
                libc::_exit(0);
            }
        }
        Ok(Forked::Parent(pid)) => Ok(pid),
        Err(errno) => Err(errno),
    };
    set_signals(&signals);
    let child = child?.as_raw_pid();
    // The first child ends at once. rustix has no __WALL.
    // SAFETY: the status is not asked for.
    while unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::__WALL) } < 0
        && last_error() == Errno::INTR
    {}
    Ok(())
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::AGAIN)
}

/// Blocks all signals of this thread, and returns those that were blocked before.
fn block_signals() -> libc::sigset_t {
    // SAFETY: a signal set is plain data, which sigfillset and pthread_sigmask fill.
    unsafe {
        let (mut all, mut before) = std::mem::zeroed::<(libc::sigset_t, libc::sigset_t)>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, &raw mut before);
        before
    }
}

fn set_signals(signals: &libc::sigset_t) {
    // SAFETY: the set is complete.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, signals, std::ptr::null_mut()) };
}

/// Closes all descriptors but these, which are sorted: another process may wait for the end of our
/// output.
unsafe fn keep_only(kept: &[i32]) {
    let mut first = 0;
    for &number in kept {
        // SAFETY: the process uses no other descriptors.
        unsafe { close_all(first, number - 1) };
        first = number + 1;
    }
    // SAFETY: as above.
    unsafe { close_all(first, i32::MAX) };
}

/// The most descriptors that are closed one by one.
const MAX_CLOSED: i32 = 1 << 16;

/// Closes the descriptors from `first` to `last`.
unsafe fn close_all(first: i32, last: i32) {
    // SAFETY: the caller does not need them.
    unsafe {
        if first > last || libc::syscall(libc::SYS_close_range, first, last, 0) == 0 {
            return;
        }
        // Before Linux 5.9. The other end of a server's socket is among them: with it, the server
        // would not end.
        for number in first..=last.min(MAX_CLOSED) {
            libc::close(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsRawFd as _;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn a_process_apart_has_only_the_kept_descriptors() {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let number = write.as_raw_fd();
        let work = || {
            // SAFETY: write(2) reads a byte of the program.
            unsafe { libc::write(number, b"x".as_ptr().cast(), 1) };
        };
        // SAFETY: `work` makes one system call.
        unsafe { run_apart(&mut [number], work) }.unwrap();
        drop(write);
        let mut bytes = [0; 2];
        assert_eq!(rustix::io::read(&read, &mut bytes), Ok(1));
        // The pipe is closed: the process has ended or keeps nothing.
        assert_eq!(rustix::io::read(&read, &mut bytes), Ok(0));
    }
}
