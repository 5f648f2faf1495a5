//! The events to open for a thread or a processor.

use super::Config;
use super::error::Error;
use super::ids::{FaultFormat, Ids, TreeWriteFormat};
use super::parse::SAMPLE_TYPE;
use super::rings::Which;
use super::tasks::Owner;
use super::tracepoints::{Purpose, Tracepoint};
use crate::record::arch::SAMPLED;
use crate::sys::perf_event::{self, Attr, Event, Where, flag, sample};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::Arc;

/// The purpose of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// A system call.
    Call(Tracepoint),
    /// A page fault; with the format of its tracepoint if it is one.
    Fault(Option<FaultFormat>),
    TreeWrite(TreeWriteFormat),
    /// Processes and new mappings.
    Tasks,
}

/// An event to open for each thread on each processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    role: Role,
    attr: Attr,
    ring: Which,
}

/// The format of an open event's records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) role: Role,
    pub(super) owner: Owner,
    pub(super) ring: Which,
    /// Its `sample_type`.
    pub(super) layout: u64,
}

/// The rings of a processor.
pub(super) struct Output {
    pub(super) cpu: u32,
    pub(super) calls: Arc<Event>,
    pub(super) stacks: Option<Arc<Event>>,
}

/// The open events.
#[derive(Default)]
pub(super) struct Opened {
    events: Vec<(Which, Event)>,
    pub(super) sources: HashMap<u64, Source>,
}

/// Bytes of stack copied at the start of clone3(2): its arguments are in the frame of the C library
/// function that calls it.
const CLONE3_STACK: u32 = 1024;

/// The events that record a thread or a processor. The last event reports new threads, so that a
/// thread reported after it was opened has inherited all events.
pub(super) fn specs(config: &Config, ids: &Ids, inherit: bool) -> Vec<Spec> {
    let common = flag::EXCLUDE_HV | flag::WATERMARK | flag::USE_CLOCKID | flag::SAMPLE_ID_ALL;
    let common = common | if inherit { flag::INHERIT } else { 0 };
    let threads_only = if inherit && !config.children { flag::INHERIT_THREAD } else { 0 };
    let base = Attr {
        sample_period: 1,
        sample_type: SAMPLE_TYPE,
        clockid: perf_event::CLOCK,
        read_format: perf_event::FORMAT_LOST,
        wakeup: u32::MAX, // only the ring's own counts
        flags: common | threads_only | flag::EXCLUDE_KERNEL,
        ..Attr::default()
    };
    let with_registers =
        Attr { sample_type: SAMPLE_TYPE | sample::REGS_USER, sample_regs_user: SAMPLED, ..base };
    let with_stack = |size: u32| Attr {
        sample_type: with_registers.sample_type | sample::STACK_USER,
        sample_stack_user: size,
        ..with_registers
    };
    let size = config.stack_size();
    let mut specs = Vec::new();
    for (point, config) in &ids.ids {
        let spec = |attr: Attr, ring| {
            let attr = Attr { kind: perf_event::TYPE_TRACEPOINT, config: *config, ..attr };
            Spec { role: Role::Call(*point), attr, ring }
        };
        // The kernel runs the event opened last first. So the time of a call is taken before its
        // stack is copied.
        if size > 0 && matches!(point.purpose, Purpose::Call | Purpose::Ioctl) {
            specs.push(spec(with_stack(size), Which::Stacks));
        }
        let clone3 = point.purpose == Purpose::Clone3;
        let attr = if clone3 { with_stack(CLONE3_STACK) } else { with_registers };
        specs.push(spec(attr, Which::Calls));
    }
    if let Some(faults) = config.faults {
        let attr = if faults.stacks && size > 0 { with_stack(size) } else { with_registers };
        let attr = Attr {
            sample_period: faults.period.max(1),
            // Includes faults by the kernel on the program's memory, if permitted.
            flags: attr.flags & !flag::EXCLUDE_KERNEL,
            ..attr
        };
        let mut spec = |format, kind, config, more| {
            let attr = Attr { kind, config, sample_type: attr.sample_type | more, ..attr };
            specs.push(Spec { role: Role::Fault(format), attr, ring: Which::Stacks });
        };
        match ids.faults {
            // Only the tracepoints report whether it was a write.
            Some(formats) => formats.into_iter().for_each(|format| {
                spec(Some(format), perf_event::TYPE_TRACEPOINT, format.id, sample::RAW);
            }),
            None => spec(None, perf_event::TYPE_SOFTWARE, perf_event::SW_PAGE_FAULTS, sample::ADDR),
        }
    }
    if let Some(format) = ids.tree_write {
        let attr = Attr {
            kind: perf_event::TYPE_TRACEPOINT,
            config: format.id,
            sample_type: SAMPLE_TYPE | sample::RAW,
            flags: base.flags & !flag::EXCLUDE_KERNEL,
            ..base
        };
        specs.push(Spec { role: Role::TreeWrite(format), attr, ring: Which::Calls });
    }
    let task_records = flag::TASK
        | flag::COMM
        | flag::COMM_EXEC
        | flag::MMAP
        | flag::MMAP2
        | flag::MMAP_DATA
        | if config.build_ids { flag::BUILD_ID } else { 0 };
    let attr = Attr {
        kind: perf_event::TYPE_SOFTWARE,
        config: perf_event::SW_DUMMY,
        flags: base.flags | task_records,
        ..base
    };
    specs.push(Spec { role: Role::Tasks, attr, ring: Which::Calls });
    specs
}

