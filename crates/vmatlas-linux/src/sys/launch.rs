//! The child's steps between fork(2) and execve(2) that make it traceable from the start.
//!
//! The child sends its pid and waits until the tracer has attached. Then it installs the filter on
//! itself and continues to execve. If the tracer dies meanwhile, its end of the socket closes and
//! the child ends.

use super::seccomp::{Instruction, install};
use rustix::fd::{AsRawFd as _, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The tracer's end of the socket to the child.
#[derive(Debug)]
pub(crate) struct Rendezvous(OwnedFd);

impl Rendezvous {
    /// The pid of the child; `None` if fork failed.
    pub(crate) fn pid(&self) -> Option<u32> {
        let mut pid = [0; 4];
        let read = retry_on_intr(|| rustix::io::read(&self.0, &mut pid)).ok()?;
        (read == pid.len()).then(|| u32::from_ne_bytes(pid))
    }

    /// Lets the traced child continue.
    pub(crate) fn go(&self) {
        // If the child was killed meanwhile, waiting reports it.
        let _ = retry_on_intr(|| send(&self.0, &[1]));
    }

    /// The error with which the child failed to install the filter, if it did.
    pub(crate) fn failure(&self) -> Option<Errno> {
        let mut errno = [0; 4];
        let flags = rustix::net::RecvFlags::DONTWAIT;
        let (read, _) = rustix::net::recv(&self.0, &mut errno, flags).ok()?;
        (read == errno.len()).then(|| Errno::from_raw_os_error(i32::from_ne_bytes(errno)))
    }
}

/// A dead peer must not raise SIGPIPE.
fn send(socket: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    rustix::net::send(socket, bytes, rustix::net::SendFlags::NOSIGNAL)
}

/// Makes the command's child wait for the tracer and install `filter`, if there is one, before
/// execve. The child has the current signal mask of the calling thread.
pub(crate) fn prepare(
    command: &mut Command,
    filter: Vec<Instruction>,
) -> Result<Rendezvous, Errno> {
    let kind = SocketType::SEQPACKET;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    let our_number = ours.as_raw_fd();
    let mask = super::wait::signal_mask();
    let before_exec = move || {
        // The child's copy of our end: while it is open, our death would not be noticed.
        // SAFETY: this is the child's own table of descriptors, in which nothing uses it.
        unsafe { libc::close(our_number) };
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        send(&theirs, &pid.to_ne_bytes())?;
        let mut go = [0];
        if retry_on_intr(|| rustix::io::read(&theirs, &mut go))? == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        super::wait::set_signal_mask(&mask);
        if !filter.is_empty()
            && let Err(errno) = install(&filter)
        {
            let _ = send(&theirs, &errno.raw_os_error().to_ne_bytes());
            return Err(errno.into());
        }
        Ok(())
    };
    // SAFETY: it runs in the child of a process that may have threads, so it calls only what
    // signal handlers may call: system calls, without allocation or locks.
    unsafe { command.pre_exec(before_exec) };
    Ok(Rendezvous(ours))
}
