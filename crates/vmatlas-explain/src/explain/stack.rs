//! Stack overflows.

use super::fault::register;
use super::{Cause, Conclusion, Evidence, name, words};
use crate::crash::SymbolFrame;
use crate::label::Confidence;
use vmatlas_maps::Kind;
use vmatlas_maps::Mapping;
use vmatlas_maps::uapi::siginfo::SEGV_MAPERR;
use vmatlas_maps::uapi::signal::SIGSEGV;

/// Largest distance in bytes below a stack at which an access still relates to it. Linux keeps
/// other mappings 256 pages away from a growing stack (`stack_guard_gap`), and a frame may be that
/// large.
const GAP: u64 = 1 << 20;
/// Largest distance in bytes of the stack pointer above the stack's end: a frame that is being
/// filled.
const NEAR_END: u64 = 64 << 10;
/// Largest frame of a function in bytes; a stack pointer further below the stack is rather wrong.
const LARGEST_FRAME: u64 = 1 << 30;
/// Longest cycle of frames that is searched.
const LONGEST_CYCLE: usize = 16;
/// Number of calls that may follow the last turn of a cycle.
const LONGEST_END: usize = 24;

/// The stack pointer at the crash.
fn stack_pointer(evidence: &Evidence<'_>) -> Option<u64> {
    let crash = evidence.crash;
    crash.sp.or_else(|| ["rsp", "sp", "esp"].iter().find_map(|name| register(crash, name)))
}

/// A stack overflow, if the access was near the stack pointer and just below the stack.
pub(super) fn overflow(evidence: &Evidence<'_>, address: u64) -> Option<Conclusion> {
    let sp = stack_pointer(evidence)?;
    if evidence.maps.is_empty() {
        return without_maps(evidence, address, sp);
    }
    if let Some(frame) = large_frame(evidence, address, sp) {
        return Some(frame);
    }
    let place = evidence.maps.find(address);
    let here = place.mapping.and_then(|at| evidence.maps.get(at));
    let after = place.after.and_then(|at| evidence.maps.get(at));
    let stack = match here {
        // A large frame skips the guard.
        None => after.and_then(|row| above_guard(evidence, row)),
        Some(row) if row.perms.none() => after,
        // A lightweight guard has no row of its own.
        Some(row) if guarded(evidence, &row, address) => Some(row),
        Some(_) => None,
    }?;
    let end = if stack.range.contains(address) {
        // The end of the stack inside its row is unknown.
        address.saturating_add(1).checked_next_multiple_of(page(evidence)).unwrap_or(u64::MAX)
    } else {
        stack.range.start
    };
    let near = sp <= end.saturating_add(NEAR_END) && sp >= address.saturating_sub(GAP);
    let below = end.saturating_sub(address);
    if is_elsewhere(evidence, &stack, address, sp) {
        return None;
    }
    if !near || below > GAP.max(here.map_or(0, |guard| guard.range.size())) {
        return None;
    }
    if !stack.perms.write() {
        return None;
    }
    let recursion = recursion(evidence);
    let grows = stack.kind() == Kind::Stack;
    let size = stack.range.end.saturating_sub(end);
    let mut sentence = format!(
        "The stack of {} has no more room: it takes {}",
        thread(evidence, grows),
        words::size(size)
    );
    let limit = evidence.facts.stack_limit.filter(|_| grows);
    match limit {
        Some(limit) => {
            sentence.push_str(&format!(" of the {} that RLIMIT_STACK permits", words::size(limit)));
        }
        None if here.is_some() => sentence.push_str(", and its guard was reached"),
        None => {}
    }
    sentence.push('.');
    if let Some(recursion) = &recursion {
        sentence.push_str(&format!(" {recursion}"));
    }
    let because = format!(
        "the access is {} below the stack {}, and the stack pointer is {sp:#x}",
        words::bytes(below),
        stack.range
    );
    // The stack is at its limit, or the calls recurse: only an overflow does that.
    let full = limit.is_some_and(|limit| size.saturating_add(GAP) >= limit);
    let guard = here.is_some_and(|guard| guard.perms.none()) || full || recursion.is_some();
    let confidence = if guard { Confidence::Certain } else { Confidence::Likely };
    Some(Conclusion::new(Cause::StackOverflow, confidence, sentence, because))
}

/// Whether the stack pointer is in other memory below the guard: the access then went beyond the
/// upper end of that memory.
fn is_elsewhere(evidence: &Evidence<'_>, stack: &Mapping<'_>, address: u64, sp: u64) -> bool {
    let at_sp = evidence.maps.find(sp).mapping.and_then(|at| evidence.maps.get(at));
    if !stack.range.contains(address) {
        return at_sp.is_some_and(|row| row.range != stack.range && row.perms.write());
    }
    // Stacks on both sides of a lightweight guard may share a row.
    let known = evidence.facts.guards.iter().find(|guard| guard.contains(address));
    let guard = known.map_or(address & !(page(evidence) - 1), |guard| guard.start);
    sp < guard && at_sp.is_some_and(|row| row.perms.write())
}

/// The row, or the row directly above it if it is a guard.
fn above_guard<'a>(evidence: &Evidence<'a>, row: Mapping<'a>) -> Option<Mapping<'a>> {
    if !row.perms.none() || row.range.size() > GAP {
        return Some(row);
    }
    evidence.maps.get(evidence.maps.find(row.range.end).mapping?)
}

