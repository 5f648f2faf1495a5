//! The text of an explanation: the paragraph and the facts.

use super::signal_words::{code_name, signal_name};
use super::{Conclusion, Evidence, Fault, access, name, null, pointer, report, signals};
use crate::coredump::RETURN_OF_HANDLER;
use crate::coredump::signal_numbers::are_usual;
use crate::crash::{Access, CrashSource, SymbolFrame};
use crate::tagged::{Tagged, UpperBits};
use std::fmt::Write as _;
use vmatlas_maps::Kind;
use vmatlas_maps::Mapping;
pub(super) use vmatlas_maps::size::long as size;
use vmatlas_maps::uapi::siginfo::SEGV_MAPERR;
use vmatlas_maps::uapi::signal::{SIGABRT, SIGSEGV, SIGSYS};

/// A count of bytes.
pub(super) fn bytes(count: u64) -> String {
    match count {
        1 => "1 byte".to_owned(),
        count if count < 4096 => format!("{count} bytes"),
        count => format!("{count:#x} bytes ({})", size(count)),
    }
}

/// The conclusion as a paragraph.
pub(super) fn paragraph(evidence: &Evidence<'_>, conclusion: &Conclusion) -> String {
    let quote = report::quote(evidence, conclusion.cause);
    let mut text = String::new();
    if let Some(tagged) = evidence.fault.tagged.filter(is_conditional) {
        let Tagged { pointer, address, .. } = tagged;
        let _ = write!(
            text,
            "If {pointer:#x} is a pointer of AArch64, its top byte is a tag, and its address is \
             {address:#x}. "
        );
    }
    text.push_str(&head(evidence, quote.as_deref()));
    if let Some(there) = there(evidence) {
        let _ = write!(text, " {there}");
    }
    let _ = write!(text, " {}", conclusion.sentence);
    if let Some(signal) = evidence.crash.ended_by.filter(|_| evidence.crash.signal.is_some()) {
        let signal = signal_words(signal);
        let _ = write!(text, " A signal handler ran then, and ended the program by {signal}.");
    }
    if let Some(signal) = evidence.crash.in_handler_of {
        let _ = write!(text, " It happened in a handler of {}.", signal_words(signal));
    }
    if let Some(signal) = evidence.crash.perhaps_in_handler_of {
        let _ = write!(
            text,
            " Perhaps it happened in a handler of {}: the frame of one is on the stack, but it may \
             be left from a handler that has ended.",
            signal_words(signal)
        );
    }
    text.trim_start().to_owned()
}

/// Whether the address is that of the pointer only on a machine that may be another.
pub(super) fn is_conditional(tagged: &Tagged) -> bool {
    tagged.are_ignored() && !tagged.is_certain
}

/// Largest distance in bytes at which a mapping relates to an address.
const FAR: u64 = 64 << 20;

