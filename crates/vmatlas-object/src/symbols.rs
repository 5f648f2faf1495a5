//! Calls on a stack with the names of their functions: from DWARF, symbols, runtimes, or as a log
//! has them.
//!
//! [`frames_at`] makes [`SymbolFrame`]s of an address in an ELF file, [`hint`] says what a runtime
//! needs to give names to its code.

mod elf;
mod frame;
mod hint;

pub use self::{elf::frames_at, frame::SymbolFrame, hint::hint};
