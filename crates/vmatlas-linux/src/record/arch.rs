//! What is of one processor: its ABIs, where registers hold the number and the arguments of a call,
//! what perf samples of them, and which addresses there are. Another processor is another file with
//! the same items.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;
