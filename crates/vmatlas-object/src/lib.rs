//! Names of code, from bytes: ELF files and their DWARF, unwound stacks, perf maps, jitdumps and
//! Go's tables. The bytes are the caller's, or come from the caller's [`ReadAt`].
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
//! - [`elf::ElfFile`] is an ELF file: segments, sections, symbols, functions and lines.
//! - [`unwind::Unwinder`] makes [`unwind::Frame`]s, the calls of a thread, of its registers and
//!   stack.
//! - [`symbols::SymbolFrame`] is a call with its names, from any source.
//! - [`jit::JitMap`] names code that runtimes make, [`pclntab::Pclntab`] that of Go.
//!
//! This crate opens no file, maps none and has no unsafe code. It asks the kernel for nothing but
//! the time, to bound the work on malicious DWARF.
#![forbid(unsafe_code)]

pub mod elf;
pub mod jit;
mod memory;
pub mod pclntab;
pub mod symbols;
pub mod unwind;

pub use memory::Memory;
pub use vmatlas_maps::{ReadAt, ReadError};

/// A source of any sort, as an [`ElfFile`](elf::ElfFile) keeps it.
pub type Source = Box<dyn ReadAt + Send>;

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
