//! Replays a log, call by call.

use super::files::Names;
use super::image::Lookup;
use super::line::Event;
use super::makers::{Interner, Makers};
use super::missing::{Gaps, MissingFact};
use super::reader::{Entry, Reader};
use super::task::{Pending, Silent, Task, TaskSpace};
use crate::{EventNumber, Origin, TaskId, Tid};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use vmatlas_maps::{AddressRange, Device};
use vmatlas_maps::{Warning, WarningKind, Warnings};
use vmatlas_space::{File, KernelProfile};

/// The maximum number of mappings, and of pieces of them, in all processes.
pub(crate) const MAX_ROWS: usize = 1 << 22;

/// A process of a log at the requested moment; if it had ended, just before its end.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Process {
    /// The process number; 0 if the log has only one process and does not number it.
    pub pid: u32,
    /// The program that it last executed; empty if the log does not contain it.
    pub program: Vec<u8>,
    /// The name (`comm`): that of the program, or the one that the process set.
    pub comm: Vec<u8>,
    /// The address space, and the origins of its mappings. The event of an origin is a line of the
    /// log, counted from 1; over several files, lines are counted in the order in which they were
    /// taken.
    pub space: crate::RecordedSpace,
    /// Facts of the process that the log lacks.
    pub missing: Vec<MissingFact>,
    /// The time at which the log first mentions it, counted from the first line of the log.
    pub began: Duration,
    /// Its end, if it had ended.
    pub ended: Option<Ended>,
    order: u64,
    exec: u64,
    /// Origin of mappings that no logged call made: the program image, stack and vdso.
    begun: Origin,
    open: bool,
    /// Whether the log does not show who made it.
    pub(crate) unannounced: bool,
}

/// The end of a process in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ended {
    /// The line that shows it.
    pub line: u64,
    /// The time of the line before, counted from the first line of the log.
    pub before: Duration,
}

/// The result of a replay.
#[derive(Debug)]
#[non_exhaustive]
pub struct Replayed {
    /// The processes in the order in which the log first mentions them.
    pub processes: Vec<Process>,
    /// The threads and call stacks that origins refer to.
    pub makers: Makers,
    /// Problems found in the log.
    pub warnings: Vec<Warning>,
    /// Whether the log contains times.
    pub timed: bool,
    /// The time of the last line replayed, counted from the first.
    pub length: Duration,
    /// Whether the log has later lines, which were not replayed.
    pub goes_on: bool,
    /// The number of that line, as counted by origins.
    pub lines: u64,
}

impl Replayed {
    /// The process with that number; if several had it, the last one.
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().rev().find(|process| process.pid == pid)
    }
}

/// Reads a log in chunks and replays its calls.
pub struct Replay<'a> {
    reader: Reader,
    pub(crate) state: State<'a>,
}

pub(crate) struct State<'a> {
    pub(crate) lookup: &'a mut dyn Lookup,
    pub(crate) profile: KernelProfile,
    until: Option<Duration>,
    until_line: Option<u64>,
    pub(crate) tasks: BTreeMap<Tid, Task>,
    pub(crate) ended: Vec<Process>,
    pub(crate) ended_rows: usize,
    pub(crate) names: Names,
    /// System V segments, with their sizes.
    pub(crate) segments: HashMap<u64, File>,
    pub(crate) attached: HashSet<Tid>,
    pub(crate) executions: u64,
    /// The times at which tasks appeared, in their order.
    pub(crate) appeared: Vec<Duration>,
    timed: bool,
    last: Duration,
    pub(crate) makers: Makers,
    stacks: Interner,
    /// The ranges of the last call; the lines after it may contain its stack.
    recent: Option<Recent>,
    /// The number of the current line, as counted by origins.
    number: u64,
    /// Whether lines are counted across several files.
    over_files: bool,
    /// The time of the last line.
    pub(crate) now: Duration,
    /// The last line up to the requested moment.
    last_number: u64,
    /// The line of the current entry, and the time of the line before.
    pub(crate) current: Ended,
    /// Whether the log shows a call that made a task.
    pub(crate) shows_clones: bool,
    /// The state at the requested moment; after it only the addresses of images are added.
    pub(crate) frozen: Option<Vec<Process>>,
    pub(crate) warnings: Warnings,
}

/// The ranges that a call may have mapped.
struct Recent {
    space: Rc<RefCell<TaskSpace>>,
    touched: [AddressRange; 2],
    event: EventNumber,
}

impl<'a> Replay<'a> {
    /// A replay by the rules of a kernel, whose version the log does not contain.
    pub fn new(profile: KernelProfile, lookup: &'a mut dyn Lookup) -> Replay<'a> {
        // A call that succeeded has passed all limits.
        let mut profile = profile;
        profile.mmap_min_addr = 0;
        profile.max_map_count = usize::MAX / 2;
        let state = State {
            lookup,
            profile,
            until: None,
            until_line: None,
            tasks: BTreeMap::new(),
            ended: Vec::new(),
            ended_rows: 0,
            names: Names::default(),
            segments: HashMap::new(),
            attached: HashSet::new(),
            executions: 0,
            appeared: Vec::new(),
            timed: false,
            last: Duration::ZERO,
            makers: Makers::default(),
            stacks: Interner::default(),
            recent: None,
            number: 0,
            over_files: false,
            now: Duration::ZERO,
            last_number: 0,
            current: Ended { line: 0, before: Duration::ZERO },
            shows_clones: false,
            frozen: None,
            warnings: Warnings::default(),
        };
        Replay { reader: Reader::default(), state }
    }

    /// Requests the state at this time after the first line.
    #[must_use]
    pub fn until(mut self, time: Duration) -> Replay<'a> {
        self.state.until = Some(time);
        self
    }