/// The sentence with the program, the signal and the access.
fn head(evidence: &Evidence<'_>, quote: Option<&str>) -> String {
    let crash = evidence.crash;
    let mut text = String::new();
    let Some(signal) = crash.signal else {
        let Some(quote) = quote else { return text };
        let is_known = crash.pid.is_some() || crash.tid.is_some() || crash.comm.is_some();
        let who = if is_known { who(evidence) } else { "The report".to_owned() };
        let first = || crash.frames.first().and_then(frame_words);
        let place = match (caller_of_reporter(evidence), first()) {
            (Some(caller), _) => format!(", reached from {caller}"),
            (None, Some(place)) => format!(", in {place}"),
            (None, None) => String::new(),
        };
        let verb = if is_known { "reported" } else { "says" };
        return format!("{who} {verb} \"{quote}\"{place}.");
    };
    let how = if is_ended_by_signal(evidence) { "was ended by" } else { "got" };
    let _ = write!(text, "{} {how} {}", who(evidence), signal_words(signal));
    if let Some(address) = evidence.fault.address.filter(|_| is_doubtful(evidence)) {
        let _ = write!(text, " with the address {address:#x}");
    } else if let Some(attempt) = attempt(evidence) {
        let _ = write!(text, " when it tried to {attempt}");
    }
    let mut frames = crash.frames.iter();
    let (first, second) = (frames.next(), frames.next());
    if let Some(place) = first.and_then(frame_words) {
        let _ = write!(text, " in {place}");
        if let Some(caller) = caller_of_reporter(evidence) {
            let _ = write!(text, ", reached from {caller}");
        }
    } else if let Some((module, range)) = crash.ip_mapping.as_ref().filter(|_| second.is_none()) {
        let _ = write!(text, ", in code of {} ({range})", name(module));
    } else {
        // Frames without a name may lie before further callers.
        let place = |frame: &SymbolFrame| frame_words(frame).or_else(|| module_words(frame));
        if let Some(place) = first.and_then(place) {
            let _ = write!(text, " in {place}");
        }
        if second.is_some_and(|frame| frame.function == RETURN_OF_HANDLER) {
            text.push_str(", in a signal handler");
        } else if let Some(place) = second.and_then(place) {
            let _ = write!(text, ", called from {place}");
        }
    }
    if let Some(quote) = quote {
        let _ = write!(text, ", and reported \"{quote}\"");
    }
    text.push('.');
    text
}

/// Whether the signal itself ended the program, as far as the source shows: not where a handler or a
/// runtime ends the program in its own way after it has got the signal, nor where a debugger
/// stopped the program.
fn is_ended_by_signal(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    let by_runtime = match crash.source {
        CrashSource::Sanitizer | CrashSource::Go | CrashSource::HsErr => true,
        CrashSource::Runtime => crash.signal != Some(SIGABRT),
        _ => false,
    };
    crash.ended_by.is_none() && crash.has_ended.unwrap_or(!by_runtime)
}

/// The innermost function of the program, if functions that end a program or check it lie before it
/// on the stack.
fn caller_of_reporter(evidence: &Evidence<'_>) -> Option<String> {
    let frames = &evidence.crash.frames;
    let own = frames.iter().position(|frame| !signals::is_reporter(&frame.function))?;
    (own > 0).then(|| frames.get(own).and_then(frame_words))?
}

fn who(evidence: &Evidence<'_>) -> String {
    let crash = evidence.crash;
    let comm = crash.comm.as_deref().map(|comm| name(comm).into_owned());
    let comm = comm.filter(|comm| !comm.is_empty());
    match (comm, crash.pid, crash.tid) {
        (Some(comm), Some(pid), Some(tid)) if pid != tid => {
            format!("Thread {tid} ({comm}) of process {pid}")
        }
        (Some(comm), Some(id), _) | (Some(comm), None, Some(id)) => format!("{comm} ({id})"),
        (Some(comm), None, None) => comm,
        (None, Some(pid), Some(tid)) if pid != tid => format!("Thread {tid} of process {pid}"),
        (None, Some(pid), _) => format!("Process {pid}"),
        (None, None, Some(tid)) => format!("Thread {tid}"),
        (None, None, None) => "The program".to_owned(),
    }
}

fn signal_words(signal: i32) -> String {
    signal_name(signal).map_or_else(|| format!("signal {signal}"), ToOwned::to_owned)
}

/// Whether the address of the source may be that of no access.
fn is_doubtful(evidence: &Evidence<'_>) -> bool {
    let Some(address) = evidence.fault.address else { return false };
    null::may_lack_address(evidence.crash, &evidence.fault)
        || pointer::sender(evidence, address).is_some()
        || pointer::may_be_root(evidence, address)
}

