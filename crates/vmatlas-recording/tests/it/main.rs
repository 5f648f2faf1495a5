//! Tests of recordings and of strace logs.
mod machine;
mod recording;
mod strace;
