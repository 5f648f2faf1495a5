//! Recording by perf events: a running process, without stopping it.
//!
//! All that runs on each processor is listened to, or each thread of the program, by the tracepoints
//! that fire when a system call returns; new threads inherit that. What happens is read some milliseconds later, so the
//! memory and maps of the program may have changed by then, or be gone.
//!
//! What is not seen: threads that are made one by the other and gone sooner than events can be opened
//! for each ([`Scope::Threads`] only); calls of i386 and x32, which the kernel has no tracepoints for; programs
//! executed with more privileges than the recorder's; what io_uring or another process does to
//! the memory ([`Config::tree_writes`] shows that). Processors that come online later are not
//! listened on.

mod attach;
mod drain;
mod error;
pub(crate) mod event;
mod ids;
mod intake;
mod live;
mod open;
mod order;
mod parse;
mod probe;
mod rings;
mod stacks;
mod tasks;
#[cfg(test)]
mod tests;
mod tracepoints;

pub(crate) use error::Error;
pub(crate) use event::PerfEvent;
pub(crate) use ids::Found;
pub(crate) use order::Counts;
pub(crate) use parse::MmapFile;
pub(crate) use probe::allowed;
pub(crate) use rings::{Sizes, Which};

use drain::Drain;
use open::{Opened, Output, Spec};
use order::Merger;
use rings::{Held, SLACK};
use rustix::fd::{AsFd as _, OwnedFd};
use std::time::Duration;
use tasks::Tasks;

/// The longest stack that a record has room for, in bytes.
pub(crate) const MAX_STACK: u32 = 65_528;

/// Both rings.
const BOTH: [Which; 2] = [Which::Calls, Which::Stacks];

/// What is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// Whether processes that the program makes are recorded.
    pub(crate) children: bool,
    /// How many bytes of stack are copied with each call, up to [`MAX_STACK`]; 0 for none.
    pub(crate) stack_bytes: u32,
    /// How the threads are found.
    pub(crate) scope: Scope,
    /// Whether page faults are told.
    pub(crate) faults: Option<Faults>,
    /// Whether writes to maple trees are told, which needs `CAP_PERFMON`.
    pub(crate) tree_writes: bool,
    /// Whether mappings tell the build ids of their files instead of device and inode.
    pub(crate) build_ids: bool,
    /// How large the rings of each processor should be. They become smaller where that is not
    /// allowed.
    pub(crate) rings: Sizes,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            children: true,
            stack_bytes: 8 << 10,
            scope: Scope::Auto,
            faults: None,
            tree_writes: false,
            build_ids: false,
            rings: Sizes { calls: 4 << 20, stacks: 64 << 20 },
        }
    }
}

impl Config {
    fn stack_size(&self) -> u32 {
        self.stack_bytes.min(MAX_STACK) & !7
    }
}

/// Whom events are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The processors if that is allowed, else each thread.
    Auto,
    /// Each thread on each processor.
    Threads,
    /// All that runs on each processor, of which only the program is told. Needs `CAP_PERFMON`,
    /// few files, and costs the program least: a thread that makes another copies no events,
    /// which takes it about 1 ms else. But what other programs do takes room in the rings.
    Processors,
}

/// Which page faults are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Every how many: 1 for all.
    pub(crate) period: u64,
    /// With the stack.
    pub(crate) stacks: bool,
}

/// How a recording came to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// [`Scope::Threads`] or [`Scope::Processors`].
    pub(crate) scope: Scope,
    pub(crate) processors: usize,
    /// How many files are open for it.
    pub(crate) files: usize,
    /// How the tracepoints were found.
    pub(crate) tracepoints: Found,
    /// Which of them this kernel does not have.
    pub(crate) missing: Vec<String>,
    /// What was asked for and cannot be had, in words.
    pub(crate) without: Vec<&'static str>,
    /// How large the rings of each processor are, in bytes.
    pub(crate) rings: Sizes,
    /// How large they should have been.
    pub(crate) rings_wanted: Sizes,
    /// When all threads were being listened to, on `CLOCK_MONOTONIC` in nanoseconds. Nothing
    /// before that is told.
    pub(crate) started_ns: u64,
    /// The threads that there were then, as (pid, tid).
    pub(crate) threads: Vec<(u32, u32)>,
}

/// A program that is being recorded. When this is dropped, nothing of it is left behind.
pub(crate) struct Perf {
    // Before the rings, so that nothing is written to them any more.
    opened: Opened,
    outputs: Vec<Output>,
    calls: Drain,
    stacks: Vec<Held>,
    specs: Vec<Spec>,
    tasks: Tasks,
    merger: Merger,
    report: Report,
    /// Of tracepoints that were tried.
    _held: Option<OwnedFd>,
    /// How many records each ring had no room for before the start.
    lost_before: [u64; 2],
    /// Whether a ring had more than was read the last time.
    more: bool,
}

impl Perf {
    /// Starts to record a process that runs, all its threads and those that they make.
    ///
    /// A program that is to be recorded from its start is attached to before it is executed: what
    /// it does as a copy of its parent is told as well then, up to [`PerfEvent::Comm`] with `exec`.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn attach(pid: u32, config: &Config) -> Result<Perf, Error> {
        attach::attach(pid, config)
    }

    /// How it came to be made.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// What was lost, and more of that kind, up to now.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> Counts {
        self.merger.counts
    }

    /// How many threads are recorded: none after the end of the program.
    pub(crate) fn threads(&self) -> usize {
        self.tasks.len()
    }

    /// Gives what has happened up to some milliseconds ago, in order. Waits up to `timeout` if
    /// there is little.
    pub(crate) fn poll(&mut self, timeout: Duration, give: &mut dyn FnMut(PerfEvent)) {
        if !self.more {
            let stacks = self.stacks.iter().map(|held| held.holder.as_fd());
            let fds: Vec<_> = stacks.chain([self.calls.many()]).collect();
            rings::wait(&fds, timeout);
        }
        let complete = self.read();
        self.merger.flush(complete.saturating_sub(SLACK), &mut self.tasks, give);
    }

    /// Stops recording, and gives all that is left.
    pub(crate) fn finish(mut self, give: &mut dyn FnMut(PerfEvent)) -> Counts {
        // What is being written just now is in after this.
        std::thread::sleep(Duration::from_nanos(SLACK));
        let end = clock();
        loop {
            let complete = self.read();
            if complete >= end {
                break;
            }
            self.merger.flush(complete.saturating_sub(SLACK), &mut self.tasks, give);
        }
        self.merger.flush(u64::MAX, &mut self.tasks, give);
        for (which, before) in BOTH.into_iter().zip(self.lost_before) {
            let lost = self.opened.lost(which).saturating_sub(before);
            self.merger.lost_at_last(which, lost, end, give);
        }
        self.merger.counts
    }
}

/// After so many nanoseconds every event has been given, if it was polled for.
pub(crate) const LAG_NS: u64 = 4 * SLACK;

/// The time that records have.
fn clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let [seconds, rest] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * 1_000_000_000 + rest
}
