//! Opens the events of all threads of a process.
//!
//! Events are opened for one thread after another, while threads start and end. A thread made by
//! one that already has its events inherits them all. A thread made while the events of its parent
//! were being opened may have inherited only some: all events are opened for it, and duplicate
//! reports count once ([`Tasks::counts`]).

use super::drain::Drain;
use super::error::Error;
use super::ids::Ids;
use super::intake::PORTION;
use super::open::{self, Opened, Output};
use super::order::{Counts, Merger};
use super::rings::{self, Held, Processor, SLACK, Sizes};
use super::tasks::{Owner, Tasks};
use super::{BOTH, Config, Perf, Report, Scope, clock, ids, probe};
use crate::sys::perf_event::Event;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit, test_kill_process};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use vmatlas_recording::Tid;

/// How long before its creation was reported a new thread may have begun to inherit, in
/// nanoseconds.
const FORKING: u64 = 20_000_000;

/// Maximum number of rounds that search for new threads. Each round leaves only threads made during
/// the previous one.
const ROUNDS: usize = 100;

pub(super) fn attach(pid: u32, config: &Config) -> Result<Perf, Error> {
    probe::allowed()?;
    let found = ids::find(config.tree_writes, config.faults.is_some())?;
    let threads = threads(pid);
    if threads.is_empty() {
        return Err(Error::NoSuchProcess { pid });
    }
    let mut wanted = config.rings;
    if config.stack_size() == 0 && config.faults.is_none() {
        wanted.stacks = 0;
    }
    let (processors, sizes) = rings::make(wanted)?;
    let outputs: Vec<Output> = processors.iter().map(output).collect();
    let begin_in = |scope| begin(pid, config, scope, &found, (&outputs, sizes));
    let begun = match config.scope {
        Scope::Auto => match begin_in(Scope::Processors) {
            Err(Error::Other { errno: Errno::ACCESS | Errno::PERM, .. }) => {
                begin_in(Scope::Threads)
            }
            begun => begun,
        },
        scope => begin_in(scope),
    };
    let mut begun = begun?;
    begun.report.rings_wanted = wanted;
    let held = found.held;
    let Begun { opened, specs, tasks, merger, report, tried } = begun;
    let (calls, stacks): (Vec<_>, Vec<_>) =
        processors.into_iter().map(|Processor { calls, stacks, .. }| (calls, stacks)).unzip();
    let calls = Drain::new(calls).map_err(|error| Error::Other {
        what: "thread that reads",
        errno: Errno::from_io_error(&error).unwrap_or(Errno::AGAIN),
    })?;
    let mut perf = Perf {
        opened,
        outputs,
        calls,
        stacks: stacks.into_iter().flatten().collect(),
        specs,
        tasks,
        merger,
        report,
        _held: held,
        lost_before: [0; 2],
        more: false,
        ended: Vec::new(),
        searched_ns: 0,
    };
    perf.settle(pid)?;
    drop(tried);
    Ok(perf)
}

fn output(processor: &Processor) -> Output {
    let holder = |held: &Held| Arc::clone(&held.holder);
    Output {
        cpu: processor.cpu,
        calls: holder(&processor.calls),
        stacks: processor.stacks.as_ref().map(holder),
    }
}

/// The events opened at first.
struct Begun {
    opened: Opened,
    specs: Vec<open::Spec>,
    tasks: Tasks,
    merger: Merger,
    report: Report,
    /// Events that keep the tracepoints on.
    tried: Vec<Event>,
}

