//! Several processes: the facts that are known without their rows, what groups them, the memory of
//! the machine or of a control group, and reads of many processes by a few threads.

mod about;
mod brief;
mod cgroup;
mod in_parallel;
mod memory;
mod reach;

pub use about::{About, Life, base_name};
pub use brief::Brief;
pub use cgroup::{Cgroup, Controller, cgroup_members, cgroup_of_path};
pub use in_parallel::{Answers, in_parallel};
pub use memory::{CgroupMemory, MachineMemory};
pub use reach::Reach;
