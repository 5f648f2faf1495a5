//! include/uapi/linux/mempolicy.h: the modes of mbind(2).

pub const MPOL_DEFAULT: u64 = 0;
pub const MPOL_PREFERRED: u64 = 1;
pub const MPOL_BIND: u64 = 2;
pub const MPOL_INTERLEAVE: u64 = 3;
pub const MPOL_LOCAL: u64 = 4;
/// Mask of the mode without its flags (`MPOL_MODE_FLAGS`).
pub const MPOL_MODE_MASK: u64 = 0xff;
