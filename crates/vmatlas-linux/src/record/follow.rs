//! Follows a program that is never stopped, from perf events read some milliseconds later.

use super::arch::{HIGHEST, LOWEST, NATIVE};
use super::audit::{Audit, Unexplained};
use super::calls;
use super::perf::event::{Call as PerfCall, Mmap, Stack};
use super::perf::{MmapFile, PerfEvent, Which};
use super::recorder::{Recorder, clock_ns, row_address, vdso};
use super::shown::Shown;
use super::sink::{At, Seen, Shared, StackAt};
use std::collections::{BTreeMap, HashMap, VecDeque};
use vmatlas_maps::uapi::mman::{MAP_PRIVATE, MAP_TYPE, PROT_EXEC, PROT_READ, PROT_WRITE};
use vmatlas_maps::{AddressRange, Device, Mapping, Maps, Perms};
use vmatlas_recording::{Call, CallKind, Tid};

/// Interval at which a program's rows are compared with the model's.
const CHECK_EVERY_NS: u64 = 1_000_000_000;
/// Interval of the first reading of resident pages after an execve. It doubles up to
/// [`CHECK_EVERY_NS`], because the program may end soon.
const FIRST_PAGES_NS: u64 = 10_000_000;
/// Number of attempts to read rows without a concurrent change.
pub(super) const TRIES: usize = 20;
/// More mappings than a call makes.
const MAX_MAPPED: usize = 8;

/// Receives perf events and reports them to the recorder.
pub(super) struct Follower<'a> {
    pub(super) recorder: &'a mut Recorder,
    /// The latest mapping records of each thread whose call has not yet returned.
    mapped: HashMap<Tid, VecDeque<Mmap>>,
    /// The mappings so far of a process that is executing a program.
    executing: HashMap<u32, Executing>,
    /// Time of the last change of each address space, on CLOCK_MONOTONIC.
    changed_ns: HashMap<u32, u64>,
    /// Rows to compare as soon as all earlier events are known.
    pending: Vec<Pending>,
    checked_ns: u64,
    /// Time of the last reading of resident pages, and the interval until the next.
    pages_ns: (u64, u64),
    /// Calls without a stack.
    pub(super) stacks_lost: u64,
    pub(super) audit: Audit,
    /// A launched program is recorded only from its execve on.
    waits_for_exec: bool,
}

/// A process that is executing a program.
#[derive(Default)]
struct Executing {
    /// Its mappings so far.
    rows: BTreeMap<u64, Shown>,
    /// Page faults by the kernel in the meantime: time, address, and whether it is a write.
    faults: Vec<(u64, u64, bool)>,
}

/// Whether one of the rows is executable at an address.
fn executable(rows: &BTreeMap<u64, Shown>, address: u64) -> bool {
    let below = rows.range(..=address).next_back();
    below.is_some_and(|(_, shown)| {
        shown.row().range.contains(address) && shown.row().perms.execute()
    })
}

/// The rows of an address space at a time.
struct Pending {
    tid: Tid,
    space: u32,
    began_ns: u64,
    ended_ns: u64,
    rows: Maps,
}

