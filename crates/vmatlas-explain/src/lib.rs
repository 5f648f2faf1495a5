//! What memory is for and why a program crashed, from values and bytes.
//!
//! - [`label`] says what memory without a telling name is for, and why.
//! - [`coredump`] reads core dumps, [`crash`] reads logs of crashes.
//! - [`explain`](mod@explain) says why a program crashed.
//!
//! This crate opens no file and calls no kernel: it works on bytes that its caller read.
#![forbid(unsafe_code)]

pub mod coredump;
pub mod crash;
pub mod explain;
pub mod label;

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
