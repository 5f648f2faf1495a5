//! What this process may read of others.

use crate::access::{Capabilities, Status};
use crate::process::Process;
use std::path::Path;

/// What the privileges of this process let it read of other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reach {
    /// The processes of its own user that are dumpable.
    Own,
    /// The rows and sizes of all processes, by `CAP_PERFMON` (since Linux 6.16,
    /// `proc_mem_open` of fs/proc/base.c) or `CAP_SYS_PTRACE`.
    All,
    /// Also page frames, by `CAP_SYS_ADMIN` (Documentation/admin-guide/mm/pagemap.rst).
    Frames,
}

impl Reach {
    /// The word of JSON documents.
    pub fn word(self) -> &'static str {
        match self {
            Reach::Own => "own",
            Reach::All => "perfmon",
            Reach::Frames => "root",
        }
    }

    /// What this process may read, by its effective capabilities.
    pub fn of_this_process() -> Reach {
        let process = Process::this(Path::new("/proc")).ok();
        let status = process.and_then(|process| Status::read(&process));
        let capabilities = status.map(|status| status.effective()).unwrap_or_default();
        let has = |capability| capabilities.contains(capability);
        let others = has(Capabilities::SYS_PTRACE) || has(Capabilities::PERFMON);
        match (others, has(Capabilities::SYS_ADMIN)) {
            (true, true) => Reach::Frames,
            (true, false) => Reach::All,
            (false, _) => Reach::Own,
        }
    }
}
