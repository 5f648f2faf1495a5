//! Memory that several processes map: who maps the same page frames, by which mappings, and which
//! control group is charged for them.

mod frames;

pub use frames::{PagePayer, Shared, SharedRow, Sharer, SharingRows, shared};
