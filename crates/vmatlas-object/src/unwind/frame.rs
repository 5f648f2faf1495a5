//! The input and output of a walk: registers, frames and the reason why it ended.

use super::modules::CodePlace;

/// The registers from which a stack is unwound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The instruction pointer.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
    /// The frame pointer.
    pub fp: u64,
    /// Whether the task runs 32-bit code.
    pub compat: bool,
}

/// One frame on the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The address to look up: the current or interrupted instruction; for callers the return
    /// address minus 1, which is inside the call instruction.
    pub pc: u64,
    /// The place of `pc` in a file; `None` for code made at run time.
    pub place: Option<CodePlace>,
    /// How the frame was found.
    pub how: How,
}

/// How a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// From the registers of the task.
    Registers,
    /// By the call frame information of the previous frame: certain.
    Cfi,
    /// By the frame pointer: right if the previous frame's code keeps one.
    FramePointer,
    /// By the return address at the stack pointer, because the task jumped to where no code is:
    /// right if it was a call.
    Pushed,
    /// By scanning the stack for a return address: a guess, which may be left over from an earlier
    /// call.
    Scanned,
}

/// The reason why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The walk reached the first function of the thread.
    Root,
    /// The walk reached the frame limit; the innermost frames are present.
    Truncated,
    /// Required memory could not be read or is not part of the copy.
    MissingMemory,
    /// No table, frame pointer or scan found a caller.
    NoRule,
}
