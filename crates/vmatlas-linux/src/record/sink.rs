//! The reports of a backend to the recorder.
//!
//! A backend ([`CallSource`](super::call_source::CallSource)) runs until the program has ended, and
//! reports each event: a backend that stops tasks through [`Sink`], a backend with delayed events
//! through the steps of `recorder/steps.rs`, on which [`Sink`] is built as well.

use super::shown::Shown;
use vmatlas_recording::{Call, CallKind, StackId, Tid};

/// The time of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Now: the task is stopped, so its memory and maps are readable.
    Now,
    /// At this time of CLOCK_MONOTONIC in nanoseconds. The task has run on, and may be gone.
    Past(u64),
}

/// The source of a task's stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StackAt<'a> {
    /// The stack is unknown.
    Unknown,
    /// The stack was walked before and has this number in the recording.
    Number(StackId),
    /// The task is stopped.
    Live(Registers),
    /// A copy of the bytes starting at the stack pointer.
    Copied(Registers, &'a [u8]),
}

/// A returned system call.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) tid: Tid,
    pub(crate) call: Call,
    pub(crate) stack: StackAt<'a>,
    /// Whether its place in the order of the address space's calls is certain.
    pub(crate) in_order: bool,
    /// The row with the facts that its arguments lack, if the backend has it.
    pub(crate) row: Option<Shown>,
}

pub(crate) use vmatlas_object::unwind::Registers;

/// A system call that a task has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) tid: Tid,
    pub(crate) kind: CallKind,
    /// As in [`Call::args`](vmatlas_recording::Call::args).
    pub(crate) args: [u64; 6],
    pub(crate) registers: Registers,
}

/// The resources that a clone(2) child shares with its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shared {
    /// `CLONE_VM`.
    pub(crate) memory: bool,
    /// `CLONE_THREAD`.
    pub(crate) thread: bool,
}

/// A signal that is about to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) number: i32,
    /// `si_code`.
    pub(crate) code: i32,
    /// `si_addr`, for signals that have one.
    pub(crate) address: u64,
    /// All general registers, as in [`What::Registers`](vmatlas_recording::What::Registers).
    pub(crate) registers: Vec<(&'static str, u64)>,
}

/// Receives the reports of a backend that stops tasks. During each report the task is stopped, so
/// its memory and maps are readable.
pub(crate) trait Sink {
    /// The state from the beginning of a call: its stack.
    type Mark: Copy;

    /// Reads memory of a task; returns the number of bytes. It refuses memory whose pages a file
    /// system may never deliver.
    fn read(&mut self, tid: Tid, address: u64, bytes: &mut [u8]) -> usize;

    /// A task enters a call.
    fn begun(&mut self, call: &Begun) -> Self::Mark;

    /// The call has returned. `in_order` is false if other calls on the same address space may have
    /// run concurrently.
    fn returned(&mut self, call: &Begun, result: i64, mark: Self::Mark, in_order: bool);

    /// Assumes the success of a call that has just [begun](Sink::begun), in a task that alone uses
    /// its address space. The task then does not stop when the call returns, which saves half the
    /// cost. Returns false if the result must be seen.
    fn foresees(&mut self, _call: &Begun, _mark: Self::Mark) -> bool {
        false
    }

    /// A task made another, which is stopped and has not run yet.
    fn cloned(&mut self, parent: Tid, child: Tid, shared: Shared, registers: Registers);

    /// A task executed a program and is now the only thread of its process; `former` is its
    /// previous id.
    fn executed(&mut self, tid: Tid, former: Tid);

    /// A task ends with this wait(2) status; if it is the last task of its address space, that
    /// still exists.
    fn exiting(&mut self, tid: Tid, status: i32);

    /// A signal is about to be delivered.
    fn signalled(&mut self, tid: Tid, signal: &Signal, registers: Registers);

    /// Called at least every 100 ms. Returning false ends the recording; the backend then only lets
    /// the program run on.
    fn tick(&mut self) -> bool;
}