fn begin(
    pid: u32,
    config: &Config,
    scope: Scope,
    found: &Ids,
    (outputs, rings): (&[Output], Sizes),
) -> Result<Begun, Error> {
    let by_processor = scope == Scope::Processors;
    let mut specs = open::specs(config, found, !by_processor);
    let (mut without, tried) = open::adapt(&mut specs)?;
    if config.tree_writes && found.tree_write.is_none() {
        without.push("writes to maple trees: need a readable tracefs");
    }
    let mut opened = Opened::default();
    if by_processor {
        raise_files(1, specs.len(), outputs.len())?;
        let what = "perf events of all processors";
        opened
            .open(&specs, outputs, Owner::Processors)
            .map_err(|errno| Error::Other { what, errno })?;
    } else {
        raise_files(threads(pid).len(), specs.len(), outputs.len())?;
    }
    let missing = super::tracepoints::TRACEPOINTS
        .iter()
        .filter(|point| !found.ids.iter().any(|(found, _)| found.name() == point.name()))
        .map(|point| point.name())
        .collect();
    let report = Report {
        scope: if by_processor { Scope::Processors } else { Scope::Threads },
        processors: outputs.len(),
        files: 0,
        tracepoints: found.found,
        missing,
        without,
        rings,
        rings_wanted: rings,
        started_ns: 0,
        threads: Vec::new(),
    };
    let tasks = Tasks::new(config.children);
    let merger = Merger::new(config.stack_size() > 0);
    Ok(Begun { opened, specs, tasks, merger, report, tried })
}

impl Perf {
    /// Opens events until all threads of the process have them.
    fn settle(&mut self, pid: u32) -> Result<(), Error> {
        self.add_threads(pid)?;
        if self.tasks.len() == 0 {
            return Err(Error::NoSuchProcess { pid });
        }
        self.report.files = self.opened.len();
        let started = clock();
        self.report.started_ns = started;
        self.merger.started = started;
        // Threads that appeared meanwhile belong to those at the start.
        std::thread::sleep(Duration::from_nanos(SLACK));
        // Reads as much as full rings contain. Other programs may fill them as fast as they are
        // read, so they need not become empty.
        for _ in 0..=self.report.rings.stacks.div_ceil(PORTION) {
            let complete = self.read().saturating_sub(SLACK);
            self.merger.flush(complete.min(started), &mut self.tasks, &mut |_| {});
            if !self.more {
                break;
            }
        }
        // A thread that executed a program meanwhile has the id of the first thread, whose end was
        // reported.
        if self.tasks.space(pid).is_none() {
            self.add_threads(pid)?;
        }
        // Losses before the start do not count.
        self.merger.counts = Counts::default();
        self.lost_before = BOTH.map(|which| self.opened.lost(which));
        self.report.threads = self.tasks.iter().collect();
        self.report.threads.sort_unstable();
        let mut pids: Vec<u32> = self.report.threads.iter().map(|(pid, _)| *pid).collect();
        pids.dedup();
        for pid in pids {
            if let (Some(space), Some(ranges)) = (self.tasks.space(pid), ranges(pid)) {
                self.merger.seed(space, clock(), ranges);
            }
        }
        Ok(())
    }

    fn add_threads(&mut self, pid: u32) -> Result<(), Error> {
        if self.report.scope == Scope::Threads {
            return self.open_threads(pid);
        }
        for tid in threads(pid) {
            self.tasks.add(pid, tid, Owner::Processors);
        }
        Ok(())
    }

    fn open_threads(&mut self, pid: u32) -> Result<(), Error> {
        // The time at which all events of a thread were open.
        let mut complete: HashMap<Tid, u64> = HashMap::new();
        let mut pids = vec![pid];
        for _ in 0..ROUNDS {
            let listed: Vec<(u32, Tid)> = pids
                .iter()
                .flat_map(|pid| threads(*pid).into_iter().map(|tid| (*pid, tid)))
                .collect();
            self.read();
            let processes = pids.len();
            let mut forks: Vec<_> = self.merger.forks().collect();
            forks.sort_by_key(|made| made.time);
            let mut inherited = HashMap::new();
            for made in forks {
                let since =
                    complete.get(&made.parent_tid).or_else(|| inherited.get(&made.parent_tid));
                let Some(since) = since.copied() else { continue };
                if made.time > since + FORKING {
                    inherited.insert(made.tid, since);
                } else if self.tasks.children && !pids.contains(&made.pid) {
                    pids.push(made.pid);
                }
            }
            let new: Vec<_> = listed
                .into_iter()
                .filter(|(_, tid)| !complete.contains_key(tid) && !inherited.contains_key(tid))
                .collect();
            if new.is_empty() && pids.len() == processes {
                return Ok(());
            }
            if !new.is_empty() {
                raise_files(complete.len() + new.len(), self.specs.len(), self.outputs.len())?;
            }
            for (pid, tid) in new {
                let mut open = || self.opened.open(&self.specs, &self.outputs, Owner::Thread(tid));
                let opened = match open() {
                    // Other threads of this process have opened files since they were counted.
                    Err(Errno::MFILE) if raise_to_maximum()? => open(),
                    opened => opened,
                };
                match opened {
                    Ok(()) => self.tasks.add(pid, tid, Owner::Thread(tid)),
                    Err(Errno::SRCH) => {} // has just ended
                    Err(Errno::ACCESS | Errno::PERM) => return Err(Error::NotPermitted { pid }),
                    Err(Errno::MFILE | Errno::NFILE) => {
                        return Err(self.too_many(complete.len() + 1));
                    }
                    Err(errno) => return Err(Error::Other { what: "perf_event_open", errno }),
                }
                complete.insert(tid, clock());
            }
        }
        Ok(())
    }

