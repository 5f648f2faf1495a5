//! include/uapi/linux/personality.h.

pub const READ_IMPLIES_EXEC: u64 = 0x0040_0000;
/// Queries the current persona. The kernel compares 32 bits.
pub const ASK_PERSONALITY: u32 = 0xffff_ffff;
/// Addresses are not random.
pub const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;
/// A page at address 0, as of System V.
pub const MMAP_PAGE_ZERO: u64 = 0x0010_0000;
