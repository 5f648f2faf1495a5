//! The address space of a process by the kernel's own rules.

mod prot;

pub use prot::Prot;
