//! Recordings held against what the kernel and the recorded programs themselves say.

mod recorded;

mod makers;
mod programs;