    /// Requests the state after that line, counted from 1 as by origins.
    #[must_use]
    pub fn until_line(mut self, line: u64) -> Replay<'a> {
        self.state.until_line = Some(line);
        self
    }

    /// Attributes lines without a PID prefix to thread `tid`.
    #[must_use]
    pub fn of_thread(mut self, tid: Tid) -> Replay<'a> {
        self.reader = Reader::of(tid);
        self
    }

    /// Reads the next bytes of the log.
    pub fn push(&mut self, bytes: &[u8]) {
        let state = &mut self.state;
        self.reader.push(bytes, &mut |entry| state.take(&entry));
    }

    /// Whether later lines cannot change the result.
    pub fn is_done(&self) -> bool {
        self.state.is_done()
    }

    /// Ends the log and returns the result.
    pub fn finish(mut self) -> Replayed {
        let state = &mut self.state;
        // If the caller stopped earlier, the last line that it pushed may be a part of one.
        if !state.is_done() {
            self.reader.finish(&mut |entry| state.take(&entry));
        }
        let mut warnings = self.reader.into_warnings();
        let mut state = self.state;
        state.settle();
        let goes_on = state.frozen.is_some();
        let mut processes = state.frozen.take().unwrap_or_else(|| state.snapshot(true));
        processes.sort_by_key(|process| process.order);
        for process in &mut processes {
            let place = usize::try_from(process.order).unwrap_or(0).wrapping_sub(1);
            process.began = state.appeared.get(place).copied().unwrap_or_default();
        }
        warnings.extend(state.warnings.into_vec());
        if goes_on && !state.over_files {
            // Later lines do not concern this moment.
            warnings.retain(|warning| warning.line <= state.last_number);
        }
        Replayed {
            processes,
            makers: state.makers,
            warnings,
            timed: state.timed,
            length: state.last,
            goes_on,
            lines: state.last_number,
        }
    }
}

