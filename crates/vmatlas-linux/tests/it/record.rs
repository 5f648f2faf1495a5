//! Recordings held against what the kernel and the recorded programs themselves say.

mod end;
mod recorded;

mod ends;
mod makers;
mod programs;