/// The attempted access, such as `write 4 bytes at 0x10`.
fn attempt(evidence: &Evidence<'_>) -> Option<String> {
    let fault = &evidence.fault;
    let address = fault.address?;
    let verb = match fault.access {
        Some(Access::Read) => "read",
        Some(Access::Write) => "write",
        Some(Access::Execute) => {
            return Some(format!("execute code at {address:#x}{}", tag_words(fault)));
        }
        None => return Some(format!("access {address:#x}{}", tag_words(fault))),
    };
    let operand = fault.operand.as_ref();
    let size = operand.map(|operand| operand.size).filter(|size| *size > 0);
    let size = size.map(|size| format!(" {}", bytes(size))).unwrap_or_default();
    let atomic = operand.is_some_and(|operand| operand.atomic);
    let atomic = if atomic { ", atomically" } else { "" };
    // The kernel reports the part of the access that failed.
    let start = operand.and_then(|operand| operand.address.filter(|_| operand.covers(address)));
    if let Some(start) = start.filter(|start| *start < address) {
        return Some(format!(
            "{verb}{size} at {start:#x}{atomic} (the fault is at {address:#x}){}",
            tag_words(fault)
        ));
    }
    Some(format!("{verb}{size} at {address:#x}{atomic}{}", tag_words(fault)))
}

/// The meaning of the upper bits of the pointer, in parentheses.
fn tag_words(fault: &Fault) -> String {
    let words = |tagged: Tagged| format!(" ({})", upper_bits(&tagged));
    fault.tagged.filter(Tagged::are_ignored).map(words).unwrap_or_default()
}

/// The meaning of the upper bits of a pointer.
fn upper_bits(tagged: &Tagged) -> String {
    let Tagged { pointer, bits, is_certain, .. } = tagged;
    match bits {
        UpperBits::TopByte(tag) if *is_certain => {
            format!("the top byte of the pointer is the tag {tag:#x}")
        }
        UpperBits::TopByte(tag) => {
            format!("with the tag {tag:#x} in the top byte if {pointer:#x} is a pointer of AArch64")
        }
        UpperBits::Masked => format!("the processor ignores the upper bits of {pointer:#x}"),
        UpperBits::Signature => {
            format!("{:#x} without upper bits, which may be a signature", tagged.address)
        }
    }
}

fn frame_words(frame: &SymbolFrame) -> Option<String> {
    let source = frame.source.as_ref().map(|source| format!(" ({source})")).unwrap_or_default();
    (!frame.function.is_empty()).then(|| format!("{}{source}", frame.function))
}

/// The place of a function without a name: `app+0x1234`.
fn module_words(frame: &SymbolFrame) -> Option<String> {
    let file = frame.module.rsplit('/').next().filter(|file| !file.is_empty())?;
    let offset = frame.offset.filter(|offset| Some(*offset) != frame.pc)?;
    Some(format!("{file}+{offset:#x}"))
}

/// The mapping at the address, as a sentence.
fn there(evidence: &Evidence<'_>) -> Option<String> {
    let address = evidence.fault.address?;
    if evidence.maps.is_empty() {
        return None;
    }
    let place = evidence.maps.find(address);
    let row = |at: Option<usize>| at.and_then(|at| evidence.maps.get(at));
    if let Some(row) = row(place.mapping) {
        let into = address.wrapping_sub(row.range.start);
        let into =
            if into == 0 { "at the start of".to_owned() } else { format!("{} into", bytes(into)) };
        return Some(format!(
            "{address:#x} lies {into} {} ({}).",
            lower_thing(evidence, &row, address),
            row.perms
        ));
    }
    let below = row(place.before).and_then(|row| {
        let distance = address.saturating_sub(row.range.end);
        let from = if distance == 0 {
            "just behind".to_owned()
        } else {
            format!("{} above", bytes(distance))
        };
        let last = row.range.end.saturating_sub(1);
        (distance < FAR).then(|| format!("{from} the end of {}", lower_thing(evidence, &row, last)))
    });
    let above = row(place.after).and_then(|row| {
        let distance = row.range.start.saturating_sub(address);
        let near = distance < FAR && row.kind() != Kind::Vsyscall;
        near.then(|| {
            let first = row.range.start;
            format!("{} below the start of {}", bytes(distance), lower_thing(evidence, &row, first))
        })
    });
    let places: Vec<String> = below.into_iter().chain(above).collect();
    let near = match (places.as_slice(), why_unknown(evidence, address)) {
        ([], None) => ", nor near it".to_owned(),
        ([], Some(why)) if !is_not_mapped(evidence) => return Some(why),
        ([], Some(why)) => format!(". {}", why.trim_end_matches('.')),
        (_, Some(why)) if !is_not_mapped(evidence) => return Some(why),
        (places, _) => format!(": it is {}", places.join(" and ")),
    };
    Some(format!("Nothing is mapped at {address:#x}{near}."))
}

