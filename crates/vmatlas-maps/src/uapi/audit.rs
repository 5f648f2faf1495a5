//! include/uapi/linux/audit.h: the ABI of a system call.

pub const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// x32 uses the same value; its call numbers have bit 30 set ([`X32_SYSCALL_BIT`]).
pub const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
pub const AUDIT_ARCH_AARCH64: u32 = 0xc000_00b7;
/// arch/x86/include/uapi/asm/unistd.h: `__X32_SYSCALL_BIT`.
pub const X32_SYSCALL_BIT: u32 = 0x4000_0000;
