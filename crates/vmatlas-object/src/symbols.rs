//! Stack frames with function names, from DWARF, symbol tables, runtimes or logs.
//!
//! [`frames_at`] resolves an address in an ELF file to [`SymbolFrame`]s. [`hint`] explains how to
//! make a runtime name its code.

mod elf;
mod frame;
mod hint;

pub use self::{elf::frames_at, frame::SymbolFrame, hint::hint};
