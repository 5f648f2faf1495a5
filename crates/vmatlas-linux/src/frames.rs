//! Page frames: which of them a process maps, what the kernel says of each, and the control group
//! that is charged for it (Documentation/admin-guide/mm/pagemap.rst). Needs `CAP_SYS_ADMIN`:
//! without it the kernel hides frame numbers.

mod kernel;
mod pages;
mod set;

pub use kernel::{FrameKind, Frames, cgroup_paths};
pub use pages::PageFrames;
pub use set::{FrameSet, FrameSetBuilder};
