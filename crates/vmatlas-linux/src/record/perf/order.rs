//! Merges the rings of all processors into one stream ordered by time.
//!
//! A record is written soon after its time was taken, so records older than a short time are
//! complete in all rings.

use super::event::{Call, PerfEvent, Stack, StackCopy};
use super::live::Live;
use super::parse::{Mmap, Who};
use super::rings::Which;
use super::stacks::Stacks;
use super::tasks::{Owner, Tasks};
use crate::record::arch::Sampled;
use std::collections::{HashMap, VecDeque};
use vmatlas_recording::{CallKind, Tid};

/// Maximum time in nanoseconds between the returns of a munmap(2) and of the mmap(2) that got its
/// addresses. Both release the address space before their time is taken.
const OVERTAKEN: u64 = 1_000_000;

/// A record, and the owner of its event.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) who: Who,
    pub(super) owner: Owner,
    pub(super) what: What,
}

/// The content of a record, with resolved event numbers.
#[derive(Debug)]
pub(super) enum What {
    Call {
        kind: CallKind,
        args: [u64; 6],
        result: Option<i64>,
        registers: Sampled,
    },
    /// A clone(2) begins; whether its child shares memory.
    Clone(Option<bool>),
    Fork {
        pid: u32,
        tid: Tid,
        parent_tid: Tid,
    },
    Exit {
        pid: u32,
        tid: Tid,
    },
    Comm {
        pid: u32,
        tid: Tid,
        exec: bool,
        name: Vec<u8>,
    },
    Mmap(Mmap),
    Fault {
        address: u64,
        write: bool,
        registers: Option<Sampled>,
        stack: Option<Vec<u8>>,
    },
    TreeWrite {
        start: u64,
        last: u64,
        stored: bool,
    },
    Lost {
        which: Which,
        count: u64,
    },
}

/// A new thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    pub(super) time: u64,
    pub(super) parent_tid: Tid,
    pub(super) pid: u32,
    pub(super) tid: Tid,
}

/// A pending record.
#[derive(Debug)]
struct Waiting {
    time: u64,
    /// For a call with a stack: the time of the thread's next return.
    next: u64,
    entry: Option<Entry>,
}

/// Counts of lost and unusual records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Calls passed on.
    pub(crate) calls: u64,
    /// Calls among them without the requested stack.
    pub(crate) stacks_lost: u64,
    /// Records that the ring of calls lost: none in practice so far.
    pub(crate) calls_lost: u64,
    /// Records that the ring of stacks lost: stacks and page faults. With
    /// [`Scope::Processors`](super::Scope) including those of other programs.
    pub(crate) stack_records_lost: u64,
    /// Records passed on after later ones.
    pub(crate) late: u64,
    /// Calls moved before an mmap(2) that reused the freed addresses.
    pub(crate) reordered: u64,
    /// Records that could not be read.
    pub(crate) unread: u64,
}

/// Turns records into ordered events.
#[derive(Debug)]
pub(super) struct Merger {
    /// Entries since the last [`Merger::sort`].
    incoming: Vec<Entry>,
    /// Pending entries, sorted by time; `None` if passed on out of turn.
    pending: VecDeque<Waiting>,
    pub(super) stacks: Stacks,
    live: Live,
    /// Time up to which all events were passed on.
    flushed: u64,
    /// Earlier events are not passed on.
    pub(super) started: u64,
    pub(super) counts: Counts,
}

impl Merger {
    pub(super) fn new(wants_stacks: bool) -> Merger {
        Merger {
            incoming: Vec::new(),
            pending: VecDeque::new(),
            stacks: Stacks::new(wants_stacks),
            live: Live::default(),
            flushed: 0,
            started: 0,
            counts: Counts::default(),
        }
    }

    /// Sets the mappings of an address space at a time.
    pub(super) fn seed(&mut self, space: u32, time: u64, ranges: Vec<(u64, u64)>) {
        self.live.seed(space, time, ranges);
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.incoming.push(entry);
    }

    /// The reported new threads that were not yet passed on.
    pub(super) fn forks(&self) -> impl Iterator<Item = Made> {
        self.incoming.iter().filter_map(|entry| match entry.what {
            What::Fork { pid, tid, parent_tid } => {
                Some(Made { time: entry.who.time, parent_tid, pid, tid })
            }
            _ => None,
        })
    }

