//! include/uapi/linux/sched.h: flags of clone(2).

pub const CLONE_VM: u64 = 0x100;
pub const CLONE_THREAD: u64 = 0x1_0000;
pub const CLONE_UNTRACED: u64 = 0x0080_0000;
