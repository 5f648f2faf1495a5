//! Tests of recordings and of strace logs.
mod recording;
mod strace;