    /// Passes on the events before `until`, a time before which all records have been read.
    pub(super) fn flush(&mut self, until: u64, tasks: &mut Tasks, give: &mut dyn FnMut(PerfEvent)) {
        self.sort();
        while self.pending.front().is_some_and(|waiting| waiting.time < until) {
            let Some(Waiting { entry, next, .. }) = self.pending.pop_front() else { break };
            let Some(entry) = entry else { continue };
            if entry.who.time < self.flushed {
                self.counts.late += 1;
            }
            if let Some(request) = overtaking(&entry, tasks) {
                while let Some((freeing, next)) = self.overtaken(&request, &entry, tasks) {
                    self.counts.reordered += 1;
                    self.give(freeing, next, tasks, give);
                }
            }
            self.give(entry, next, tasks, give);
        }
        self.flushed = self.flushed.max(until);
        self.stacks.forget_before(until);
    }

    /// The time up to which all events were passed on.
    pub(super) fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Passes on the end of a process that no record reported.
    pub(super) fn end(
        &mut self,
        pid: u32,
        time_ns: u64,
        tasks: &mut Tasks,
        give: &mut dyn FnMut(PerfEvent),
    ) {
        let threads: Vec<Tid> = tasks.iter().filter(|(of, _)| *of == pid).map(|of| of.1).collect();
        for tid in threads {
            let who = Who { pid, tid, time: time_ns, ..Who::default() };
            let Some(owner) = tasks.owner(tid) else { continue };
            self.give(Entry { who, owner, what: What::Exit { pid, tid } }, u64::MAX, tasks, give);
        }
    }

    /// Reports losses at the end. A ring reports a loss only when it has room again; later losses
    /// are known only from the events' counters.
    pub(super) fn lost_at_last(
        &mut self,
        which: Which,
        total: u64,
        time_ns: u64,
        give: &mut dyn FnMut(PerfEvent),
    ) {
        let reported = match which {
            Which::Calls => &mut self.counts.calls_lost,
            Which::Stacks => &mut self.counts.stack_records_lost,
        };
        let count = total.saturating_sub(*reported);
        if count > 0 {
            *reported = total;
            give(PerfEvent::Lost { time_ns, which, count });
        }
    }

    /// Sorts the incoming entries into the pending ones.
    fn sort(&mut self) {
        let came = self.incoming.drain(..).map(|entry| Waiting {
            time: entry.who.time,
            next: u64::MAX,
            entry: Some(entry),
        });
        self.pending.extend(came);
        self.pending.make_contiguous().sort_by_key(|waiting| waiting.time);
        if self.stacks.wanted() {
            self.find_next();
            self.stacks.sort();
        }
    }

    /// Notes for each call the time of the same thread's next return.
    fn find_next(&mut self) {
        let mut latest = HashMap::new();
        for waiting in self.pending.iter_mut().rev() {
            if let Some(Entry { who, what: What::Call { .. }, owner }) = &waiting.entry
                && let Some(time) = latest.insert((who.tid, *owner), who.time)
            {
                waiting.next = time;
            }
        }
    }

    /// Removes a call that freed the addresses of `entry` but seems to be later.
    fn overtaken(
        &mut self,
        request: &Request,
        entry: &Entry,
        tasks: &Tasks,
    ) -> Option<(Entry, u64)> {
        if !self.live.overlaps(request.space, entry.who.time, request.start, request.end) {
            return None;
        }
        let latest = entry.who.time.saturating_add(OVERTAKEN);
        let near = self.pending.iter_mut().take_while(|waiting| waiting.time <= latest);
        let frees = |other: &Entry| {
            other.who.tid != entry.who.tid
                && tasks.counts(&other.who, other.owner)
                && tasks.space(other.who.pid) == Some(request.space)
                && freed(other)
                    .is_some_and(|(start, end)| start < request.end && request.start < end)
        };
        for waiting in near {
            if waiting.entry.as_ref().is_some_and(frees) {
                return Some((waiting.entry.take()?, waiting.next));
            }
        }
        None
    }

