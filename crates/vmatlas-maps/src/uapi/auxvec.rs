//! include/uapi/linux/auxvec.h: the types of the auxiliary vector, see getauxval(3).

pub const AT_PHDR: u64 = 3;
pub const AT_PHNUM: u64 = 5;
pub const AT_PAGESZ: u64 = 6;
pub const AT_ENTRY: u64 = 9;
pub const AT_RANDOM: u64 = 25;
pub const AT_EXECFN: u64 = 31;
/// arch/x86/include/uapi/asm/auxvec.h and others: the address of `[vdso]`.
pub const AT_SYSINFO_EHDR: u64 = 33;
pub const AT_MINSIGSTKSZ: u64 = 51;
