//! Crashes of core dumps.

use super::case::Case;
use super::{frames, handlers, place};
use crate::note::Note;
use crate::source::core::Core;
use std::time::Duration;
use vmatlas_explain::coredump::{RETURN_OF_HANDLER, is_after_system_call, is_handler_return};
use vmatlas_explain::crash::{Crash, Machine};
use vmatlas_explain::explain::{Evidence, Fault, PlaceFacts};
use vmatlas_explain::label::{Facts, Labels};
use vmatlas_linux::elf;
use vmatlas_linux::postmortem::{Frame, Postmortem, Registers};
use vmatlas_linux::within;
use vmatlas_maps::uapi::auxvec::AT_ENTRY;
use vmatlas_maps::uapi::signal::{SIGABRT, SIGBUS, SIGSEGV};
use vmatlas_maps::{Mapping, Maps};
use vmatlas_object::Memory;

/// The most frames to unwind: enough to show a recursion.
const MAX_FRAMES: usize = 256;
/// The longest time to read the C library.
const LIMIT: Duration = Duration::from_secs(5);

/// The message with which the C library ended the program, such as the text of a failed assertion:
/// `__abort_msg`, a pointer to a size of four bytes and the text (stdlib/abort.c and
/// sysdeps/posix/libc_fatal.c of glibc 2.36).
fn abort_message(dead: &Postmortem<'_>, maps: &Maps, facts: &Facts) -> Option<String> {
    let library = facts.images.iter().find(|image| image.name.ends_with(b"/libc.so.6"))?;
    let start = library.segments.first()?.0.start;
    let file = dead.file(maps.find(start).mapping?)?;
    let symbols = within(LIMIT, move || {
        Some(elf::read_regular(file).ok()??.symbols_named(&["__abort_msg"], 0))
    })??;
    let (_, vaddr) = symbols.first()?;
    let memory: &dyn Memory = dead;
    let pointer = memory.array(library.bias.wrapping_add(*vaddr)).map(u64::from_le_bytes)?;
    let mut text = [0; 1024];
    let read = memory.read(pointer.checked_add(4).filter(|_| pointer != 0)?, &mut text);
    let text = text.get(..read)?.split(|byte| *byte == 0).next()?;
    let text = String::from_utf8_lossy(text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The stack of the thread, for x86-64 only.
fn unwound(crash: &Crash, dead: &Postmortem<'_>) -> Vec<Frame> {
    let (Some(Machine::X86_64), Some(ip), Some(sp)) = (crash.machine, crash.ip, crash.sp) else {
        return Vec::new();
    };
    let register = |name| crash.registers.iter().find(|(known, _)| known == name).map(|r| r.1);
    let fp = register("rbp").unwrap_or(0);
    dead.frames(&Registers { ip, sp, fp, compat: false }, MAX_FRAMES)
}

/// The crash before a signal handler that ran on a stack of its own, sent the same signal again and
/// returned: its frame is not found, but the thread is about to repeat the instruction.
fn fault_of_lost_frame(crash: &Crash, memory: &dyn Memory) -> Option<Crash> {
    let is_fault = matches!(crash.signal, Some(SIGSEGV | SIGBUS)) && crash.code.is_some();
    if !is_fault || !crash.is_sent_by_itself() || crash.ended_by.is_some() {
        return None;
    }
    if is_after_system_call(memory, crash.ip?) {
        return None;
    }
    let mut fault = crash.clone();
    (fault.code, fault.sender, fault.ended_by) = (None, None, crash.signal);
    Fault::of(&fault, Some(memory)).address.map(|_| fault)
}

/// The crash that a core dump was written for; `None` if it was taken of a running process.
pub(super) fn case(maps: &Maps, core: &Core) -> Option<Case> {
    let dump = &core.dump;
    let mut crash = dump.crash();
    crash.signal?;
    let build_id = |row: &Mapping<'_>| dump.image_of(row)?.build_id;
    let dead = Postmortem::new(maps, dump, &build_id);
    let frames = unwound(&crash, &dead);
    handlers::go_before(&mut crash, &dead, maps, &frames);
    if let Some(fault) = fault_of_lost_frame(&crash, &dead) {
        crash = fault;
    }
    let (mut stack, mut guessed_from, mut doubts) = (Vec::new(), None, Vec::new());
    let found = unwound(&crash, &dead);
    if !found.is_empty() {
        let entry = dump.auxv().get(AT_ENTRY).and_then(|entry| maps.find(entry).mapping);
        let program = entry.and_then(|row| maps.get(row)).map(|row| row.name);
        (stack, guessed_from) =
            frames::name(maps, program, &build_id, &found, core.written_ns, &mut doubts);
    }
    // A C library without debug symbols has no name for the code to which signal handlers return.
    for frame in stack.iter_mut().filter(|frame| frame.function.is_empty()) {
        let returns = |pc: u64| is_handler_return(&dead, pc) || is_handler_return(&dead, pc + 1);
        if frame.pc.is_some_and(|pc| pc < u64::MAX && returns(pc)) {
            frame.function = RETURN_OF_HANDLER.to_owned();
        }
    }
    let known = stack.iter().take(guessed_from.unwrap_or(usize::MAX));
    crash.frames = known.map(frames::of_crash).collect();
    let facts = dump.facts();
    if crash.signal == Some(SIGABRT) {
        crash.message = abort_message(&dead, maps, &facts);
    }
    let labels = Labels::read(maps, &facts, Some(dump));
    let memory: &dyn Memory = &dead;
    let fault = Fault::of(&crash, Some(memory));
    let place = || {
        let address = fault.address?;
        let row = maps.find(address).mapping?;
        let mapping = maps.get(row)?;
        let image = facts.images.iter().find(|image| {
            image.name == mapping.name
                && image.segments.iter().any(|(range, ..)| range.contains(address))
        });
        Some(place::of_dead(&dead, row, &mapping, address, image.map(|image| image.bias)))
    };
    let place = place().unwrap_or_else(PlaceFacts::default);
    let mut evidence = Evidence::new(&crash, &facts, &labels);
    evidence.maps = maps;
    evidence.fault = fault;
    evidence.place = place;
    evidence.memory = Some(memory);
    let mut case = Case::of(&evidence, stack);
    case.guessed_from = guessed_from;
    case.notes.extend(doubts);
    case.notes.extend(core.unread());
    case.notes.extend(dead.io_error().map(Note::UnreadFile));
    Some(case)
}