    fn give(
        &mut self,
        entry: Entry,
        next: u64,
        tasks: &mut Tasks,
        give: &mut dyn FnMut(PerfEvent),
    ) {
        let Entry { who, owner, what } = entry;
        let time_ns = who.time;
        if let What::Lost { which, count } = what {
            let lost = |sum: &mut u64| *sum = sum.saturating_add(count);
            match which {
                Which::Calls => lost(&mut self.counts.calls_lost),
                Which::Stacks => lost(&mut self.counts.stack_records_lost),
            }
            give(PerfEvent::Lost { time_ns, which, count });
            return;
        }
        // A thread that executes a program has the id of the process from now on.
        let mut former = None;
        if let What::Comm { pid, exec: true, .. } = &what {
            let space = tasks.space(*pid);
            former = tasks.executed(*pid, owner);
            if former.is_none() {
                return;
            }
            self.forget(space, tasks);
        } else if !tasks.counts(&who, owner) {
            return;
        }
        let begun = time_ns >= self.started;
        let event = match what {
            What::Call { kind, args, result, registers } => {
                let stack = self.stacks.take(&who, owner, &registers, next);
                if let (Some(space), Some(result)) = (tasks.space(who.pid), result) {
                    self.live.apply(space, time_ns, kind, &args, result);
                }
                if !begun {
                    return;
                }
                self.counts.calls += 1;
                self.counts.stacks_lost += u64::from(stack == Stack::Lost);
                let registers = registers.for_unwinding();
                let Who { pid, tid, cpu, .. } = who;
                PerfEvent::Call(Call {
                    time_ns,
                    pid,
                    tid,
                    cpu,
                    kind,
                    args,
                    result,
                    registers,
                    stack,
                })
            }
            What::Clone(shares) => return tasks.cloning(who.tid, shares),
            What::Fork { pid, tid, parent_tid } => {
                let parent = tasks.space(who.pid);
                let Some(shares_memory) = tasks.forked(parent_tid, pid, tid) else { return };
                if let (Some(parent), Some(child)) = (parent, tasks.space(pid)) {
                    self.live.copy(parent, child);
                }
                let parent_pid = who.pid;
                PerfEvent::Fork { time_ns, pid, tid, parent_pid, parent_tid, shares_memory }
            }
            What::Exit { pid, tid } => {
                let space = tasks.space(pid);
                tasks.exited(tid);
                self.forget(space, tasks);
                PerfEvent::Exit { time_ns, pid, tid, last: tasks.space(pid).is_none() }
            }
            What::Comm { pid, tid, name, .. } => match former {
                Some(former) => PerfEvent::Exec { time_ns, pid, former, name },
                None => PerfEvent::Comm { time_ns, pid, tid, name },
            },
            What::Mmap(mmap) => PerfEvent::Mmap { time_ns, mmap },
            What::Fault { address, write, registers, stack } => {
                let (registers, sp) = registers
                    .map(|registers| registers.for_unwinding())
                    .map_or((None, 0), |registers| (Some(registers), registers.sp));
                let stack =
                    stack.map_or(Stack::NotAsked, |bytes| Stack::Copied(StackCopy { sp, bytes }));
                let Who { pid, tid, cpu, .. } = who;
                PerfEvent::Fault { time_ns, pid, tid, cpu, address, write, registers, stack }
            }
            What::TreeWrite { start, last, stored } => {
                let Who { pid, tid, .. } = who;
                PerfEvent::TreeWrite { time_ns, pid, tid, start, last, stored }
            }
            What::Lost { .. } => return,
        };
        if begun {
            give(event);
        }
    }

    fn forget(&mut self, space: Option<u32>, tasks: &Tasks) {
        if let Some(space) = space.filter(|space| !tasks.uses(*space)) {
            self.live.forget(space);
        }
    }
}

/// A range chosen by the kernel, so it was unmapped before.
struct Request {
    space: u32,
    start: u64,
    end: u64,
}

fn overtaking(entry: &Entry, tasks: &Tasks) -> Option<Request> {
    let What::Call { kind, args, result: Some(result), .. } = &entry.what else { return None };
    let (start, end) = super::live::chosen(*kind, args, *result)?;
    let space = tasks.counts(&entry.who, entry.owner).then(|| tasks.space(entry.who.pid))??;
    Some(Request { space, start, end })
}

