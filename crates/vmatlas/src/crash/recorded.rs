//! Crashes of recorded programs.

use super::case::Case;
use super::{frames, place};
use crate::atlas::Atlas;
use crate::error::{Error, ErrorKind, Result};
use crate::note::Note;
use crate::recorded::{Recorded, RecordedIn};
use crate::source::recording::at;
use crate::stacks::{Stacks, requester_frames};
use crate::words::{seconds, short_function, size, thread};
use std::collections::HashMap;
use std::ops::ControlFlow;
use vmatlas_explain::coredump::{RETURN_OF_HANDLER, is_handler_return};
use vmatlas_explain::crash::{Access, Crash, CrashSource, FAULTS, Machine};
use vmatlas_explain::explain::{ChangeKind, Evidence, Fault, LastChange};
use vmatlas_explain::label::{Facts, Labels};
use vmatlas_linux::postmortem::Postmortem;
use vmatlas_linux::symbols::{SymbolFrame, SymbolOptions};
use vmatlas_maps::uapi::siginfo::SI_KERNEL;
use vmatlas_maps::uapi::signal::{SIGBUS, SIGSEGV};
use vmatlas_maps::{AddressRange, Mapping, Maps, Perms};
use vmatlas_object::Memory;
use vmatlas_recording::{
    Call, CallKind, Event, EventNumber, LifeKind, LifeStep, Moment, Selection, What,
};

/// The number of events before the end of a process among which its signal is searched.
const BEFORE_END: u64 = 100_000;

