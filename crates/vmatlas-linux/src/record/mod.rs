//! The recorder: follows a program and writes down what changes its memory.

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
mod perf;
mod sink;
