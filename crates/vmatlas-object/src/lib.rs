//! Names of code, from bytes: ELF files, DWARF, the memory of a process, perf maps, jitdumps and
//! Go's tables.
//!
//! This crate opens no file and calls no kernel: it works on bytes that its caller read, or reads
//! them through [`ReadAt`].
#![forbid(unsafe_code)]

pub mod elf;
pub mod jit;
mod memory;
pub mod pclntab;
mod read_at;
pub mod unwind;

pub use memory::Memory;
pub use read_at::{ReadAt, ReadError, Source};
