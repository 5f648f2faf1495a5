//! The system calls to stop at or listen to, and their decoded arguments.
//!
//! Both backends use the table of [`vmatlas_recording::call`]: the seccomp filter by numbers
//! ([`rules`]), a backend that sees all calls of a number by their arguments too ([`find`]).

mod decode;
mod rules;

pub(crate) use decode::{Decoded, arrange, decode, resolve};
pub(crate) use rules::{Rule, find, heard, rules};
