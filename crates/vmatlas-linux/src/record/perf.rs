//! Records a running process by perf events, without stopping it.
//!
//! Events are opened for each processor or for each thread of the program, at the tracepoints of
//! returning system calls; new threads inherit them. Records are read some milliseconds later, when
//! the program's memory and maps may already have changed or be gone.
//!
//! Not recorded: threads that make each other and end faster than events can be opened
//! ([`Scope::Threads`] only); calls of i386 and x32, which have no tracepoints; programs executed
//! with more privileges than the recorder's; changes by io_uring or by other processes
//! ([`Config::tree_writes`] shows them). Processors that come online later are ignored.

mod attach;
mod drain;
mod error;
pub(crate) mod event;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
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
use vmatlas_recording::Tid;

/// The longest stack that fits into a record, in bytes.
pub(crate) const MAX_STACK: u32 = 65_528;

/// Interval at which processes are sought that ended without a record.
const SEARCH_EVERY_NS: u64 = 1_000_000_000;

/// Both rings.
const BOTH: [Which; 2] = [Which::Calls, Which::Stacks];

/// The configuration of a recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// Whether child processes are recorded.
    pub(crate) children: bool,
    /// Bytes of stack copied with each call, up to [`MAX_STACK`]; 0 for none.
    pub(crate) stack_bytes: u32,
    /// How threads are found.
    pub(crate) scope: Scope,
    /// Whether page faults are reported.
    pub(crate) faults: Option<Faults>,
    /// Whether writes to maple trees are reported, which needs `CAP_PERFMON`.
    pub(crate) tree_writes: bool,
    /// Whether mappings have the build ids of their files instead of device and inode.
    pub(crate) build_ids: bool,
    /// The wanted size of each processor's rings. They become smaller if that size is not allowed.
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

/// The targets of the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The processors if permitted, otherwise each thread.
    Auto,
    /// Each thread on each processor.
    Threads,
    /// Each processor; only the program's records are reported. This needs `CAP_PERFMON` and few
    /// files, and costs the program least: a thread that makes another copies no events, which
    /// otherwise takes about 1 ms. But other programs also fill the rings.
    Processors,
}

/// The page faults to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Faults {
    /// One of this many faults is reported: 1 for all.
    pub(crate) period: u64,
    /// With stacks.
    pub(crate) stacks: bool,
}

/// The setup of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// [`Scope::Threads`] or [`Scope::Processors`].
    pub(crate) scope: Scope,
    pub(crate) processors: usize,
    /// The number of open files.
    pub(crate) files: usize,
    /// How the tracepoints were found.
    pub(crate) tracepoints: Found,
    /// The tracepoints that this kernel lacks.
    pub(crate) missing: Vec<String>,
    /// The requested features that are not available, as text.
    pub(crate) without: Vec<&'static str>,
    /// The size of each processor's rings, in bytes.
    pub(crate) rings: Sizes,
    /// The requested size.
    pub(crate) rings_wanted: Sizes,
    /// The time at which all threads had events, on `CLOCK_MONOTONIC` in nanoseconds. Earlier
    /// events are not reported.
    pub(crate) started_ns: u64,
    /// The threads at that time, as (pid, tid).
    pub(crate) threads: Vec<(u32, Tid)>,
}

/// A program that is being recorded. Dropping this removes every trace of it.
pub(crate) struct Perf {
    // Declared before the rings, so that events close first.
    opened: Opened,
    outputs: Vec<Output>,
    calls: Drain,
    stacks: Vec<Held>,
    specs: Vec<Spec>,
    tasks: Tasks,
    merger: Merger,
    report: Report,
    /// Tracepoints that were tried, kept open.
    _held: Option<OwnedFd>,
    /// The number of records that each ring lost before the start.
    lost_before: [u64; 2],
    /// Whether a ring had more data at the last read.
    more: bool,
    /// Processes that have ended, and the time at which that was seen.
    ended: Vec<(u32, u64)>,
    /// The time of the last search for such processes.
    searched_ns: u64,
}

impl Perf {
    /// Starts to record a running process, all its threads and those that they make.
    ///
    /// To record a program from its start, attach before it is executed: the events of the copy of
    /// its parent are then reported too, up to [`PerfEvent::Exec`].
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn attach(pid: u32, config: &Config) -> Result<Perf, Error> {
        attach::attach(pid, config)
    }

    /// The setup of the recording.
    pub(crate) fn report(&self) -> &Report {
        &self.report
    }

    /// Whether the rings hold the records of all processes.
    pub(crate) fn records_all(&self) -> bool {
        self.report.scope == Scope::Processors
    }

    /// The number of recorded threads: 0 after the end of the program.
    pub(crate) fn threads(&self) -> usize {
        self.tasks.len()
    }

    /// Passes on the events up to some milliseconds ago, in order. Waits up to `timeout` if there
    /// are few.
    pub(crate) fn poll(&mut self, timeout: Duration, give: &mut dyn FnMut(PerfEvent)) {
        if !self.more {
            let stacks = self.stacks.iter().map(|held| held.holder.as_fd());
            let fds: Vec<_> = stacks.chain([self.calls.many()]).collect();
            rings::wait(&fds, timeout);
        }
        let complete = self.read();
        self.merger.flush(complete.saturating_sub(SLACK), &mut self.tasks, give);
        self.remove_ended(give);
    }

    /// Removes the processes whose end no record reported: they ended while events were being
    /// opened, or the record is lost.
    fn remove_ended(&mut self, give: &mut dyn FnMut(PerfEvent)) {
        let known = self.merger.flushed();
        for (pid, time_ns) in std::mem::take(&mut self.ended) {
            if time_ns >= known {
                self.ended.push((pid, time_ns));
            } else if attach::has_ended(pid) {
                self.merger.end(pid, time_ns, &mut self.tasks, give);
            }
        }
        let now = clock();
        if self.ended.is_empty() && now.saturating_sub(self.searched_ns) >= SEARCH_EVERY_NS {
            self.searched_ns = now;
            let pids = self.tasks.pids().into_iter().filter(|pid| attach::has_ended(*pid));
            self.ended = pids.map(|pid| (pid, now)).collect();
        }
    }

    /// Stops recording, and passes on all remaining events.
    pub(crate) fn finish(mut self, give: &mut dyn FnMut(PerfEvent)) -> Counts {
        // Afterwards, records being written now are complete.
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

/// After this many nanoseconds every event has been passed on, given regular polling.
pub(crate) const LAG_NS: u64 = 4 * SLACK;

/// The clock of the records.
fn clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let [seconds, rest] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * 1_000_000_000 + rest
}
