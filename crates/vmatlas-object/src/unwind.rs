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
