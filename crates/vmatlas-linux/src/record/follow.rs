//! Follows a program that is never stopped, by what perf events tell of it some milliseconds later.

use super::arch::NATIVE;
use super::audit::{Audit, Unexplained};
use super::calls;
use super::perf::event::{Call as PerfCall, Mmap, Stack};
use super::perf::{MmapFile, PerfEvent, Which};
use super::recorder::{Recorder, Shown, Task, clock_ns, telling_address, vdso};
use super::sink::{Registers, Shared};
use super::space::LiveSpace;
use super::unwind::Modules;
use crate::sys::vm_read::read_memory;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use vmatlas_maps::uapi::mman::{MAP_PRIVATE, MAP_TYPE, PROT_EXEC, PROT_READ, PROT_WRITE};
use vmatlas_maps::{AddressRange, Device, Mapping, Maps, Perms};
use vmatlas_recording::{Call, CallKind, Row, TaskEntry, What};

/// How often the rows of a program are held against the model's.
const CHECK_EVERY_NS: u64 = 1_000_000_000;
/// The lowest and highest addresses that mappings have.
const LOWEST: u64 = 0x1000;
const HIGHEST: u64 = 1 << 47;
/// How often rows are read until nothing happens meanwhile.
pub(super) const TRIES: usize = 20;
/// More mappings than a call makes.
const MAX_MAPPED: usize = 8;

/// Takes perf events and records them.
pub(super) struct Follower {
    pub(super) recorder: Recorder,
    /// What the kernel said of the mappings that a thread is about to return from making, the last
    /// ones only.
    mapped: HashMap<u32, VecDeque<Mmap>>,
    /// The mappings so far of a process that executes a program.
    executing: HashMap<u32, Executing>,
    /// When each address space has last changed, on CLOCK_MONOTONIC.
    changed_ns: HashMap<u32, u64>,
    /// Rows that were read, to be compared as soon as all events before are known.
    pending: Vec<Pending>,
    checked_ns: u64,
    /// Calls without a stack.
    pub(super) stacks_lost: u64,
    pub(super) audit: Audit,
    /// Nothing counts before a program that is launched has been executed.
    waits_for_exec: bool,
}

/// A process that executes a program.
#[derive(Default)]
struct Executing {
    /// Its mappings so far.
    rows: BTreeMap<u64, Shown>,
    /// What the kernel has touched meanwhile: when and where.
    faults: Vec<(u64, u64)>,
}

/// Whether one of the rows may be executed at an address.
fn executable(rows: &BTreeMap<u64, Shown>, address: u64) -> bool {
    let below = rows.range(..=address).next_back();
    below.is_some_and(|(_, shown)| {
        shown.row().range.contains(address) && shown.row().perms.execute()
    })
}

/// The rows of an address space at some time.
struct Pending {
    tid: u32,
    space: u32,
    began_ns: u64,
    ended_ns: u64,
    rows: Maps,
}

impl Follower {
    pub(super) fn new(recorder: Recorder, waits_for_exec: bool) -> Follower {
        Follower {
            recorder,
            mapped: HashMap::new(),
            executing: HashMap::new(),
            changed_ns: HashMap::new(),
            pending: Vec::new(),
            checked_ns: clock_ns(),
            stacks_lost: 0,
            audit: Audit::default(),
            waits_for_exec,
        }
    }

    /// The program as it is when it is attached to: `rows` were read when `threads` had it.
    pub(super) fn begin(
        &mut self,
        pid: u32,
        threads: &[(u32, u32)],
        rows: &Maps,
    ) -> Result<(), crate::Error> {
        let recorder = &mut self.recorder;
        let mut space = LiveSpace::open(pid, Modules::default())?;
        let comm = space.process().comm()?;
        let leader = recorder.writer.task(TaskEntry { tid: pid, pid, comm });
        let shown = recorder.rows(&space, rows);
        recorder.event(leader, 0, What::Attached { rows: shown });
        for row in rows.iter().filter(|row| row.inode != 0 || row.perms.execute()) {
            recorder.map_code(&mut space, &row);
        }
        let space = recorder.add_space(space);
        recorder.tasks.insert(pid, Task::new(leader, pid, space));
        for (of, tid) in threads {
            if *of == pid && *tid != pid {
                self.add_thread(pid, *tid, 0);
            }
        }
        Ok(())
    }

