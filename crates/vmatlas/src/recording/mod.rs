//! Recordings: who made, changed and dropped each mapping, as it happened.

mod call;

pub use call::{Call, CallKind};