/// A frame so large that the stack pointer itself left the stack of the first thread.
fn large_frame(evidence: &Evidence<'_>, address: u64, sp: u64) -> Option<Conclusion> {
    let row = |at: Option<usize>| at.and_then(|at| evidence.maps.get(at));
    let (here, at_sp) = (evidence.maps.find(address), evidence.maps.find(sp));
    if here.mapping.is_some() || at_sp.mapping.is_some() {
        return None;
    }
    let stack = row(at_sp.after).filter(|row| row.kind() == Kind::Stack)?;
    let below = stack.range.start.saturating_sub(sp);
    let near = address >= sp.saturating_sub(GAP) && address < stack.range.start;
    (near && below > GAP && below <= LARGEST_FRAME).then(|| {
        Conclusion::new(
            Cause::StackOverflow,
            Confidence::Likely,
            format!(
                "The stack of the first thread has no room for the frame of a function: the \
                 stack pointer is {} below the stack. A variable, an array of variable length or \
                 alloca(3) is too large.",
                words::bytes(below)
            ),
            format!("the stack pointer {sp:#x} lies below the stack {}", stack.range),
        )
    })
}

/// Whether the kernel refuses an access that the row permits, as for lightweight guard pages.
pub(super) fn guarded(evidence: &Evidence<'_>, row: &Mapping<'_>, address: u64) -> bool {
    let known = evidence.facts.guards.iter().any(|guard| guard.contains(address));
    let not_mapped =
        evidence.crash.signal == Some(SIGSEGV) && evidence.crash.code == Some(SEGV_MAPERR);
    known || (not_mapped && row.perms.read() && row.perms.write())
}

fn page(evidence: &Evidence<'_>) -> u64 {
    Some(evidence.facts.page_size).filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

/// Handles a kernel log line, which has the stack pointer and no maps: an unmapped address at the
/// stack pointer was the stack.
fn without_maps(evidence: &Evidence<'_>, address: u64, sp: u64) -> Option<Conclusion> {
    let present = evidence.crash.present == Some(true);
    let at_stack = address >= sp.saturating_sub(256) && address <= sp.saturating_add(NEAR_END);
    // Otherwise the page of the stack pointer may be mapped.
    let page = page(evidence);
    let certain = address <= sp || address / page == sp / page;
    (at_stack && !present).then(|| {
        Conclusion::new(
            Cause::StackOverflow,
            if certain { Confidence::Likely } else { Confidence::Guess },
            if certain {
                "The stack of the thread has no more room."
            } else {
                "The stack of the thread has no more room for the frame of a function, or an \
                 access went beyond the upper end of the stack."
            },
            format!(
                "the address is {} the stack pointer {sp:#x}, and there is no page",
                if address == sp {
                    "at".to_owned()
                } else if address < sp {
                    format!("{} below", words::bytes(sp.saturating_sub(address)))
                } else {
                    format!("{} above", words::bytes(address.saturating_sub(sp)))
                }
            ),
        )
    })
}

/// A stack pointer outside of any mapping. The kernel could not deliver a signal there, and then
/// reports no address.
pub(super) fn lost(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let sp = stack_pointer(evidence)?;
    if evidence.maps.is_empty() {
        return None;
    }
    overflow(evidence, sp).or_else(|| overflow(evidence, sp.checked_sub(8)?))
}

fn thread(evidence: &Evidence<'_>, grows: bool) -> String {
    let crash = evidence.crash;
    let comm = crash.comm.as_deref().map(|comm| format!(" ({})", name(comm))).unwrap_or_default();
    match crash.tid {
        _ if grows => "the first thread".to_owned(),
        Some(tid) => format!("thread {tid}{comm}"),
        None => "a thread".to_owned(),
    }
}

/// A cycle of calls at the end of the stack, as a sentence.
pub(super) fn recursion(evidence: &Evidence<'_>) -> Option<String> {
    let frames = &evidence.crash.frames;
    let same = |first: &SymbolFrame, next: &SymbolFrame| {
        let key = |frame: &SymbolFrame| (frame.pc, frame.offset);
        key(first) == key(next) && first.function == next.function && key(first) != (None, None)
    };
    // The innermost calls may be outside of the cycle.
    let found = (0..LONGEST_END)
        .flat_map(|skip| (1..=LONGEST_CYCLE).map(move |cycle| (skip, cycle)))
        .find_map(|(skip, cycle)| {
            let calls = frames.get(skip..)?;
            let later = calls.get(cycle..)?;
            let repeats = calls.iter().zip(later).take_while(|(one, next)| same(one, next)).count();
            (repeats >= cycle * 3).then_some((calls.get(..cycle)?, repeats / cycle + 1))
        });
    let (calls, turns) = found?;
    let named = calls.iter().filter(|frame| !frame.function.is_empty());
    let mut names: Vec<&str> = named.map(|frame| &*frame.function).collect();
    names.dedup();
    Some(match names.as_slice() {
        [] => format!(
            "A function without a name is called over and over: {turns} calls of it lie on the \
             part of the stack that was read."
        ),
        [one] => format!(
            "{one} calls itself over and over: {turns} calls of it lie on the part of the stack \
             that was read."
        ),
        more => format!(
            "{} call each other over and over: {turns} rounds lie on the part of the stack that \
             was read.",
            more.join(" and ")
        ),
    })
}