    /// A thread of a process that is known.
    fn add_thread(&mut self, pid: u32, tid: u32, time_ns: u64) {
        let recorder = &mut self.recorder;
        let known = recorder.tasks.values().find(|task| task.pid == pid);
        let Some((parent, space)) = known.map(|task| (task.entry, task.space)) else { return };
        let comm = std::fs::read(Path::new("/proc").join(format!("{pid}/task/{tid}/comm")));
        let mut comm =
            comm.unwrap_or_else(|_| recorder.writer.tasks()[parent as usize].comm.clone());
        comm.pop_if(|last| *last == b'\n');
        let child = recorder.writer.task(TaskEntry { tid, pid, comm });
        recorder.event_at(time_ns, parent, 0, What::Clone { child, memory: true });
        if let Some(space) = recorder.spaces.get_mut(&space) {
            space.tasks += 1;
        }
        recorder.tasks.insert(tid, Task::new(child, pid, space));
    }

    /// Takes what has happened next.
    pub(super) fn take(&mut self, event: PerfEvent) {
        match event {
            PerfEvent::Call(call) => self.call(&call),
            PerfEvent::Fork { time_ns, pid, tid, parent_pid, parent_tid, shares_memory } => {
                let thread = pid == parent_pid;
                self.audit.explains_all(parent_tid);
                let memory = thread || shares_memory.unwrap_or(false);
                self.fork(time_ns, parent_tid, tid, Shared { memory, thread });
            }
            PerfEvent::Exit { time_ns, tid, pid } => {
                self.finish_exec(pid, time_ns);
                self.audit.explains_all(tid);
                let time_ns = self.recorder.time(time_ns);
                if let Some(task) = self.recorder.remove(tid) {
                    self.recorder.event_at(time_ns, task.entry, 0, What::Exit { status: 0 });
                }
            }
            PerfEvent::Comm { time_ns, pid, tid, exec, name } => {
                if exec {
                    self.exec(time_ns, pid, name);
                } else {
                    self.rename(time_ns, pid, tid, name);
                }
            }
            PerfEvent::Mmap { time_ns, mmap } => self.map(time_ns, mmap),
            PerfEvent::Fault { time_ns, pid, tid, address, registers, stack, .. } => {
                // The kernel touches memory of a new program while it still maps it.
                let runs = |rows: &BTreeMap<u64, Shown>| {
                    registers.is_some_and(|registers| executable(rows, registers.ip))
                };
                match self.executing.get_mut(&pid) {
                    Some(executing) if !runs(&executing.rows) => {
                        executing.faults.push((time_ns, address));
                        return;
                    }
                    _ => self.finish_exec(pid, time_ns),
                }
                let copy = match (&stack, registers) {
                    (Stack::Copied(copy), Some(registers)) => Some((registers, &*copy.bytes)),
                    _ => None,
                };
                self.fault(time_ns, tid, address, copy);
            }
            PerfEvent::TreeWrite { time_ns, tid, start, last, stored, .. } => {
                let range = AddressRange::new(start, last.saturating_add(1));
                // Other trees of the kernel are of small numbers.
                if !self.waits_for_exec && LOWEST <= start && last < HIGHEST {
                    self.audit.wrote(Unexplained { time_ns, tid, range, stored });
                }
            }
            PerfEvent::Lost { time_ns, which, count } => {
                // A stack that is lost is known by its call.
                if which == Which::Calls {
                    let time_ns = self.recorder.time(time_ns);
                    self.recorder.truth.lost += count;
                    let task = self.recorder.tasks.values().next().map_or(0, |task| task.entry);
                    self.recorder.event_at(time_ns, task, 0, What::Lost { events: count });
                    self.checked_ns = 0;
                }
            }
        }
    }

