//! The facts about a process that its small files show.

use super::cgroup::Cgroup;
use crate::access::Status;
use crate::error::Error;
use crate::process::Process;
use rustix::fs::readlinkat;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;
use vmatlas_maps::{Maps, Sizes};

/// The state of a process that decides whether it has an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Life {
    /// It has an address space.
    Alive,
    /// Its main thread has ended, other threads live: their files show the address space.
    LeaderEnded,
    /// It has ended, and its parent has not waited for it.
    Zombie,
    /// It is a thread of the kernel.
    KernelThread,
}

/// The facts of `/proc/PID/status` and `comm` (proc_pid_status(5)). Sizes are in bytes, and `None`
/// where the kernel prints none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct About {
    /// The process ID.
    pub pid: u32,
    /// The name of its command: any bytes.
    pub comm: Vec<u8>,
    /// Its state.
    pub life: Life,
    /// Its effective user ID.
    pub uid: Option<u32>,
    /// Resident memory (`VmRSS`), which the kernel counts per processor: it may be off by some
    /// hundred pages.
    pub rss: Option<u64>,
    /// Memory in swap space (`VmSwap`).
    pub swap: Option<u64>,
    /// Its page tables (`VmPTE`).
    pub page_tables: Option<u64>,
    /// Huge pages of hugetlbfs (`HugetlbPages`).
    pub hugetlb: Option<u64>,
    /// The number of its threads.
    pub threads: Option<u32>,
    /// The process that traces it (`TracerPid`).
    pub tracer: Option<u32>,
}

impl Process {
    /// Reads what `status` and `comm` show.
    ///
    /// # Errors
    /// The same as [`read`](Process::read).
    pub fn about(&self) -> Result<About, Error> {
        let status = Status::new(&self.read("status")?);
        let comm = self.comm()?;
        let bytes = |key| Some(status.number(key).map(u64::from)?.saturating_mul(1024));
        let state = status.words("State").next().unwrap_or_default();
        let has_memory = status.words("VmSize").next().is_some();
        let life = match state {
            _ if has_memory => Life::Alive,
            "Z" | "X" if status.number("Threads").is_some_and(|threads| threads > 1) => {
                Life::LeaderEnded
            }
            "Z" | "X" => Life::Zombie,
            // Since 6.10 it is printed; earlier, nothing else alive has no memory.
            _ if status.number("Kthread").unwrap_or(1) == 1 => Life::KernelThread,
            _ => Life::Zombie,
        };
        Ok(About {
            pid: self.id().pid,
            comm,
            life,
            uid: status.words("Uid").nth(1).and_then(|uid| uid.parse().ok()),
            rss: bytes("VmRSS"),
            swap: bytes("VmSwap"),
            page_tables: bytes("VmPTE"),
            hugetlb: bytes("HugetlbPages"),
            threads: status.number("Threads"),
            tracer: status.number("TracerPid").filter(|tracer| *tracer != 0),
        })
    }

    /// The path of its executable as the kernel prints it, without ` (deleted)`; `None` if it may
    /// not be seen.
    pub fn executable(&self) -> Option<Vec<u8>> {
        let path = readlinkat(self.dir(), "exe", Vec::new()).ok()?.into_bytes();
        Some(path.strip_suffix(b" (deleted)").unwrap_or(&path).to_vec())
    }

    /// Its control group; `None` if it may not be seen.
    pub fn cgroup(&self) -> Option<Cgroup> {
        Some(Cgroup::parse(&self.read("cgroup").ok()?))
    }

    /// When it started, since 1970, if the clock was not set since.
    pub fn start_time(&self) -> Option<Duration> {
        self.started()
    }

    /// Its name as a program: the path of its executable, or of another user's process the name of
    /// its command.
    pub fn program(&self, about: &About) -> Vec<u8> {
        self.executable().unwrap_or_else(|| about.comm.clone())
    }

    /// The sums over its rows (`smaps_rollup`). The kernel walks its page tables: 30 to 50 ns for
    /// each resident page (Linux 6.18).
    ///
    /// # Errors
    /// The same as [`read`](Process::read).
    pub fn rollup(&self) -> Result<Sizes, Error> {
        let text = self.read("smaps_rollup")?;
        // Without a row it is the text of a process that ended meanwhile.
        let maps = Maps::parse(&text);
        match maps {
            Ok(maps) if !maps.is_empty() => Ok(Sizes::of(&maps, 0)),
            _ => Err(Error::Vanished { process: self.id().to_string() }),
        }
    }

    /// The thread of a process whose main thread has ended, or the process itself.
    ///
    /// # Errors
    /// [`Error::Vanished`] if no thread lives.
    pub fn with_memory(self, life: Life) -> Result<Process, Error> {
        match life {
            Life::LeaderEnded => {
                let process = self.id().to_string();
                self.living_thread().ok_or(Error::Vanished { process })
            }
            _ => Ok(self),
        }
    }
}

/// The last part of a path.
pub fn base_name(path: &[u8]) -> &[u8] {
    std::path::Path::new(std::ffi::OsStr::from_bytes(path))
        .file_name()
        .map_or(path, |name| name.as_bytes())
}
