//! Registers of a task that tests stop with ptrace(2).

use crate::record::sink::Registers;
use std::ptr::null_mut;
use vmatlas_recording::Tid;

/// A stopped task; must be dropped in the thread that stopped it.
pub(crate) struct Stopped(libc::pid_t);

impl Stopped {
    /// Stops a task, and waits for the stop.
    pub(crate) fn new(tid: Tid) -> Stopped {
        let tid = libc::pid_t::try_from(tid.get()).unwrap();
        // SAFETY: neither request touches our memory; rustix has no ptrace.
        let requests = [libc::PTRACE_SEIZE, libc::PTRACE_INTERRUPT].map(|request| unsafe {
            libc::ptrace(request, tid, null_mut::<u8>(), null_mut::<u8>())
        });
        assert_eq!(requests, [0, 0], "{}", std::io::Error::last_os_error());
        // SAFETY: the status is not asked for. rustix's waitpid cannot wait for a thread.
        let waited = unsafe { libc::waitpid(tid, null_mut(), libc::__WALL) };
        assert_eq!(waited, tid);
        Stopped(tid)
    }

    pub(crate) fn registers(&self) -> Registers {
        // SAFETY: plain integers, all of which may be 0.
        let mut all: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes a `user_regs_struct` to `all`.
        let done =
            unsafe { libc::ptrace(libc::PTRACE_GETREGS, self.0, null_mut::<u8>(), &raw mut all) };
        assert_eq!(done, 0);
        Registers { ip: all.rip, sp: all.rsp, fp: all.rbp, compat: false }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // SAFETY: as above; a task that has ended by now is no failure.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, null_mut::<u8>(), null_mut::<u8>()) };
    }
}
