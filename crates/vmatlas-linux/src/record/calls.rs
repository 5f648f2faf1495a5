//! Which system calls stop a program or are listened to, and what their arguments say.
//!
//! Both backends ask the table of [`vmatlas_recording::call`]: the seccomp filter by numbers
//! ([`rules`]), what sees all calls of a number by their arguments too ([`find`]).

mod decode;
mod rules;

pub(crate) use decode::{Decoded, arrange, decode, resolve};
pub(crate) use rules::{Rule, find, heard, rules};