    fn call(&mut self, seen: &PerfCall) {
        if self.waits_for_exec {
            return;
        }
        self.finish_exec(seen.pid, seen.time_ns);
        let time_ns = self.recorder.time(seen.time_ns);
        if !self.recorder.tasks.contains_key(&seen.tid) {
            self.add_thread(seen.pid, seen.tid, time_ns);
        }
        let Some(task) = self.recorder.tasks.get(&seen.tid) else { return };
        let (entry, id) = (task.entry, task.space);
        let mut call = Call { kind: seen.kind, args: seen.args, result: seen.result.unwrap_or(0) };
        resolve(seen.tid, &mut call);
        let told = self.mapped.remove(&seen.tid).unwrap_or_default();
        if !self.recorder.counts(entry, &call) {
            self.audit.called(seen.tid, &[]);
            return;
        }
        let stack = match &seen.stack {
            Stack::Copied(copy) => {
                self.recorder.stack_of_copy(seen.tid, &seen.registers, &copy.bytes)
            }
            Stack::NotAsked => 0,
            Stack::Lost => {
                self.stacks_lost += 1;
                0
            }
        };
        self.changed_ns.insert(id, seen.time_ns);
        let mut touched = Vec::new();
        self.recorder.with(id, |recorder, space| {
            let shown = match row_told(&mut call, &told) {
                Some(shown) => Some(shown),
                None => recorder.row_of(space, &mut call),
            };
            let file = match &shown {
                Some(shown) => recorder.complete(space, &mut call, shown),
                None => 0,
            };
            let what = What::Call { call, file, in_order: true };
            let applied = recorder.event_at(time_ns, entry, stack, what);
            recorder.truth.refused += u64::from(applied.refused.is_some());
            recorder.follow_code(space, &call, &applied, shown.as_ref());
            touched.extend(applied.touched);
        });
        if matches!(call.kind, CallKind::Mlockall | CallKind::Munlockall | CallKind::Prctl) {
            // Of all of it.
            self.audit.explains_all(seen.tid);
        }
        self.audit.called(seen.tid, &touched);
    }

    fn fork(&mut self, time_ns: u64, parent: u32, child: u32, shared: Shared) {
        let time_ns = self.recorder.time(time_ns);
        let Some(task) = self.recorder.tasks.get(&parent) else { return };
        if self.recorder.tasks.contains_key(&child) {
            return;
        }
        let (entry, id, pid) = (task.entry, task.space, task.pid);
        let recorder = &mut self.recorder;
        let pid = if shared.thread { pid } else { child };
        let comm = recorder.writer.tasks()[entry as usize].comm.clone();
        let Some(space) = recorder.spaces.get_mut(&id) else { return };
        let space = if shared.memory {
            space.tasks += 1;
            id
        } else {
            let modules = space.modules.clone();
            let Some(copy) = LiveSpace::open_or_gone(child, modules) else { return };
            recorder.add_space(copy)
        };
        let new = recorder.writer.task(TaskEntry { tid: child, pid, comm });
        recorder.event_at(time_ns, entry, 0, What::Clone { child: new, memory: shared.memory });
        recorder.truth.tasks += 1;
        recorder.tasks.insert(child, Task::new(new, pid, space));
    }

    fn rename(&mut self, time_ns: u64, pid: u32, tid: u32, comm: Vec<u8>) {
        let time_ns = self.recorder.time(time_ns);
        let recorder = &mut self.recorder;
        let Some(task) = recorder.tasks.get_mut(&tid) else { return };
        let to = recorder.writer.task(TaskEntry { tid, pid, comm });
        let entry = std::mem::replace(&mut task.entry, to);
        recorder.event_at(time_ns, entry, 0, What::Renamed { to });
    }

    /// A process begins to execute a program; its mappings follow.
    fn exec(&mut self, time_ns: u64, pid: u32, comm: Vec<u8>) {
        self.finish_exec(pid, time_ns);
        self.audit.explains_all(pid);
        self.waits_for_exec = false;
        let recorder = &mut self.recorder;
        // The thread that executes has become the first one.
        let threads: Vec<u32> = recorder
            .tasks
            .iter()
            .filter(|(tid, task)| task.pid == pid && **tid != pid)
            .map(|(tid, _)| *tid)
            .collect();
        let time = recorder.time(time_ns);
        for thread in threads {
            if let Some(task) = recorder.remove(thread) {
                recorder.event_at(time, task.entry, 0, What::Exit { status: 0 });
            }
        }
        let to = recorder.writer.task(TaskEntry { tid: pid, pid, comm });
        let old = recorder.remove(pid);
        let Some(space) = LiveSpace::open_or_gone(pid, Modules::default()) else { return };
        let space = recorder.add_space(space);
        let mut task = Task::new(to, pid, space);
        task.former = old.map(|old| old.entry);
        recorder.tasks.insert(pid, task);
        self.executing.insert(pid, Executing::default());
    }

