//! Names of code, from bytes: the memory of a process, perf maps, jitdumps and Go's tables.
//!
//! This crate opens no file and calls no kernel: it works on bytes that its caller read.
#![forbid(unsafe_code)]

pub mod jit;
mod memory;
pub mod pclntab;

pub use memory::Memory;

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