/// The crash of the requested process, or of the first one that crashed.
pub(super) fn case(atlas: Atlas) -> Result<Option<Case>> {
    let lacks = |name: &str, why: &str| Error::new(ErrorKind::Lacks, format!("{name}: {why}"));
    let symbols = atlas.symbols().clone();
    let (name, recorded) = atlas.take_recorded()?;
    let Recorded { recorded_in: RecordedIn::Recording { mut recording, .. }, pid, .. } = recorded
    else {
        let why = "a log of strace has no registers; record the program instead (vmatlas record)";
        return Err(lacks(&name, why));
    };
    let processes = recording.processes().to_vec();
    let died = |status: Option<i32>| status.is_some_and(|status| FAULTS.contains(&(status & 0x7f)));
    // Prefer the requested process over the first that crashed.
    let asked = processes.iter().find(|process| process.pid == pid && died(process.status));
    let Some(process) = asked.or_else(|| processes.iter().find(|process| died(process.status)))
    else {
        if !recording.meta().has_statuses() {
            let why = "perf events report no signals, so a recording by them has no crash; record \
                       the program by ptrace instead (vmatlas record --backend ptrace)";
            return Err(lacks(&name, why));
        }
        return Ok(None);
    };
    let (pid, status) = (process.pid, process.status.unwrap_or(0));
    let last = process.last.unwrap_or(EventNumber::MAX);
    let from = process.first.max(EventNumber::new(last.get().saturating_sub(BEFORE_END)));
    let tasks = &recording.definitions().tasks;
    let mut events: Vec<Event> = Vec::new();
    // Use the events of a damaged recording up to the damage.
    let _ = recording.events(from, |event| {
        let own = tasks.get(event.task.index()).is_some_and(|task| task.pid == pid);
        if own && matches!(event.what, What::Signal { .. } | What::Registers { .. }) {
            events.push(event.clone());
        }
        if event.number >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let before = events.first().map_or(last, |event| event.number).previous();
    let moment = Some(Moment::Event(before));
    let selection = Selection { path: name, pid: Some(pid), moment };
    let (recorded, maps, _) = at(*recording, &selection)?;
    let crash = crash_of(&recorded, &events, status & 0x7f);
    Ok(Some(explained(&maps, &recorded, crash, &events, before, &symbols)))
}

/// Builds the crash from the events.
fn crash_of(recorded: &Recorded, events: &[Event], signal: i32) -> Crash {
    let mut crash = Crash::default();
    crash.source = CrashSource::Recording;
    crash.pid = Some(recorded.pid);
    // A seccomp filter ends a program without a signal stop, so the exit status must supply the
    // signal.
    crash.signal = Some(signal);
    crash.machine = match &recorded.recorded_in {
        RecordedIn::Recording { recording, .. } => match &*recording.meta().machine {
            "x86_64" => Some(Machine::X86_64),
            "aarch64" => Some(Machine::AArch64),
            _ => None,
        },
        RecordedIn::Log { .. } => None,
    };
    for event in events {
        if let Some(task) = recorded.tasks().get(event.task.index()) {
            crash.tid = Some(task.tid.get());
            crash.comm = Some(task.comm.clone());
        }
        match &event.what {
            What::Signal { number, code, address } => {
                (crash.signal, crash.code) = (Some(*number), Some(*code));
                crash.address = (*code > 0 && *code != SI_KERNEL).then_some(*address);
            }
            What::Registers { values, code } => {
                let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
                crash.registers = values.iter().map(|(name, value)| (text(name), *value)).collect();
                let register = |names: [&str; 3]| {
                    let mut all = crash.registers.iter();
                    all.find(|(name, _)| names.contains(&&**name)).map(|(_, value)| *value)
                };
                (crash.ip, crash.sp) =
                    (register(["rip", "eip", "pc"]), register(["rsp", "esp", "sp"]));
                if crash.registers.iter().any(|(name, _)| name == "eip") {
                    crash.machine = Some(Machine::X86);
                }
                crash.code_bytes = crash.ip.map(|ip| (ip, code.clone()));
            }
            _ => {}
        }
    }
    crash
}

/// Empty memory: a recording holds none.
struct Nothing;

impl Memory for Nothing {
    fn read(&self, _: u64, _: &mut [u8]) -> usize {
        0
    }
}

fn explained(
    maps: &Maps,
    recorded: &Recorded,
    mut crash: Crash,
    events: &[Event],
    before: EventNumber,
    symbols: &SymbolOptions,
) -> Case {
    let mut build_ids: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut stack = Vec::new();
    let mut life: Vec<LifeStep> = Vec::new();
    let mut stacks = Stacks::default();
    crash.maps = maps.clone();
    if let Some(repeated) = repeated_fault(&crash) {
        crash = repeated;
    }
    let fault = Fault::of(&crash, None);
    if let RecordedIn::Recording { recording, task, .. } = &recorded.recorded_in {
        if let Some(address) = fault.address {
            (life, _) = recording.life(*task, address, before);
        }
        let of_life = life.iter().map(|step| (step.event.stack, step.event.task));
        let of_crash = events.iter().map(|event| (event.stack, event.task));
        stacks = Stacks::of_tasks(recording, of_life.chain(of_crash), symbols.clone());
        let definitions = recording.definitions();
        let files = definitions.files.iter().filter(|file| !file.build_id.is_empty());
        build_ids = files.map(|file| (file.name.clone(), file.build_id.clone())).collect();
        if let Some(event) = events.last() {
            stack = stacks.of_task(&definitions.tasks, event.stack, event.task).to_vec();
            // Without a name, code in anonymous memory may also be a copy of a program's text.
            let jit =
                |frame: &&mut SymbolFrame| frame.function.is_empty() && frame.module == "[jit]";
            let unnamed = stack.iter_mut().filter(jit);
            unnamed.for_each(|frame| frame.module = "[anonymous]".to_owned());
        }
    }
    let build_id = |row: &Mapping<'_>| build_ids.get(row.name).cloned();
    let dead = Postmortem::new(maps, &Nothing, &build_id);
    crash.frames = stack.iter().map(frames::of_crash).collect();
    name_handler_returns(&mut crash, maps, &dead);
    crash.leave_out_handler();
    let handler = stack.len() - crash.frames.len();
    stack.drain(..handler);
    let facts = Facts::default();
    let labels = Labels::read(maps, &facts, None);
    let place = fault.address.and_then(|address| {
        let row = maps.find(address).mapping?;
        let mapping = maps.get(row)?;
        Some(place::of_dead(&dead, row, &mapping, address, None))
    });
    let mut evidence = Evidence::new(&crash, &facts, &labels);
    evidence.maps = maps;
    evidence.change = last_change(recorded, &stacks, &life, fault.access);
    evidence.fault = fault;
    evidence.place = place.unwrap_or_default();
    let mut case = Case::of(&evidence, stack);
    case.notes.extend(stacks.doubts.into_iter().map(Note::Names));
    case.notes.extend(dead.io_error().map(Note::UnreadFile));
    case
}

/// Names the frames of the code to which signal handlers return: a C library without debug symbols
/// has no name for it.
fn name_handler_returns(crash: &mut Crash, maps: &Maps, memory: &dyn Memory) {
    if crash.machine != Some(Machine::X86_64) {
        return;
    }
    // The frame of a call has the address before the one to which it returns.
    let returns = |module: &str, offset: u64| {
        let mut rows = maps.iter().filter(|row| row.perms.execute());
        let code = rows.find(|row| {
            let into = offset.checked_sub(row.offset);
            row.name == module.as_bytes() && into.is_some_and(|into| into < row.range.size())
        });
        code.is_some_and(|row| {
            let at = row.range.start + (offset - row.offset);
            is_handler_return(memory, at) || is_handler_return(memory, at + 1)
        })
    };
    for frame in crash.frames.iter_mut().filter(|frame| frame.function.is_empty()) {
        if frame.offset.is_some_and(|offset| returns(&frame.module, offset)) {
            frame.function = RETURN_OF_HANDLER.to_owned();
        }
    }
}

/// The fault that a signal handler got before it sent the same signal again and returned: the
/// program is about to repeat an instruction that the map refuses.
fn repeated_fault(crash: &Crash) -> Option<Crash> {
    let sent = matches!(crash.signal, Some(SIGSEGV | SIGBUS)) && crash.code.is_some();
    if !sent || !crash.is_sent_by_itself() {
        return None;
    }
    let mut fault = crash.clone();
    (fault.code, fault.sender, fault.ended_by) = (None, None, crash.signal);
    Fault::of(&fault, None).address.map(|_| fault)
}

/// The last change that took away the permission for the access.
fn last_change(
    recorded: &Recorded,
    stacks: &Stacks,
    life: &[LifeStep],
    access: Option<Access>,
) -> Option<LastChange> {
    let permits = |perms: Perms| match access {
        Some(Access::Write) => perms.write(),
        Some(Access::Execute) => perms.execute(),
        _ => perms.read(),
    };
    let row = |step: &LifeStep| step.row;
    let now = life.last().and_then(row);
    if now.is_some_and(|(_, perms)| permits(perms)) {
        return None;
    }
    // The change to report is the step after the last one that permitted the access.
    let at = life.iter().rposition(|step| row(step).is_some_and(|(_, perms)| permits(perms)))?;
    let (was, perms) = row(life.get(at)?)?;
    let step = life.get(at + 1)?;
    let event = &step.event;
    let kind = match step.kind {
        LifeKind::MovedTo(to) => ChangeKind::Moved(to),
        LifeKind::Unmapped => ChangeKind::Unmapped,
        LifeKind::Replaced => ChangeKind::Replaced,
        LifeKind::Protected | LifeKind::Changed => ChangeKind::Protected(perms),
        _ => return None,
    };
    let What::Call { call, .. } = &event.what else { return None };
    let task = recorded.tasks().get(event.task.index()).filter(|_| !event.task.is_none());
    let frames = stacks.of_task(recorded.tasks(), event.stack, event.task);
    let names: Vec<String> = requester_frames(frames).iter().take(3).map(short_function).collect();
    let from = if names.is_empty() { String::new() } else { format!(" in {}", names.join(" < ")) };
    let by = format!(
        "{} (event {}, at {}) of thread {}{from}",
        call.kind.name(),
        event.number,
        seconds(event.time_ns),
        thread(task)
    );
    let page_size = recorded.space().memory.profile().page_size();
    let taken = taken_by(call, page_size).and_then(|taken| was.intersect(&taken)).unwrap_or(was);
    let was = format!("memory {perms} of {} ({taken})", size(taken.size()));
    let mut change = LastChange::new(kind, by, was);
    change.range = Some(taken);
    Some(change)
}

/// The addresses that a call unmapped, replaced or moved away: the kernel may have joined them with other
/// memory.
fn taken_by(call: &Call, page_size: u64) -> Option<AddressRange> {
    let up = |address: u64| address.checked_next_multiple_of(page_size).unwrap_or(u64::MAX);
    let [address, length, new_length, ..] = call.args;
    let end = up(address.saturating_add(length));
    Some(match call.kind {
        CallKind::Munmap => AddressRange::new(address, end),
        CallKind::Mmap => {
            let start = call.result as u64;
            AddressRange::new(start, up(start.saturating_add(length)))
        }
        CallKind::Mremap if call.result as u64 == address => {
            AddressRange::new(up(address.saturating_add(new_length)), end)
        }
        CallKind::Mremap => AddressRange::new(address, end),
        CallKind::Brk => AddressRange::new(up(address), u64::MAX),
        _ => return None,
    })
}