    /// The first event after execve says that all its mappings are there.
    fn finish_exec(&mut self, pid: u32, time_ns: u64) {
        let Some(Executing { rows: shown, faults }) = self.executing.remove(&pid) else { return };
        self.audit.explains_all(pid);
        let recorder = &mut self.recorder;
        let Some(task) = recorder.tasks.get(&pid) else { return };
        let (to, id, former) = (task.entry, task.space, task.former);
        let time = recorder.time(time_ns);
        self.changed_ns.insert(id, time_ns);
        recorder.with(id, |recorder, space| {
            let mut rows = Maps::default();
            shown.values().for_each(|shown| rows.push(&shown.row()));
            let rows: Vec<Row> = recorder.rows(space, &rows);
            let first = recorder.truth.execs == 0;
            recorder.event_at(time, former.unwrap_or(to), 0, What::Exec { to, rows });
            recorder.truth.execs += 1;
            if first {
                recorder.runs(pid);
            }
            for shown in shown.values() {
                let row = shown.row();
                if row.inode != 0 || row.perms.execute() {
                    recorder.map_code(space, &row);
                }
            }
        });
        for (time_ns, address) in faults {
            self.fault(time_ns, pid, address, None);
        }
    }

    fn map(&mut self, time_ns: u64, mmap: Mmap) {
        if let Some(executing) = self.executing.get_mut(&mmap.pid) {
            lay(&mut executing.rows, shown(&mmap));
        } else if mmap.name == b"[stack]" {
            self.grow(time_ns, &mmap);
        } else {
            let mapped = self.mapped.entry(mmap.tid).or_default();
            mapped.push_back(mmap);
            if mapped.len() > MAX_MAPPED {
                mapped.pop_front();
            }
        }
    }

    /// A stack has grown, which no call tells.
    fn grow(&mut self, time_ns: u64, mmap: &Mmap) {
        let time = self.recorder.time(time_ns);
        let Some(task) = self.recorder.tasks.get(&mmap.tid) else { return };
        let (entry, id) = (task.entry, task.space);
        let shown = shown(mmap);
        let row = shown.row();
        self.audit.grew(mmap.tid, row.range);
        self.recorder.with(id, |recorder, space| {
            let mut rows = Maps::default();
            rows.push(&row);
            let rows = recorder.rows(space, &rows);
            recorder.event_at(time, entry, 0, What::Observed { range: row.range, rows });
        });
    }

    /// A page was touched.
    fn fault(&mut self, time_ns: u64, tid: u32, address: u64, stack: Option<(Registers, &[u8])>) {
        let time = self.recorder.time(time_ns);
        let Some(entry) = self.recorder.tasks.get(&tid).map(|task| task.entry) else { return };
        let stack = stack
            .map_or(0, |(registers, bytes)| self.recorder.stack_of_copy(tid, &registers, bytes));
        self.recorder.event_at(time, entry, stack, What::Fault { address });
    }

    /// Holds rows against the model from time to time. `known_ns` is the time up to which all
    /// events have been taken.
    pub(super) fn check(&mut self, known_ns: u64) {
        let pending = std::mem::take(&mut self.pending);
        for look in pending {
            if look.ended_ns > known_ns {
                self.pending.push(look);
                continue;
            }
            let changed = self.changed_ns.get(&look.space).copied().unwrap_or(0);
            let Some(entry) = self.recorder.tasks.get(&look.tid).map(|task| task.entry) else {
                continue;
            };
            // What changed meanwhile may or may not be in the rows.
            if changed < look.began_ns && !look.rows.is_empty() {
                self.recorder.with(look.space, |recorder, space| {
                    recorder.compare(entry, space, &look.rows);
                });
            }
        }
        let now = clock_ns();
        if now.saturating_sub(self.checked_ns) < CHECK_EVERY_NS || !self.pending.is_empty() {
            return;
        }
        self.look();
    }