/// Adapts `specs` to this kernel and these privileges. Returns the features left out, and an event
/// of each tracepoint that was tried. They are to stay open until the program's are: closing the
/// last event of a tracepoint takes the kernel some 40 ms.
pub(super) fn adapt(specs: &mut Vec<Spec>) -> Result<(Vec<&'static str>, Vec<Event>), Error> {
    let mut without = Vec::new();
    let mut kept: Vec<Spec> = Vec::new();
    let mut tried = Vec::new();
    let is_refused = |spec: &Spec| {
        let opened =
            matches!(spec.role, Role::Fault(Some(_))).then(|| Event::open(&spec.attr, Where::Own));
        matches!(opened, Some(Err(Errno::ACCESS | Errno::PERM)))
    };
    if specs.iter().any(is_refused) {
        use_software_faults(specs);
    }
    for spec in std::mem::take(specs) {
        // Tried on the calling thread, so that the target's permissions do not matter.
        let opens = |attr: &Attr| Event::open(attr, Where::Own);
        let less =
            |attr: Attr, remove: u64, add: u64| Attr { flags: attr.flags & !remove | add, ..attr };
        let mut attr = spec.attr;
        let mut answer = opens(&attr);
        if matches!(answer, Err(Errno::INVAL)) {
            attr = Attr { read_format: 0, ..attr };
            answer = opens(&attr);
        }
        if matches!(answer, Err(Errno::INVAL)) && attr.flags & flag::INHERIT_THREAD != 0 {
            // Since Linux 5.13. Children are recorded then, but not reported.
            attr = less(attr, flag::INHERIT_THREAD, 0);
            answer = opens(&attr);
        }
        if matches!(answer, Err(Errno::INVAL)) && attr.flags & flag::BUILD_ID != 0 {
            attr = less(attr, flag::BUILD_ID, 0);
            without.push("build ids of mappings: needs Linux 5.12");
            answer = opens(&attr);
        }
        if matches!(answer, Err(Errno::ACCESS | Errno::PERM))
            && matches!(spec.role, Role::Fault(None))
        {
            attr = less(attr, 0, flag::EXCLUDE_KERNEL);
            without.push("page faults of the kernel on the program's memory: need CAP_PERFMON");
            answer = opens(&attr);
        }
        match answer {
            Ok(event) => {
                let known =
                    |kept: &Spec| (kept.attr.kind, kept.attr.config) == (attr.kind, attr.config);
                if !kept.iter().any(known) {
                    tried.push(event);
                }
                kept.push(Spec { attr, ..spec });
            }
            Err(errno) => match spec.role {
                Role::TreeWrite(_) => without.push("writes to maple trees: need CAP_PERFMON"),
                Role::Call(_) | Role::Fault(_) => {
                    without.push("an event that cannot be opened");
                }
                Role::Tasks => return Err(Error::Other { what: "perf event of tasks", errno }),
            },
        }
    }
    *specs = kept;
    Ok((without, tried))
}

/// Replaces the tracepoints of page faults by the software event, for which a user needs no more
/// permission than for system calls.
fn use_software_faults(specs: &mut Vec<Spec>) {
    let mut software = None;
    specs.retain(|spec| {
        let is_point = matches!(spec.role, Role::Fault(Some(_)));
        if is_point {
            software = Some(spec.attr);
        }
        !is_point
    });
    let spec = software.map(|attr| {
        let attr = Attr {
            kind: perf_event::TYPE_SOFTWARE,
            config: perf_event::SW_PAGE_FAULTS,
            sample_type: attr.sample_type & !sample::RAW | sample::ADDR,
            ..attr
        };
        Spec { role: Role::Fault(None), attr, ring: Which::Stacks }
    });
    // The last event stays the last.
    let last = specs.len().saturating_sub(1);
    specs.splice(last..last, spec);
}

impl Opened {
    /// The number of open events.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The number of records that their rings lost; 0 before Linux 6.0, which does not count them.
    pub(super) fn lost(&self, ring: Which) -> u64 {
        let events = self.events.iter().filter(|(which, _)| *which == ring);
        events.filter_map(|(_, event)| event.lost().ok()).sum()
    }

    /// Opens the events of a thread, or of all processors. If one fails, the events already opened
    /// are closed.
    pub(super) fn open(
        &mut self,
        specs: &[Spec],
        outputs: &[Output],
        owner: Owner,
    ) -> Result<(), Errno> {
        let count = self.events.len();
        let opened = specs.iter().try_for_each(|spec| {
            outputs.iter().try_for_each(|output| self.open_one(spec, output, owner))
        });
        if opened.is_err() {
            for (_, event) in self.events.drain(count..) {
                if let Ok(id) = event.id() {
                    self.sources.remove(&id);
                }
            }
        }
        opened
    }

    fn open_one(&mut self, spec: &Spec, output: &Output, owner: Owner) -> Result<(), Errno> {
        let target = match owner {
            Owner::Thread(tid) => Where::Thread(tid, output.cpu),
            Owner::Processors => Where::Processor(output.cpu),
        };
        let holder = match spec.ring {
            Which::Calls => &output.calls,
            Which::Stacks => match &output.stacks {
                Some(holder) => holder,
                None => return Ok(()),
            },
        };
        let event = Event::open(&spec.attr, target)?;
        if let Role::Call(point) = spec.role
            && let Some(filter) = point.filter()
        {
            event.filter(&filter)?;
        }
        let source =
            Source { role: spec.role, owner, ring: spec.ring, layout: spec.attr.sample_type };
        self.sources.insert(event.id()?, source);
        event.write_to(holder)?;
        self.events.push((spec.ring, event));
        Ok(())
    }
}
