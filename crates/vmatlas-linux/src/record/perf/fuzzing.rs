//! The way of records from the bytes of the rings to events, without a kernel.

use super::event::{PerfEvent, Stack};
use super::ids::{FaultFormat, TreeWriteFormat};
use super::intake::take_in;
use super::open::{Opened, Role, Source};
use super::order::Merger;
use super::parse::{SAMPLE_TYPE, split_record};
use super::rings::Which;
use super::tasks::{Owner, Tasks};
use super::tracepoints::{Purpose, TRACEPOINTS};
use crate::sys::perf_event::sample;
use std::sync::LazyLock;
use vmatlas_recording::Tid;

/// Pids and tids of the recorded program: 1 to this number.
const TASKS: u32 = 3;

/// The number of event ids that [`read_records`] knows: 1 to this number.
pub const IDS: u64 = 64;

/// The number of registers in a sample.
pub const REGISTERS: usize = crate::record::arch::SAMPLED_COUNT;

/// The optional fields in the samples of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The address of a fault.
    pub address: bool,
    /// The data of a tracepoint.
    pub raw: bool,
    /// Registers, after their ABI.
    pub registers: bool,
    /// A part of the stack.
    pub stack: bool,
}

/// The fields in the samples of the event with this id.
pub fn fields_of(id: u64) -> Option<Fields> {
    let layout = OPENED.sources.get(&id)?.layout;
    let has = |bit| layout & bit != 0;
    Some(Fields {
        address: has(sample::ADDR),
        raw: has(sample::RAW),
        registers: has(sample::REGS_USER),
        stack: has(sample::STACK_USER),
    })
}

static OPENED: LazyLock<Opened> = LazyLock::new(opened);

/// Counts of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Records split off.
    pub records: usize,
    /// Records that could not be read.
    pub unread: usize,
    /// Events passed on.
    pub events: usize,
    /// Bytes of stacks and names in them.
    pub bytes: usize,
}

/// Reads records as from the rings, the first part as from that of calls, and merges them in two
/// steps. Checks that the events of a step come in the order of their times, but for calls that were
/// moved.
pub fn read_records(bytes: &[u8], cut: usize, until: u64, stacks: bool) -> Outcome {
    let mut merger = Merger::new(stacks);
    let mut tasks = Tasks::new(true);
    for tid in 1..=TASKS {
        tasks.add(1, Tid::new(tid), Owner::Processors);
    }
    merger.seed(1, 0, vec![(0x1000, 0x9000), (0x10_0000, 0x20_0000)]);
    let mut outcome = Outcome::default();
    let (calls, rest) = bytes.split_at(cut.min(bytes.len()));
    for (mut part, which) in [(calls, Which::Calls), (rest, Which::Stacks)] {
        while let Some((record, next)) = split_record(part) {
            take_in(record, which, &OPENED, &mut merger);
            (part, outcome.records) = (next, outcome.records + 1);
        }
    }
    let forks = merger.forks().count();
    assert!(forks <= outcome.records);
    let mut last = 0;
    for until in [until, u64::MAX] {
        let mut times = Vec::new();
        merger.flush(until, &mut tasks, &mut |event| {
            times.push(time_of(&event));
            outcome.bytes += size_of_parts(&event);
            outcome.events += 1;
        });
        assert!(
            until == u64::MAX || times.iter().all(|time| *time < until.saturating_add(OVERTAKEN))
        );
        if merger.counts.reordered == 0 {
            assert!(times.is_sorted());
            assert!(times.first().is_none_or(|time| last <= *time));
        }
        last = until;
    }
    outcome.unread = merger.counts.unread as usize;
    assert!(tasks.len() <= TASKS as usize + outcome.records);
    assert!(merger.counts.calls <= outcome.records as u64);
    assert!(merger.counts.stacks_lost <= merger.counts.calls);
    outcome
}

/// Reads the texts that this module parses.
pub(crate) fn read_texts(text: &str) {
    super::ids::tree_write_format(text);
    super::ids::fault_format(text);
    let processors = super::rings::list(text);
    assert!(processors.len() <= text.len() << 16, "processors are bounded");
}

/// A call can be moved this much, see `order.rs`.
const OVERTAKEN: u64 = 1_000_000;

/// Events of every role: the tracepoints, page faults, tree writes and tasks.
fn opened() -> Opened {
    let mut opened = Opened::default();
    let format = TreeWriteFormat { id: 0, index: 8, last: 16, value: 24 };
    let fault = FaultFormat { id: 0, address: 8, error_code: 24 };
    let registers = SAMPLE_TYPE | sample::REGS_USER;
    // One tracepoint for each purpose, then others.
    let first = |purpose| TRACEPOINTS.iter().find(move |point| point.purpose == purpose);
    use Purpose::{Clone, Clone3, Fork, Ioctl, Vfork};
    let rare = [Clone, Clone3, Fork, Ioctl, Vfork].into_iter().filter_map(first);
    let points = rare.chain(TRACEPOINTS.iter().filter(|point| point.purpose == Purpose::Call));
    let mut roles = vec![
        (Role::Tasks, SAMPLE_TYPE),
        (Role::Fault(None), registers | sample::ADDR | sample::STACK_USER),
        (Role::Fault(Some(fault)), registers | sample::RAW | sample::STACK_USER),
        (Role::TreeWrite(format), SAMPLE_TYPE | sample::RAW),
    ];
    roles.extend(points.map(|point| {
        let stack = if point.purpose == Clone3 { sample::STACK_USER } else { 0 };
        (Role::Call(*point), registers | stack)
    }));
    for (id, (role, layout)) in (1..=IDS / 2).zip(roles) {
        // Each once in the ring of calls, and once in that of stacks.
        let source = Source { role, owner: Owner::Processors, ring: Which::Calls, layout };
        opened.sources.insert(id, source);
        let layout =
            if matches!(role, Role::Call(_)) { layout | sample::STACK_USER } else { layout };
        opened.sources.insert(id + IDS / 2, Source { ring: Which::Stacks, layout, ..source });
    }
    opened
}

fn time_of(event: &PerfEvent) -> u64 {
    match event {
        PerfEvent::Call(call) => call.time_ns,
        PerfEvent::Fork { time_ns, .. }
        | PerfEvent::Exit { time_ns, .. }
        | PerfEvent::Comm { time_ns, .. }
        | PerfEvent::Exec { time_ns, .. }
        | PerfEvent::Mmap { time_ns, .. }
        | PerfEvent::Fault { time_ns, .. }
        | PerfEvent::TreeWrite { time_ns, .. }
        | PerfEvent::Lost { time_ns, .. } => *time_ns,
    }
}

fn size_of_parts(event: &PerfEvent) -> usize {
    match event {
        PerfEvent::Call(call) => size_of_stack(&call.stack),
        PerfEvent::Fault { stack, .. } => size_of_stack(stack),
        PerfEvent::Comm { name, .. } | PerfEvent::Exec { name, .. } => name.len(),
        PerfEvent::Mmap { mmap, .. } => mmap.name.len(),
        _ => 0,
    }
}

fn size_of_stack(stack: &Stack) -> usize {
    match stack {
        Stack::Copied(copy) => {
            // Reads of its ends, as by the unwinder.
            assert_eq!(copy.word(copy.sp).is_some(), copy.bytes.len() >= 8);
            let _ = copy.word(u64::MAX);
            copy.bytes.len()
        }
        Stack::NotAsked | Stack::Lost => 0,
    }
}
