//! include/uapi/linux/seccomp.h: return values of a filter; and include/uapi/linux/bpf_common.h:
//! its instructions.

pub const SECCOMP_RET_ACTION: u32 = 0xffff_0000;
pub const SECCOMP_RET_USER_NOTIF: u32 = 0x7fc0_0000;
pub const SECCOMP_RET_TRACE: u32 = 0x7ff0_0000;
pub const SECCOMP_RET_ALLOW: u32 = 0x7fff_0000;
pub const SECCOMP_SET_MODE_STRICT: u32 = 0;
pub const SECCOMP_SET_MODE_FILTER: u32 = 1;

/// `BPF_LD | BPF_W | BPF_ABS`.
pub const BPF_LD_W_ABS: u16 = 0x20;
/// `BPF_ALU | BPF_AND | BPF_K`.
pub const BPF_ALU_AND: u16 = 0x54;
/// `BPF_JMP | BPF_JA`.
pub const BPF_JMP_JA: u16 = 0x05;
/// `BPF_JMP | BPF_JEQ | BPF_K`.
pub const BPF_JMP_JEQ: u16 = 0x15;
/// `BPF_JMP | BPF_JGT | BPF_K`.
pub const BPF_JMP_JGT: u16 = 0x25;
/// `BPF_JMP | BPF_JGE | BPF_K`.
pub const BPF_JMP_JGE: u16 = 0x35;
/// `BPF_RET | BPF_K`.
pub const BPF_RET: u16 = 0x06;
