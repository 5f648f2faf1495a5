//! Constants of the kernel's user-space API, defined once for the workspace: one file for each
//! header of include/uapi in Linux. The values are those of x86 and ARM.
//!
//! Bits and options have the type of a register, because they occur as arguments of recorded
//! calls.
//!
//! ```
//! use vmatlas_maps::uapi::mman::{MAP_ANONYMOUS, MAP_PRIVATE};
//! assert_eq!(MAP_PRIVATE | MAP_ANONYMOUS, 0x22);
//! ```

#![allow(missing_docs, reason = "named as in the kernel's headers and in the manual pages")]

pub mod audit;
pub mod auxvec;
pub mod errno;
pub mod fcntl;
pub mod mempolicy;
pub mod mman;
pub mod personality;
pub mod prctl;
pub mod sched;
pub mod seccomp;
pub mod shm;
pub mod siginfo;
pub mod signal;
pub mod userfaultfd;
