//! The annotated map of a Linux process's memory.
#![forbid(unsafe_code)]

pub use vmatlas_explain::{coredump, crash, explain, label};
pub use vmatlas_maps::*;
pub use vmatlas_object::{Memory, jit, pclntab};
pub use vmatlas_recording as recording;
pub use vmatlas_recording::strace;
pub use vmatlas_space as space;
pub use vmatlas_space::{Errno, ErrnoError, scenario};

// The example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