fn freed(entry: &Entry) -> Option<(u64, u64)> {
    let What::Call { kind, args, result: Some(result), .. } = &entry.what else { return None };
    super::live::freed(*kind, args, *result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::arch::SAMPLED_COUNT;

    const OWNER: Owner = Owner::Processors;

    fn who(tid: u32, time: u64) -> Who {
        Who { id: 1, pid: 10, tid: Tid::new(tid), time, cpu: 0 }
    }

    fn registers(result: u64) -> Sampled {
        let mut registers = Sampled { abi: 2, values: [0; SAMPLED_COUNT] };
        registers.values[0] = result;
        registers
    }

    fn call(tid: u32, time: u64, kind: CallKind, args: [u64; 6], result: i64) -> Entry {
        let registers = registers(result.cast_unsigned());
        let what = What::Call { kind, args, result: Some(result), registers };
        Entry { who: who(tid, time), owner: OWNER, what }
    }

    fn tasks() -> Tasks {
        let mut tasks = Tasks::new(true);
        tasks.add(10, Tid::new(10), OWNER);
        tasks.add(10, Tid::new(11), OWNER);
        tasks
    }

    /// The reported calls: their times, and the first byte of their stacks.
    fn reported_calls(
        merger: &mut Merger,
        tasks: &mut Tasks,
        until: u64,
    ) -> Vec<(u64, Option<u8>)> {
        let mut calls = Vec::new();
        merger.flush(until, tasks, &mut |event| {
            if let PerfEvent::Call(Call { time_ns, stack, .. }) = event {
                let byte = match stack {
                    Stack::Copied(copy) => copy.bytes.first().copied(),
                    _ => None,
                };
                calls.push((time_ns, byte));
            }
        });
        calls
    }

    #[test]
    fn an_mmap_that_overtook_the_munmap_before_it() {
        let (mut merger, mut tasks) = (Merger::new(false), tasks());
        let mmap = |tid, time| call(tid, time, CallKind::Mmap, [0, 8192, 3, 0x22, 0, 0], 0x1000);
        let munmap = |tid, time| call(tid, time, CallKind::Munmap, [0x1000, 8192, 0, 0, 0, 0], 0);
        for entry in [munmap(10, 2_002), mmap(11, 2_001), mmap(10, 1_000), munmap(11, 9_000)] {
            merger.push(entry);
        }
        let order = reported_calls(&mut merger, &mut tasks, u64::MAX);
        assert_eq!(
            order.iter().map(|(time, _)| *time).collect::<Vec<_>>(),
            [1_000, 2_002, 2_001, 9_000]
        );
        assert_eq!(merger.counts.reordered, 1);
        // Nothing was mapped there, so no call was overtaken.
        for entry in [mmap(10, 10_000), munmap(11, 10_001)] {
            merger.push(entry);
        }
        assert_eq!(reported_calls(&mut merger, &mut tasks, u64::MAX).len(), 2);
        assert_eq!(merger.counts.reordered, 1);
    }

    #[test]
    fn stacks_come_to_their_calls() {
        let (mut merger, mut tasks) = (Merger::new(true), tasks());
        let madvise = |time| call(10, time, CallKind::Madvise, [0x1000, 4096, 4, 0, 0, 0], 0);
        let stack = |merger: &mut Merger, time, byte: u8| {
            merger.stacks.push(&who(10, time), OWNER, registers(0), vec![byte]);
        };
        // The same call repeatedly; the second and the fourth lost their stacks. The thread changed
        // processors, so the third stack is read first.
        for time in [100, 200, 300, 400, 500] {
            merger.push(madvise(time));
        }
        for (time, byte) in [(301, 3), (101, 1), (501, 5)] {
            stack(&mut merger, time, byte);
        }
        let first = reported_calls(&mut merger, &mut tasks, 400);
        assert_eq!(first, [(100, Some(1)), (200, None), (300, Some(3))]);
        assert_eq!(
            reported_calls(&mut merger, &mut tasks, u64::MAX),
            [(400, None), (500, Some(5))]
        );
        assert_eq!(merger.counts.stacks_lost, 2);
        // For kernels that copy the stack first.
        let (mut merger, mut tasks) = (Merger::new(true), super::tests::tasks());
        for (time, byte) in [(100, 1), (200, 2), (300, 3)] {
            merger.push(madvise(time + 5));
            stack(&mut merger, time, byte);
        }
        let all = [(105, Some(1)), (205, Some(2)), (305, Some(3))];
        assert_eq!(reported_calls(&mut merger, &mut tasks, u64::MAX), all);
    }
}