impl State<'_> {
    fn is_done(&self) -> bool {
        self.frozen.as_ref().is_some_and(|frozen| !frozen.iter().any(|process| process.open))
    }

    pub(crate) fn take(&mut self, entry: &Entry<'_>) {
        if !self.over_files {
            self.number = entry.line;
        }
        if let Event::Frame(frame) = entry.event {
            if self.recent.is_some() && self.frozen.is_none() {
                self.stacks.frame(&mut self.makers, frame);
            }
            return;
        }
        self.settle();
        if self.frozen.is_none() && self.until_line.is_some_and(|line| self.number > line) {
            self.frozen = Some(self.snapshot(false));
        }
        self.current = Ended { line: self.number, before: self.last };
        if let Some(time) = entry.time {
            self.now = time;
            self.timed = true;
            if self.frozen.is_none() && self.until.is_some_and(|until| time > until) {
                self.frozen = Some(self.snapshot(false));
            }
            if self.frozen.is_none() {
                self.last = self.last.max(time);
            }
        }
        if self.frozen.is_none() {
            self.last_number = self.number;
        }
        if self.is_done() {
            return;
        }
        if let Some(task) = entry.tid.and_then(|tid| self.tasks.get_mut(&tid)) {
            task.silent = Silent::No;
        }
        let line = entry.line;
        match entry.event {
            Event::Other | Event::Frame(_) | Event::Resumed { .. } => {}
            Event::Attached(tid) => {
                self.attached.insert(tid);
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.silent = Silent::No;
                }
            }
            Event::Superseded { by } => self.supersede(entry.tid, by),
            Event::Ended => {
                if let Some(tid) = self.known(entry.tid) {
                    self.end(tid);
                }
            }
            Event::Begun(begun) => {
                let tid = self.task(entry.tid, begun.name == "execve");
                let pending = Pending::of(begun.name, begun.args);
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.begun = pending;
                }
            }
            Event::Call(call) => {
                let executes = matches!(call.name, "execve" | "execveat");
                let tid = self.task(entry.tid, executes);
                self.call(tid, line, &call);
                if let Some(task) = self.tasks.get_mut(&tid) {
                    task.begun = None;
                }
                self.place_in_frozen(tid);
            }
        }
    }

    /// Counts the next line as one of several files.
    pub(crate) fn number_over_files(&mut self) {
        self.over_files = true;
        self.number += 1;
    }

    /// The origin of mappings that a task makes now.
    pub(crate) fn origin(&mut self, tid: Tid) -> Origin {
        let task = match self.tasks.get_mut(&tid) {
            Some(task) => {
                if task.entry.is_none() {
                    task.entry = self.makers.add_task(tid, task.process, &task.comm);
                }
                task.entry
            }
            None => TaskId::NONE,
        };
        let time_ns = u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX);
        Origin { event: EventNumber::new(self.number), time_ns, task, ..Origin::UNSEEN }
    }

    /// Records the ranges that a call may have mapped, for the stack that may follow.
    pub(crate) fn made(&mut self, task: &Task, touched: [AddressRange; 2]) {
        let mut space = task.space.borrow_mut();
        if space.map.origins.len() > MAX_ROWS {
            touched.iter().for_each(|range| space.map.origins.remove(*range));
            let text = "there are too many origins: some bytes have none";
            self.warnings.push(0, WarningKind::Source(text.to_owned()));
            return;
        }
        self.recent = Some(Recent {
            space: task.space.clone(),
            touched,
            event: EventNumber::new(self.number),
        });
    }

    /// Adds the stack to the origins of the last call, after all its frames were read.
    fn settle(&mut self) {
        let Some(recent) = self.recent.take() else { return };
        let stack = self.stacks.stack(&mut self.makers);
        if !stack.is_none() {
            let mut space = recent.space.borrow_mut();
            let origins = &mut space.map.origins;
            recent.touched.iter().for_each(|range| origins.set_stack(*range, recent.event, stack));
        }
    }

    /// All processes, at the end of the log or before its next line.
    fn snapshot(&mut self, at_end: bool) -> Vec<Process> {
        let mut all = std::mem::take(&mut self.ended);
        let is_unfollowed = |task: &Task| match task.silent {
            Silent::No => false,
            Silent::SoFar => at_end,
            Silent::NotFollowed => true,
        };
        let mut sharers: HashMap<*const RefCell<TaskSpace>, Gaps> = HashMap::new();
        for (tid, task) in self.tasks.iter().filter(|(_, task)| is_unfollowed(task)) {
            if !task.is_awaited {
                let gaps = sharers.entry(Rc::as_ptr(&task.space)).or_default();
                gaps.push(MissingFact::Silent { tid: tid.get() });
            }
        }
        let mut seen = HashSet::new();
        // The rows of a process that was not followed are not known.
        for task in self.tasks.values().filter(|task| !is_unfollowed(task)) {
            if seen.insert(task.process) {
                let mut process = snapshot_of(task);
                let silent = sharers.get(&Rc::as_ptr(&task.space));
                process.missing.extend(silent.into_iter().flat_map(Gaps::list));
                all.push(process);
            }
        }
        self.doubt_threads(&mut all);
        all
    }

    /// Notes which tasks may be threads of a process of which the log does not show it.
    fn doubt_threads(&self, processes: &mut [Process]) {
        if processes.len() < 2 {
            return;
        }
        let mut unannounced: Vec<(u64, u32)> = processes
            .iter()
            .filter(|process| process.unannounced)
            .map(|process| (process.order, process.pid))
            .collect();
        unannounced.sort_unstable();
        let Some(&(_, first)) = unannounced.first() else { return };
        for process in processes {
            if process.unannounced {
                process.missing.push(MissingFact::PerhapsThread { tid: process.pid });
            } else if !self.shows_clones {
                let others = unannounced.len() - 1;
                process.missing.push(MissingFact::PerhapsThreads { tid: first, others });
            }
        }
    }

    /// Adds the images located after the requested moment to the programs executed before it.
    fn place_in_frozen(&mut self, tid: Tid) {
        let Some(frozen) = &mut self.frozen else { return };
        let running: HashSet<u64> =
            self.tasks.values().map(|task| task.space.borrow().id).collect();
        for process in frozen.iter_mut().filter(|process| process.open) {
            process.open = running.contains(&process.exec);
        }
        let Some(task) = self.tasks.get(&tid) else { return };
        let mut space = task.space.borrow_mut();
        let found = std::mem::take(&mut space.placed);
        let open = space.exec.open();
        for process in frozen.iter_mut().filter(|process| process.exec == space.id) {
            for placed in &found {
                let mut gaps = Gaps::of(std::mem::take(&mut process.missing));
                placed.map(&mut process.space, &mut gaps, process.begun);
                process.missing = gaps.list();
            }
            process.open &= open;
        }
    }

    /// Adds a System V segment, which is a file in the kernel's own memory.
    pub(crate) fn segment(&mut self, id: u64, key: u64, size: u64) {
        let name = format!("/SYSV{:08x} (deleted)", key as u32);
        let kind = vmatlas_space::FileKind::SysvShm;
        let file = File::of(kind, name.as_bytes(), Device::new(0, 1), id);
        file.set_size(size);
        self.segments.insert(id, file);
    }
}

pub(crate) fn snapshot_of(task: &Task) -> Process {
    let space = task.space.borrow();
    Process {
        pid: task.process,
        program: space.program.clone(),
        comm: task.comm.clone(),
        space: space.map.clone(),
        missing: space.missing(),
        began: Duration::ZERO,
        ended: None,
        order: task.order,
        exec: space.id,
        begun: space.begun,
        open: space.exec.open(),
        unannounced: task.unannounced && space.id == 0,
    }
}