/// Whether the kernel says that nothing is mapped at the address.
fn is_not_mapped(evidence: &Evidence<'_>) -> bool {
    evidence.crash.signal == Some(SIGSEGV) && evidence.crash.code == Some(SEGV_MAPERR)
}

/// Why the rows do not show what is at an address that none of them contains; `None` if they do.
fn why_unknown(evidence: &Evidence<'_>, address: u64) -> Option<String> {
    if access::shows_gap(evidence, address) {
        return None;
    }
    let what = if is_not_mapped(evidence) { "near" } else { "at" };
    Some(match access::missing_row(evidence) {
        // It may be wrong itself.
        Some((register @ "stack pointer", value)) if !access::is_mapped(evidence, address) => {
            format!(
                "The map of the log may be incomplete, because the {register} {value:#x} is in \
                 none of its rows: it may not show what is {what} {address:#x}."
            )
        }
        Some((register @ "instruction pointer", value)) => format!(
            "The map of the log is incomplete, because the {register} {value:#x} is in none of its \
             rows: it does not show what is {what} {address:#x}."
        ),
        _ => {
            format!("Something is mapped at {address:#x}, though no row of the map contains it.")
        }
    })
}

/// A mapping as the subject of a sentence.
pub(super) fn thing(evidence: &Evidence<'_>, row: &Mapping<'_>, address: u64) -> String {
    let text = lower_thing(evidence, row, address);
    let mut letters = text.chars();
    match letters.next() {
        // Paths keep their case.
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

/// A mapping within a sentence, by its label or name; `address` selects one of several labels.
pub(super) fn lower_thing(evidence: &Evidence<'_>, row: &Mapping<'_>, address: u64) -> String {
    if let Some(part) = evidence.labels.at(address) {
        return format!("the mapping {} ({})", row.range, part.label.text);
    }
    match row.kind() {
        Kind::File | Kind::Device | Kind::Heap | Kind::Stack => row.describe(),
        Kind::Anonymous => format!("the mapping {} without a name", row.range),
        _ => format!("the mapping {} {}", row.range, name(row.name)),
    }
}

/// The known facts, in order.
pub(super) fn facts(evidence: &Evidence<'_>) -> Vec<(&'static str, String)> {
    let crash = evidence.crash;
    let fault = &evidence.fault;
    let mut facts = Vec::new();
    if crash.signal.is_some() {
        facts.push(("who", who(evidence)));
    }
    if let Some(signal) = crash.signal {
        let mut text = signal_name(signal)
            .map_or_else(|| signal.to_string(), |name| format!("{signal} {name}"));
        // The number is that of other machines.
        let converted = crash.machine.is_some_and(|machine| !are_usual(machine));
        if let Some(name) = signal_name(signal).filter(|_| converted) {
            name.clone_into(&mut text);
        }
        match crash.code.map(|code| (code, code_name(signal, code))) {
            Some((code, Some((name, meaning)))) => {
                let _ = write!(text, ", si_code {code} {name}: {meaning}");
            }
            Some((code, None)) => {
                let _ = write!(text, ", si_code {code}");
            }
            None => {}
        }
        if let Some(sender) = crash.sender {
            let itself = if Some(sender.pid) == crash.pid { ", itself" } else { "" };
            let _ = write!(text, " (si_pid {}{itself}, si_uid {})", sender.pid, sender.uid);
        }
        facts.push(("signal", text));
    }
    if let Some(signal) = crash.ended_by {
        let signal = signal_words(signal);
        facts.push(("then", format!("a signal handler ended the program by {signal}")));
    }
    if let Some(message) = &crash.message {
        facts.push(("said", message.clone()));
    }
    if let Some(address) = fault.address {
        let derived =
            if fault.derived { ", from the registers; the kernel reported none" } else { "" };
        let tag = fault.tagged.map(|tagged| format!("; {}", upper_bits(&tagged)));
        facts.push(("address", format!("{address:#x}{derived}{}", tag.unwrap_or_default())));
    }
    place(evidence, &mut facts);
    // After a system call or in abort(3), the next instruction is not relevant.
    let at_fault = crash.code.is_none_or(|code| code > 0) && crash.signal != Some(SIGSYS);
    if let Some(instruction) = fault.instruction.as_ref().filter(|_| at_fault) {
        let ip = crash.ip.unwrap_or(0);
        facts.push(("instruction", format!("{ip:#x}  {}", instruction.text)));
    }
    let is_access = crash.signal.is_some() && !is_doubtful(evidence);
    if let Some(attempt) = attempt(evidence).filter(|_| is_access) {
        facts.push(("tried", format!("to {attempt}")));
    }
    if let Some(operand) = &fault.operand {
        let registers = [&operand.base, &operand.index].into_iter().flatten();
        let values = registers.map(|held| match held.value {
            Some(value) => format!("{} = {value:#x}", held.name),
            None => format!("{}, which is not known", held.name),
        });
        let values: Vec<String> = values.collect();
        if !values.is_empty() {
            facts.push(("by", values.join(", ")));
        }
    } else if let Some(target) = fault.instruction.as_ref().and_then(|found| found.target.as_ref())
        && let Some(value) = target.value
    {
        facts.push(("by", format!("{} = {value:#x}", target.name)));
    }
    if let Some(sp) = crash.sp {
        facts.push(("stack pointer", format!("{sp:#x}")));
    }
    if let Some(change) = &evidence.change {
        facts.push(("changed", format!("by {}", change.by)));
    }
    facts
}

/// Adds the mapping at the address and its neighbours.
fn place(evidence: &Evidence<'_>, facts: &mut Vec<(&'static str, String)>) {
    let Some(address) = evidence.fault.address else { return };
    if evidence.maps.is_empty() {
        return;
    }
    let place = evidence.maps.find(address);
    let row = |at: Option<usize>| at.and_then(|at| evidence.maps.get(at));
    if let Some(row) = row(place.mapping) {
        facts.push(("there", line(&row)));
        if let Some(part) = evidence.labels.at(address) {
            let label = &part.label;
            facts.push((
                "label",
                format!("{} ({}: {})", label.text, label.confidence, label.because),
            ));
        }
        if let Some(section) = &evidence.place.section {
            facts.push(("section", section.clone()));
        }
        if let Some((symbol, offset)) = &evidence.place.symbol {
            facts.push(("symbol", format!("{symbol}+{offset:#x}")));
        }
        if let Some(size) = evidence.place.file_size {
            facts.push(("file size", bytes(size)));
        }
        return;
    }
    if why_unknown(evidence, address).is_some() && !is_not_mapped(evidence) {
        facts.push(("there", "not known".to_owned()));
        return;
    }
    facts.push(("there", "nothing is mapped".to_owned()));
    if let Some(row) = row(place.before) {
        let distance = address.saturating_sub(row.range.end);
        facts.push(("below", format!("{}, {} away", line(&row), bytes(distance))));
    }
    if let Some(row) = row(place.after) {
        let distance = row.range.start.saturating_sub(address);
        facts.push(("above", format!("{}, {} away", line(&row), bytes(distance))));
    }
}

fn line(row: &Mapping<'_>) -> String {
    let text = format!("{} {} {} {}", row.range, row.perms, size(row.range.size()), name(row.name));
    text.trim_end().to_owned()
}
