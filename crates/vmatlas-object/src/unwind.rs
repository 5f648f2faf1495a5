//! Stack unwinding: from the registers of a stopped task to the calls on its stack.
//!
//! [`Modules`] holds the executable mappings of one address space; the caller reports every change,
//! so no walk reads `/proc/PID/maps`. [`Images`] reads the unwind tables of each file once for all
//! processes. [`Unwinder`] walks. A walk reads the target's memory through [`ReadMemory`], which
//! may be a copy of a stack ([`StackCopy`]).
//!
//! The tables are call frame information (CFI, DWARF 5 section 6.4, as the x86-64 psABI and the
//! LSB's "Exception Frames" use it), evaluated with gimli. Code without CFI is walked by frame
//! pointers. Where they fail too, the walk scans the stack for likely return addresses. Each frame
//! records [how](How) it was found.
//!
//! No unwinding crate on top of gimli is used, because none offers all of these: rules shared by
//! all processes that survive module changes; registers other than the frame pointer (without them,
//! frames of signals and of realigned stack pointers are lost); how a frame was found; a bound on
//! looping expressions.
//!
//! All input may be hostile: tables, expressions and stacks are bounded, nothing panics, and every
//! walk ends.

mod arch;
mod frame;
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
    frame::{End, Frame, How, Registers},
    images::{Backing, CodeFile, FileId, Images},
    memory::{ReadMemory, StackCopy},
    modules::{CodePlace, Modules},
    walk::Unwinder,
};
