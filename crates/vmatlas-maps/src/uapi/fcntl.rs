//! include/uapi/linux/fcntl.h.

/// The descriptor that means the current directory.
pub const AT_FDCWD: i32 = -100;
