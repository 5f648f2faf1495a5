//! The processes of a survey, before their memory is read.

use super::cost;
use super::options::{Depth, SurveyOptions};
use crate::error::Result;
use crate::source::several::{Several, TargetGroup};
use std::path::PathBuf;
use std::time::Duration;
use vmatlas_linux::processes::{About, Life, Reach, in_parallel};
use vmatlas_linux::{Error as LinuxError, Process, ProcessId};

/// The time after which a process that does not answer is given up.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The processes of a machine or of targets, with what is known without reading their memory.
pub struct Census {
    pub(super) proc: PathBuf,
    /// Those that have memory.
    pub(super) processes: Vec<About>,
    /// The control group that the targets name; `None` if they name other things, too.
    pub(super) group: Option<TargetGroup>,
    /// Whether these are all processes that can be seen.
    pub(super) is_machine: bool,
    pub(super) counts: Counts,
    pub(super) reach: Reach,
}

/// The processes that have no sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Threads of the kernel, which have no address space.
    pub kernel_threads: u64,
    /// Processes that have ended and whose parents have not waited for them.
    pub zombies: u64,
    /// Processes whose main thread has ended; they are read through another thread.
    pub leaders_ended: u64,
    /// Processes that ended while they were read.
    pub gone: u64,
    /// Processes that may not be read, with what their status shows.
    pub refused: Vec<Refused>,
    /// Processes that did not answer in time.
    pub silent: Vec<u32>,
}

/// A process that may not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The process ID.
    pub pid: u32,
    /// The name of its command: any bytes.
    pub comm: Vec<u8>,
    /// Its resident memory in bytes, if its status shows it.
    pub rss: Option<u64>,
}

impl Census {
    /// All processes below `proc` that can be seen, with this one.
    ///
    /// # Errors
    /// Fails if `proc` cannot be read.
    pub fn of_machine(proc: impl Into<PathBuf>) -> Result<Census> {
        let proc = proc.into();
        let pids = crate::machine::pids(&proc)?;
        Ok(Census::read(proc, pids, None, true))
    }

    /// The processes that words of a command line name: PIDs, names, `@cgroup:PATH`, `@unit:NAME`,
    /// `@container:ID`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if a word names no process,
    /// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if it names a file.
    pub fn of_targets(words: &[String], proc: impl Into<PathBuf>) -> Result<Census> {
        let proc = proc.into();
        let Several { pids, group, .. } = Several::of(words, &proc)?;
        Ok(Census::read(proc, pids, group, false))
    }

    fn read(proc: PathBuf, pids: Vec<u32>, group: Option<TargetGroup>, is_machine: bool) -> Census {
        let below = proc.clone();
        let found = in_parallel(pids, PATIENCE, move |pid| {
            Process::open(&below, ProcessId { pid, tid: None })?.about()
        });
        let mut counts = Counts { silent: found.silent, ..Counts::default() };
        let mut processes = Vec::with_capacity(found.answers.len());
        for (pid, about) in found.answers {
            let about = match about {
                Ok(about) => about,
                Err(LinuxError::Denied { .. }) => {
                    counts.refused.push(Refused { pid, comm: Vec::new(), rss: None });
                    continue;
                }
                Err(_) => {
                    counts.gone += 1;
                    continue;
                }
            };
            match about.life {
                Life::KernelThread => counts.kernel_threads += 1,
                Life::Zombie => counts.zombies += 1,
                Life::LeaderEnded => {
                    counts.leaders_ended += 1;
                    processes.push(about);
                }
                _ => processes.push(about),
            }
        }
        Census { proc, processes, group, is_machine, counts, reach: Reach::of_this_process() }
    }

    /// The processes that have memory.
    pub fn len(&self) -> usize {
        self.processes.len()
    }

    /// Whether no process has memory.
    pub fn is_empty(&self) -> bool {
        self.processes.is_empty()
    }

    /// The directory of processes, those that have memory, and what else is known.
    pub(crate) fn into_parts(self) -> (PathBuf, Vec<About>, Counts, Reach) {
        (self.proc, self.processes, self.counts, self.reach)
    }

    /// What this process may read of others.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// The CPU time that the kernel takes for a survey, by the sizes of the processes and of their
    /// page tables: a rough estimate, made before anything is read.
    pub fn estimate(&self, options: &SurveyOptions) -> Duration {
        let depth = options.depth();
        self.processes.iter().map(|about| cost::of(about, depth)).sum()
    }

    /// The place up to which the processes are read in full, the largest first, so that the
    /// estimate is within a budget.
    pub(super) fn within(&mut self, depth: Depth, budget: Duration) -> usize {
        self.processes.sort_by_key(|about| (std::cmp::Reverse(about.rss), about.pid));
        let mut left = budget;
        self.processes
            .iter()
            .position(|about| match left.checked_sub(cost::of(about, depth)) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(self.processes.len())
    }
}