    /// Reads the rows of all address spaces.
    pub(super) fn look(&mut self) {
        self.checked_ns = clock_ns();
        let mut seen = Vec::new();
        for (tid, task) in &self.recorder.tasks {
            if seen.contains(&task.space) {
                continue;
            }
            seen.push(task.space);
            let Some(space) = self.recorder.spaces.get(&task.space) else { continue };
            let began_ns = clock_ns();
            let Ok(rows) = space.all_rows() else { continue };
            let ended_ns = clock_ns();
            self.pending.push(Pending { tid: *tid, space: task.space, began_ns, ended_ns, rows });
        }
        for look in &self.pending {
            let Some(entry) = self.recorder.tasks.get(&look.tid).map(|task| task.entry) else {
                continue;
            };
            self.recorder.with(look.space, |recorder, space| recorder.note_resident(entry, space));
        }
    }
}

/// The row that tells what the arguments of a call do not, if the kernel's records have it: the
/// process may be gone, or its memory changed. Where `[vdso]` was mapped becomes an argument.
fn row_told(call: &mut Call, told: &VecDeque<Mmap>) -> Option<Shown> {
    if call.maps_vdso() {
        let rows: Vec<Shown> = told.iter().map(shown).collect();
        let (start, shown) = vdso(rows.iter().map(Shown::row))?;
        call.args[1] = start;
        return Some(shown);
    }
    let at = telling_address(call).filter(|_| call.kind == CallKind::Mmap)?;
    told.back().map(shown).filter(|shown| shown.row().range.contains(at))
}

/// Reads what arguments point to, if it is still there.
fn resolve(tid: u32, call: &mut Call) {
    let read = |address, to: &mut [u8]| read_memory(tid, address, to) == Ok(to.len());
    if let Some(left) = calls::resolve(call.kind, NATIVE, &mut call.args, read) {
        left.take(&mut call.args, &mut call.result, read);
    }
}

/// The row that a record of the kernel tells.
fn shown(mmap: &Mmap) -> Shown {
    let letter = |bit: u64, letter: u8| if u64::from(mmap.prot) & bit != 0 { letter } else { b'-' };
    let shared = u64::from(mmap.flags) & MAP_TYPE != MAP_PRIVATE;
    let (device, inode) = match mmap.file {
        MmapFile::Inode { major, minor, inode, .. } => (Device::new(major, minor), inode),
        MmapFile::BuildId(_) => (Device::default(), 0),
    };
    let named = mmap.name != b"//anon";
    Shown::of(&Mapping {
        range: AddressRange::new(mmap.address, mmap.address.saturating_add(mmap.len)),
        perms: Perms([
            letter(PROT_READ, b'r'),
            letter(PROT_WRITE, b'w'),
            letter(PROT_EXEC, b'x'),
            if shared { b's' } else { b'p' },
        ]),
        offset: if inode != 0 { mmap.offset } else { 0 },
        device,
        inode,
        name: if named { &mmap.name } else { b"" },
    })
}

/// Lays a row over others.
fn lay(rows: &mut BTreeMap<u64, Shown>, new: Shown) {
    let range = new.row().range;
    let under: Vec<u64> = rows
        .range(..range.end)
        .filter(|(_, row)| row.row().range.end > range.start)
        .map(|(start, _)| *start)
        .collect();
    for start in under {
        let Some(old) = rows.remove(&start) else { continue };
        let row = old.row();
        let mut keep = |part: AddressRange| {
            if part.size() > 0 && part.start < part.end {
                let offset = if row.inode == 0 {
                    0
                } else {
                    row.offset.wrapping_add(part.start - row.range.start)
                };
                rows.insert(part.start, Shown::of(&Mapping { range: part, offset, ..row }));
            }
        };
        keep(AddressRange::new(row.range.start, range.start.max(row.range.start)));
        keep(AddressRange::new(range.end.min(row.range.end), row.range.end));
    }
    rows.insert(range.start, new);
}
