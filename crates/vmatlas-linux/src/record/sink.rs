//! What a backend tells the recorder.
//!
//! A backend ([`CallSource`](super::call_source::CallSource)) runs until the program has ended, and tells the recorder each thing
//! that it sees: one that stops tasks by way of [`Sink`], one that is told later by the steps of
//! `recorder/steps.rs`, which [`Sink`] is made of as well.

use super::shown::Shown;
use vmatlas_recording::{Call, CallKind, StackId};

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Now: the task stands still, so its memory and maps may be read.
    Now,
    /// At this time of CLOCK_MONOTONIC in nanoseconds. The task has run on, and may be gone.
    Past(u64),
}

/// Where the stack of a task is known from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StackAt<'a> {
    /// Nowhere.
    Unknown,
    /// It was walked before, and has this number in the recording.
    Number(StackId),
    /// The task stands still.
    Live(Registers),
    /// These bytes were copied from the stack pointer on.
    Copied(Registers, &'a [u8]),
}

/// A system call that has returned.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) tid: u32,
    pub(crate) call: Call,
    pub(crate) stack: StackAt<'a>,
    /// Whether its place among those of the same address space is certain.
    pub(crate) in_order: bool,
    /// The row that tells what its arguments do not, if the backend has it.
    pub(crate) told: Option<Shown>,
}

pub(crate) use vmatlas_object::unwind::Registers;

/// A system call that a task has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub(crate) tid: u32,
    pub(crate) kind: CallKind,
    /// As in [`Call::args`](vmatlas_recording::Call::args).
    pub(crate) args: [u64; 6],
    pub(crate) registers: Registers,
}

/// What a clone(2) shares with its parent.
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
    /// `si_addr`, of signals that have one.
    pub(crate) address: u64,
    /// All general registers, as in [`What::Registers`](vmatlas_recording::What::Registers).
    pub(crate) registers: Vec<(&'static str, u64)>,
}

/// Takes what a backend that stops tasks sees. While one of these runs, the task it is about
/// stands still, so its memory and maps may be read.
pub(crate) trait Sink {
    /// What was learnt when a call began: its stack.
    type Mark: Copy;

    /// A task enters a call.
    fn begun(&mut self, call: &Begun) -> Self::Mark;

    /// The call has returned. `in_order` is false where other calls on the same address space may
    /// have run meanwhile, so that their order is not certain.
    fn returned(&mut self, call: &Begun, result: i64, mark: Self::Mark, in_order: bool);

    /// Takes a call for done that has just [begun](Sink::begun), of a task that nobody shares its
    /// address space with: then it does not stop when it returns, which is half of what a call
    /// costs. False if the result has to be seen.
    fn foresees(&mut self, _call: &Begun, _mark: Self::Mark) -> bool {
        false
    }

    /// A task made another, which stands still and has not run yet.
    fn cloned(&mut self, parent: u32, child: u32, shared: Shared, registers: Registers);

    /// A task has executed a program and now is the only thread of its process: `former` is the
    /// number it had before.
    fn executed(&mut self, tid: u32, former: u32);

    /// A task ends with this status (as of wait(2)); if it is the last of its address space, that
    /// is still whole.
    fn exiting(&mut self, tid: u32, status: i32);

    /// A signal is about to be delivered.
    fn signalled(&mut self, tid: u32, signal: &Signal, registers: Registers);

    /// Called at least every 100 ms. False ends the recording: the backend then only lets the
    /// program run on.
    fn tick(&mut self) -> bool;
}
