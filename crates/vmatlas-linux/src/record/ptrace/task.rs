//! Tasks, and the reasons for their stops.

use super::order::SpaceId;
use crate::record::calls::Decoded;
use crate::record::sink::Begun;
use vmatlas_recording::call::Abi;

/// A traced task.
#[derive(Debug)]
pub(super) struct Task<M> {
    pub(super) space: SpaceId,
    pub(super) call: Option<InCall<M>>,
    /// It is in, or about to enter, a call that copies its address space.
    pub(super) copies: bool,
    /// The sink has received its end.
    pub(super) exiting: bool,
}

/// A call that a task is in or about to enter.
#[derive(Clone, Copy, Debug)]
pub(super) struct InCall<M> {
    pub(super) begun: Begun,
    pub(super) decoded: Decoded,
    pub(super) abi: Abi,
    /// `None` while it is held.
    pub(super) mark: Option<M>,
}

impl<M> Task<M> {
    pub(super) fn new(space: SpaceId) -> Task<M> {
        Task { space, call: None, copies: false, exiting: false }
    }
}

/// The reason for a stop, or the end of a task, from its wait status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// It has ended.
    Ended,
    /// It leaves a system call.
    Call,
    /// It enters a system call that the filter stops.
    Filter,
    /// It made a task.
    Made,
    /// It executed a program.
    Executed,
    /// It is about to end.
    Exiting,
    /// Its process is stopped by a signal.
    Group,
    /// It is new, or its process continues.
    Other,
    /// It is about to receive a signal.
    Signal(i32),
}

impl Stop {
    pub(super) fn of(status: i32) -> Stop {
        if !libc::WIFSTOPPED(status) {
            // WCONTINUED is never requested.
            return Stop::Ended;
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == libc::SIGTRAP | 0x80 => Stop::Call,
            0 => Stop::Signal(signal),
            libc::PTRACE_EVENT_SECCOMP => Stop::Filter,
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                Stop::Made
            }
            libc::PTRACE_EVENT_EXEC => Stop::Executed,
            libc::PTRACE_EVENT_EXIT => Stop::Exiting,
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Stop::Group,
            _ => Stop::Other,
        }
    }
}
