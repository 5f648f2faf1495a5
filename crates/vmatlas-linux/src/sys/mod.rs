//! Kernel interfaces that neither std nor rustix wrap: the only unsafe code of the project, one
//! file for each interface.
#![allow(unsafe_code)]

pub(crate) mod nsfs;
pub(crate) mod procmap_query;
#[cfg(target_pointer_width = "64")]
pub(crate) mod scenario;
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) mod test_stop;
pub(crate) mod vm_read;
