//! The recorder: follows a program and writes down what changes its memory.

mod calls;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod filter;
#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod ptrace;
mod sink;
