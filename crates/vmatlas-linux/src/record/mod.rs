//! The recorder: follows a program and writes down what changes its memory.

mod sink;
