//! include/uapi/linux/personality.h.

pub const READ_IMPLIES_EXEC: u64 = 0x0040_0000;
/// Queries the current persona. The kernel compares 32 bits.
pub const ASK_PERSONALITY: u32 = 0xffff_ffff;
