//! Where a walk begins, what it finds, and why it ends.

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

/// One call on the stack, innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The address to look up: where the task stands or was interrupted by a signal, and for
    /// callers the return address less 1, which lies in the call instruction.
    pub pc: u64,
    /// Where in a file that is; none for code made at run time.
    pub place: Option<CodePlace>,
    /// How it was found.
    pub how: How,
}

/// How a frame was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum How {
    /// It is where the task stands.
    Registers,
    /// By the call frame information of the frame before: certain.
    Cfi,
    /// By the frame pointer: right if the code before keeps one.
    FramePointer,
    /// It looks like a return address and stands on the stack: a guess, which may be left over
    /// from an earlier call.
    Scanned,
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// At the first function of the thread.
    Root,
    /// At the limit of frames; the innermost ones are there.
    Truncated,
    /// Some memory that has to be known could not be read, or is not part of the copy.
    MissingMemory,
    /// Nothing says who called the last frame.
    NoRule,
}
