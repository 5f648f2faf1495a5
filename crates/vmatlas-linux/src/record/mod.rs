//! The recorder: follows a program and writes down what changes its memory.

pub(crate) mod sink;
mod unwind;
