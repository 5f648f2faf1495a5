//! Facts of one processor: its ABIs, the registers with the number and arguments of a call, the
//! registers in perf samples, and the address range. Another processor is another file with the
//! same items.

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::*;
