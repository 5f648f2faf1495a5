//! The only crate of vmatlas that talks to the kernel.
pub mod access;
pub mod elf;
