//! Recordings and logs of strace.
mod recording;
mod strace;