    fn too_many(&self, threads: usize) -> Error {
        let processors = self.outputs.len();
        let needed = files(threads, self.specs.len(), processors);
        let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        Error::TooManyFiles { threads, processors, needed, limit }
    }
}

/// The number of files needed, with a reserve.
fn files(threads: usize, specs: usize, processors: usize) -> u64 {
    (threads * specs * processors + 2 * processors + 128) as u64
}

/// Raises the soft limit of open files, up to the hard limit.
fn raise_files(threads: usize, specs: usize, processors: usize) -> Result<(), Error> {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    // The threads processed before may be among the open files.
    let needed = files(threads, specs, processors).max(open + files(1, specs, processors));
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| needed <= current) {
        return Ok(());
    }
    if let Some(limit) = maximum.filter(|maximum| needed > *maximum) {
        return Err(Error::TooManyFiles { threads, processors, needed, limit });
    }
    raise_to_maximum().map(drop)
}

/// Raises the soft limit of open files to the hard limit; returns whether that changed it.
fn raise_to_maximum() -> Result<bool, Error> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return Ok(false);
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|errno| Error::Other { what: "raising the limit of open files", errno })?;
    Ok(true)
}

/// The threads of a process that have not ended; empty if it is gone.
fn threads(pid: u32) -> Vec<Tid> {
    listed(pid).unwrap_or_default()
}

/// The threads of a process that have not ended; `None` if there is no list of them.
fn listed(pid: u32) -> Option<Vec<Tid>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let tid = |name: &str| name.parse().ok().map(Tid::new);
    let all = entries.filter_map(|entry| tid(entry.ok()?.file_name().to_str()?));
    Some(all.filter(|tid| !is_zombie(pid, *tid)).collect())
}

/// Whether a thread has ended and is still listed: it is the first, or its tracer does not wait.
fn is_zombie(pid: u32, tid: Tid) -> bool {
    let stat = std::fs::read(format!("/proc/{pid}/task/{tid}/stat")).unwrap_or_default();
    // After its name in parentheses, which may contain some.
    let state = stat.rsplit(|byte| *byte == b')').next().and_then(|rest| rest.get(1));
    matches!(state, Some(b'Z' | b'X'))
}

/// Whether a process has ended. Without a list of its threads this asks whether it takes signals:
/// the list may be hidden from us.
pub(super) fn has_ended(pid: u32) -> bool {
    let signalled = || i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process);
    match listed(pid) {
        Some(threads) => threads.is_empty(),
        None => signalled() == Some(Err(Errno::SRCH)),
    }
}

/// The mapped ranges of a process.
fn ranges(pid: u32) -> Option<Vec<(u64, u64)>> {
    let text = std::fs::read(format!("/proc/{pid}/maps")).ok()?;
    let range = |line: &[u8]| {
        let word = line.split(|byte| *byte == b' ').next()?;
        let (start, end) = std::str::from_utf8(word).ok()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?))
    };
    Some(text.split(|byte| *byte == b'\n').filter_map(range).collect())
}