impl Follower<'_> {
    pub(super) fn new(recorder: &mut Recorder, waits_for_exec: bool) -> Follower<'_> {
        recorder.mark_following();
        Follower {
            recorder,
            mapped: HashMap::new(),
            executing: HashMap::new(),
            changed_ns: HashMap::new(),
            pending: Vec::new(),
            checked_ns: clock_ns(),
            pages_ns: (0, FIRST_PAGES_NS),
            stacks_lost: 0,
            audit: Audit::default(),
            waits_for_exec,
        }
    }

    /// Handles the next event.
    pub(super) fn take(&mut self, event: PerfEvent) {
        match event {
            PerfEvent::Call(call) => self.call(&call),
            PerfEvent::Fork { time_ns, pid, tid, parent_pid, parent_tid, shares_memory } => {
                let thread = pid == parent_pid;
                self.audit.explains_all(parent_tid);
                let memory = thread || shares_memory.unwrap_or(false);
                let shared = Shared { memory, thread };
                self.recorder.made(At::Past(time_ns), (parent_tid, tid), shared, &StackAt::Unknown);
            }
            PerfEvent::Exit { time_ns, tid, pid, last } => {
                self.finish_exec(pid, time_ns);
                self.audit.explains_all(tid);
                self.recorder.has_ended(At::Past(time_ns), tid, 0);
                if last {
                    // Those whose end was not reported: a first thread that ended earlier.
                    self.recorder.end_process(At::Past(time_ns), pid);
                }
            }
            PerfEvent::Comm { time_ns, pid, tid, name } => {
                self.recorder.renamed(At::Past(time_ns), pid, tid, name);
            }
            PerfEvent::Exec { time_ns, pid, former, name } => {
                self.exec(time_ns, pid, former, name);
            }
            PerfEvent::Mmap { time_ns, mmap } => self.map(time_ns, mmap),
            PerfEvent::Fault { time_ns, pid, tid, address, write, registers, stack, .. } => {
                // The kernel touches memory of a new program while it still maps it.
                let runs = |rows: &BTreeMap<u64, Shown>| {
                    registers.is_some_and(|registers| executable(rows, registers.ip))
                };
                match self.executing.get_mut(&pid) {
                    Some(executing) if !runs(&executing.rows) => {
                        executing.faults.push((time_ns, address, write));
                        return;
                    }
                    _ => self.finish_exec(pid, time_ns),
                }
                let stack = match (&stack, registers) {
                    (Stack::Copied(copy), Some(registers)) => {
                        StackAt::Copied(registers, &copy.bytes)
                    }
                    _ => StackAt::Unknown,
                };
                self.recorder.faulted(At::Past(time_ns), tid, (address, write), &stack);
            }
            PerfEvent::TreeWrite { time_ns, tid, start, last, stored, .. } => {
                let range = AddressRange::new(start, last.saturating_add(1));
                // The kernel's other trees have small keys.
                if !self.waits_for_exec && LOWEST <= start && last < HIGHEST {
                    self.audit.wrote(Unexplained { time_ns, tid, range, stored });
                }
            }
            PerfEvent::Lost { time_ns, which, count } => {
                // A lost stack is counted with its call.
                if which == Which::Calls {
                    self.recorder.lost(At::Past(time_ns), count);
                    self.checked_ns = 0;
                }
            }
        }
    }

    /// Reads the data that arguments point to, if it still exists.
    fn resolve(&mut self, tid: Tid, call: &mut Call) {
        let mut read =
            |address, to: &mut [u8]| self.recorder.read_memory(tid, address, to) == to.len();
        if let Some(left) = calls::resolve(call.kind, NATIVE, &mut call.args, &mut read) {
            left.take(&mut call.args, &mut call.result, read);
        }
    }

    fn call(&mut self, seen: &PerfCall) {
        if self.waits_for_exec {
            return;
        }
        self.finish_exec(seen.pid, seen.time_ns);
        let (at, tid) = (At::Past(seen.time_ns), seen.tid);
        if self.recorder.space_of(tid).is_none() {
            self.recorder.found_thread(at, seen.pid, tid);
        }
        let Some(space) = self.recorder.space_of(tid) else { return };
        let mut call = Call { kind: seen.kind, args: seen.args, result: seen.result.unwrap_or(0) };
        self.resolve(tid, &mut call);
        let mapped = self.mapped.remove(&tid).unwrap_or_default();
        let row = row_from_records(&mut call, &mapped);
        let stack = match &seen.stack {
            Stack::Copied(copy) => StackAt::Copied(seen.registers, &copy.bytes),
            Stack::NotAsked | Stack::Lost => StackAt::Unknown,
        };
        let what = Seen { tid, call, stack, in_order: true, row };
        let Some(applied) = self.recorder.called(at, what) else {
            self.audit.called(tid, &[]);
            return;
        };
        self.stacks_lost += u64::from(seen.stack == Stack::Lost);
        self.changed_ns.insert(space, seen.time_ns);
        if matches!(call.kind, CallKind::Mlockall | CallKind::Munlockall | CallKind::Prctl) {
            // The child explains all writes of the thread.
            self.audit.explains_all(tid);
        }
        self.audit.called(tid, &applied.touched);
    }

    /// Handles a process that begins to execute a program; its mappings follow.
    fn exec(&mut self, time_ns: u64, pid: u32, former: Tid, comm: Vec<u8>) {
        self.finish_exec(pid, time_ns);
        let tid = Tid::first_of(pid);
        self.audit.explains_all(tid);
        self.waits_for_exec = false;
        self.recorder.executes(At::Past(time_ns), tid, former, Some(comm));
        self.executing.insert(pid, Executing::default());
    }

    /// The first event after execve shows that all its mappings exist.
    fn finish_exec(&mut self, pid: u32, time_ns: u64) {
        let Some(Executing { rows: shown, faults }) = self.executing.remove(&pid) else { return };
        let tid = Tid::first_of(pid);
        self.audit.explains_all(tid);
        let Some(space) = self.recorder.space_of(tid) else { return };
        self.changed_ns.insert(space, time_ns);
        let mut rows = Maps::default();
        shown.values().for_each(|shown| rows.push(&shown.row()));
        self.recorder.has_executed(At::Past(time_ns), tid, Some(rows));
        self.pages_ns = (time_ns, FIRST_PAGES_NS);
        for (time_ns, address, write) in faults {
            self.recorder.faulted(At::Past(time_ns), tid, (address, write), &StackAt::Unknown);
        }
    }

    fn map(&mut self, time_ns: u64, mmap: Mmap) {
        if let Some(executing) = self.executing.get_mut(&mmap.pid) {
            // Before the program itself is mapped, the kernel changes its flags of the stack
            // (CONFIG_MEM_SOFT_DIRTY), and moves it without a record.
            let is_stack = executing.rows.is_empty() && mmap.name == b"//anon";
            if !is_stack {
                lay(&mut executing.rows, shown(&mmap));
            }
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

    /// Handles a stack that has grown, which no call reports.
    fn grow(&mut self, time_ns: u64, mmap: &Mmap) {
        if self.recorder.space_of(mmap.tid).is_none() {
            return;
        }
        let shown = shown(mmap);
        let row = shown.row();
        self.audit.grew(mmap.tid, row.range);
        self.recorder.grew(At::Past(time_ns), mmap.tid, &row);
    }

    /// Periodically compares rows with the model. `known_ns` is the time up to which all events
    /// have been handled.
    pub(super) fn check(&mut self, known_ns: u64) {
        let pending = std::mem::take(&mut self.pending);
        for look in pending {
            if look.ended_ns > known_ns {
                self.pending.push(look);
                continue;
            }
            let changed = self.changed_ns.get(&look.space).copied().unwrap_or(0);
            // The rows may or may not contain a concurrent change.
            if changed < look.began_ns && !look.rows.is_empty() {
                self.recorder.hold_against(look.tid, look.space, &look.rows);
            }
        }
        let now = clock_ns();
        let (last, every) = self.pages_ns;
        if now.saturating_sub(last) >= every && !self.waits_for_exec {
            self.pages_ns = (now, (2 * every).min(CHECK_EVERY_NS));
            self.recorder.look_at_all_pages();
        }
        if now.saturating_sub(self.checked_ns) < CHECK_EVERY_NS || !self.pending.is_empty() {
            return;
        }
        self.look();
    }

    /// Reads the rows of all address spaces.
    pub(super) fn look(&mut self) {
        self.checked_ns = clock_ns();
        for (tid, space) in self.recorder.spaces() {
            let began_ns = clock_ns();
            let Some(rows) = self.recorder.rows_now(space) else { continue };
            let ended_ns = clock_ns();
            self.pending.push(Pending { tid, space, began_ns, ended_ns, rows });
        }
    }
}

/// The row with the facts that the arguments of a call lack, from the kernel's records: the process
/// may be gone, or its memory changed. The new address of `[vdso]` becomes an argument.
fn row_from_records(call: &mut Call, mapped: &VecDeque<Mmap>) -> Option<Shown> {
    if call.maps_vdso() {
        let rows: Vec<Shown> = mapped.iter().map(shown).collect();
        let (start, shown) = vdso(rows.iter().map(Shown::row))?;
        call.args[1] = start;
        return Some(shown);
    }
    let at = row_address(call).filter(|_| call.kind == CallKind::Mmap)?;
    mapped.back().map(shown).filter(|shown| shown.row().range.contains(at))
}

/// The row in a record of the kernel.
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

/// Inserts a row, replacing the parts of others that it overlaps.
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
                let offset = if row.inode == 0 { 0 } else { row.offset_of(part.start) };
                rows.insert(part.start, Shown::of(&Mapping { range: part, offset, ..row }));
            }
        };
        keep(AddressRange::new(row.range.start, range.start.max(row.range.start)));
        keep(AddressRange::new(range.end.min(row.range.end), row.range.end));
    }
    rows.insert(range.start, new);
}
