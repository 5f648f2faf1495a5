//! include/uapi/linux/prctl.h: options of prctl(2); and arch/x86/include/uapi/asm/prctl.h: options
//! of arch_prctl(2). The kernel reads the low 32 bits of an option.

pub const PR_SET_NAME: u64 = 15;
pub const PR_SET_SECCOMP: u64 = 22;
pub const PR_SET_MM: u64 = 35;
pub const PR_SET_MEMORY_MERGE: u64 = 67;
pub const PR_SET_VMA: u64 = 0x5356_4d41;
pub const PR_SET_VMA_ANON_NAME: u64 = 0;

pub const PR_SET_MM_START_STACK: u64 = 5;
pub const PR_SET_MM_START_BRK: u64 = 6;
pub const PR_SET_MM_BRK: u64 = 7;
pub const PR_SET_MM_MAP: u64 = 14;
/// The byte offset of `start_brk`, `brk` and `start_stack`, which are adjacent, in
/// `struct prctl_mm_map`.
pub const PRCTL_MM_MAP_START_BRK: u64 = 32;

pub const ARCH_MAP_VDSO_X32: u64 = 0x2001;
pub const ARCH_MAP_VDSO_32: u64 = 0x2002;
pub const ARCH_MAP_VDSO_64: u64 = 0x2003;
pub const ARCH_SHSTK_ENABLE: u64 = 0x5001;
pub const ARCH_SHSTK_DISABLE: u64 = 0x5002;
