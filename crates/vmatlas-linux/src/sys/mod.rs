//! Kernel interfaces that neither std nor rustix wrap: the only unsafe code of the project, one
//! file for each interface.
#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod hold;
pub(crate) mod nsfs;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod null_calls;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
pub(crate) mod perf_event;
pub(crate) mod procmap_query;
#[cfg(target_pointer_width = "64")]
pub(crate) mod scenario;
