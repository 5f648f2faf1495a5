//! Labels memory and explains crashes, from values and bytes.
//!
//! - [`label`] names the purpose of mappings whose name does not show it, each with a reason.
//! - [`coredump`] reads core dumps, [`crash`] reads crash logs.
//! - [`explain`](mod@explain) finds the cause of a crash.
//!
//! This crate opens no file and makes no system call: it works on bytes that its caller read.
#![forbid(unsafe_code)]

pub mod coredump;
pub mod crash;
pub mod explain;
pub mod label;

// Runs the example of the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
