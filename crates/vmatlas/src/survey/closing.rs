//! What the memory of the machine is for, besides the processes.

use super::group::SurveyGroup;
use std::path::Path;
use vmatlas_linux::processes::{CgroupMemory, Controller, MachineMemory};

/// All memory of the machine, in parts of which no two overlap, in bytes. It adds up to `total`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closing {
    /// What the kernel counts.
    pub machine: MachineMemory,
    /// Resident memory of the processes that only one of them maps.
    pub private: u64,
    /// Resident memory of the processes that several map, each page counted once.
    pub shared: u64,
    /// The rest, which nothing here explains: memory of drivers and of processes that may not be
    /// read. Below 0 if the parts were counted at different moments, or a page twice.
    pub unexplained: i64,
}

impl Closing {
    pub(super) fn of(machine: MachineMemory, all: &SurveyGroup) -> Option<Closing> {
        let (private, shared) = (all.sizes.uss?, all.shared()?);
        let parts = [
            private,
            shared,
            machine.huge_page_pool,
            machine.unmapped_cache,
            machine.slab,
            machine.page_tables,
            machine.kernel,
            machine.zswap,
            machine.free,
        ];
        let sum: i128 = parts.into_iter().map(i128::from).sum();
        let unexplained = i64::try_from(i128::from(machine.total) - sum).unwrap_or(0);
        Some(Closing { machine, private, shared, unexplained })
    }
}

/// What is charged to a control group, in parts, in bytes. It adds up to `current`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupClosing {
    /// What the kernel counts.
    pub memory: CgroupMemory,
    /// Mapped memory of its processes: anonymous memory, and pages of files that they map.
    pub mapped: u64,
    /// Pages of files and of tmpfs that nobody maps.
    pub unmapped_cache: u64,
    /// The rest. Below 0 if the parts were counted at different moments.
    pub unexplained: i64,
}

impl GroupClosing {
    pub(super) fn of(dir: &Path, controller: Controller) -> Option<GroupClosing> {
        let memory = CgroupMemory::read(dir, controller)?;
        let mapped = memory.anonymous.saturating_add(memory.mapped);
        let unmapped_cache = memory.file.saturating_sub(memory.mapped);
        let known =
            mapped.saturating_add(unmapped_cache).saturating_add(memory.kernel.unwrap_or(0));
        let unexplained = i128::from(memory.current) - i128::from(known);
        let unexplained = i64::try_from(unexplained).unwrap_or(0);
        Some(GroupClosing { memory, mapped, unmapped_cache, unexplained })
    }
}
