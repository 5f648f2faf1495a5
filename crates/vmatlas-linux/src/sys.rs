//! Kernel interfaces that neither std nor rustix wrap, one file for each. This is the only unsafe
//! code of the project.
#![allow(unsafe_code)]

pub(crate) mod cpu_clock;
pub(crate) mod file_server;
pub(crate) mod file_size_signal;
pub(crate) mod fork;
pub(crate) mod freeze;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod hold;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod launch;
pub(crate) mod nsfs;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod null_calls;
#[cfg(target_pointer_width = "64")]
pub(crate) mod pagemap_scan;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod perf_event;
pub(crate) mod procmap_query;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod ptrace;
#[cfg(all(feature = "scenarios", target_pointer_width = "64"))]
pub(crate) mod scenario;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod seccomp;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod terminal_signals;
#[cfg(all(test, feature = "record", target_arch = "x86_64"))]
pub(crate) mod test_stop;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod wait;
