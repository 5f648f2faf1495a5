//! Which system calls can change an address space, by their numbers on x86-64, and what their
//! arguments say.
//!
//! The table serves both who filters calls before they run and who sees all of a number.
//!
//! # References
//! Linux 6.18 `arch/x86/entry/syscalls/*.tbl`, `mm/madvise.c`, `ipc/syscall.c`,
//! `include/uapi/linux/userfaultfd.h`.

mod decode;
mod table;

pub(crate) use decode::{Decoded, LeftMeaning, decode};
pub(crate) use table::{Abi, CLONE_UNTRACED, Meaning, Rule, When, X32_BIT, rule, rules};
