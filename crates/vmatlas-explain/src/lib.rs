//! Finds the purpose of memory and the cause of crashes, from values and bytes. Each conclusion has
//! its evidence and a confidence.
//!
//! ```
//! use vmatlas_explain::crash::read_log;
//! use vmatlas_explain::explain::{Cause, Evidence, Fault, explain};
//! use vmatlas_explain::label::{Facts, Labels};
//!
//! let line = b"app[7]: segfault at 10 ip 55d0c0001139 sp 7ffe00001000 error 4 in app[55d0c0001000+1000]\n";
//! let crash = &read_log(line)[0];
//! let facts = Facts::default();
//! let labels = Labels::read(&crash.maps, &facts, None);
//! let mut evidence = Evidence::new(crash, &facts, &labels);
//! evidence.fault = Fault::of(crash, None);
//! assert_eq!(explain(&evidence).cause, Cause::NullPointer);
//! ```
//!
//! - [`label::Labels`] gives the purpose of memory without a name, from [`label::Facts`].
//! - [`coredump::CoreDump`] is a core dump: its rows, threads, images and memory.
//! - [`crash::Crash`] is a crash as its source reports it; [`crash::read_log`] reads the crashes in
//!   a log.
//! - [`explain::Explanation`] gives the cause of a crash; [`explain::explain`] finds it from
//!   [`explain::Evidence`].
//! - [`frames::FrameRole`] separates functions of the program from those of allocators, the linker
//!   and standard libraries.
//! - [`tagged::Tagged`] is a pointer whose upper bits are no part of its address.
//!
//! The feature `decoders`, on by default, decodes the instruction at which a program crashed.
//!
//! This crate opens no file, calls no kernel and has no unsafe code: it works on bytes that its
//! caller read, or on the caller's [`ReadAt`](vmatlas_object::ReadAt) and
//! [`Memory`](vmatlas_object::Memory).
#![forbid(unsafe_code)]

pub mod audit;
pub mod beyond;
pub mod coredump;
pub mod crash;
pub mod explain;
pub mod frames;
pub mod label;
pub mod tagged;

// Runs the example of the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
