//! Resolves code addresses to names, from bytes: ELF symbols and DWARF, stack unwinding, perf maps,
//! jitdumps and Go's function tables. The caller passes the bytes or a [`ReadAt`].
//!
//! ```
//! use vmatlas_object::elf::ElfFile;
//! use vmatlas_object::symbols::frames_at;
//!
//! let program = std::fs::read(std::env::current_exe()?)?;
//! let elf = ElfFile::read(program)?.expect("a program is an ELF file");
//! let (frames, _damage) = frames_at(&elf, elf.entry(), "program");
//! assert_eq!(frames[0].to_string(), "_start+0x0 (program)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`elf::ElfFile`] reads an ELF file: segments, sections, symbols, functions and source lines.
//! - [`unwind::Unwinder`] walks a stack from registers to [`unwind::Frame`]s.
//! - [`symbols::SymbolFrame`] is a frame with its function name, module and source line.
//! - [`jit::JitMap`] names JIT-compiled code, [`pclntab::Pclntab`] names Go functions.
//!
//! This crate opens and maps no file. Its only system call reads the clock, to bound the time spent
//! on hostile DWARF.
#![forbid(unsafe_code)]

mod budget;
pub mod elf;
pub mod jit;
mod memory;
pub mod pclntab;
pub mod symbols;
pub mod unwind;

pub use budget::{Budget, Lease};
pub use memory::{CachedMemory, Memory, TimedMemory};
pub use vmatlas_maps::{ReadAt, ReadError};

/// A boxed source, in the form in which [`ElfFile`](elf::ElfFile) stores it.
pub type Source = Box<dyn ReadAt + Send>;

// Runs the example of the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
