//! From the registers of a stopped task to the calls that led there.
//!
//! [`Modules`] knows what is executable in one address space and is told of every change, so no
//! walk ever reads maps; [`Images`] reads the unwind tables of each file once, for all processes;
//! [`Unwinder`] walks. Memory of the target is only read, through [`ReadMemory`], which may also
//! be a copy of some stack ([`StackCopy`]).
//!
//! The tables are call frame information (CFI, DWARF 5 section 6.4, as the x86-64 psABI and the
//! LSB's "Exception Frames" use it), evaluated with gimli. Code without any is walked by frame
//! pointers, and where there is none of these either, the stack is searched for what looks like
//! return addresses; each frame says [how](How) it was found.
//!
//! gimli is used without a crate for unwinding on top because of what these need: rules that hold
//! for all processes and stay when modules come and go, the registers besides the frame pointer
//! (without which frames of signals and of rounded stack pointers are lost), how a frame was
//! found, and an end to expressions that loop.
//!
//! All of it comes from programs that may mean harm: tables, expressions and stacks are bounded,
//! nothing panics, and every walk ends.

mod arch;
mod image;
mod images;
mod memory;
mod modules;
mod rows;
mod rule;
mod scan;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod walk;

pub use self::{
    images::{Backing, CodeFile, FileId, Images},
    memory::{ReadMemory, StackCopy},
    modules::{CodePlace, Modules},
    walk::Unwinder,
};

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
