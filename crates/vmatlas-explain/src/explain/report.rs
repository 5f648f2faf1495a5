//! Reports by runtimes and sanitizers, which saw more than a dump contains.

use super::aborts::{DELETED_VIRTUAL, PURE_VIRTUAL, UNCAUGHT, WITHOUT_EXCEPTION};
use super::{Cause, Conclusion, Evidence};
use crate::crash::CrashSource;
use crate::label::Confidence;
use vmatlas_maps::uapi::signal::SIGABRT;

/// Words of a report, the cause, and the conclusion; the first match counts.
const REPORTS: [(&[&str], Cause, &str); 30] = [
    (
        &["use-after-free", "use-after-poison", "use-after-return", "use-after-scope"],
        Cause::UseAfterFree,
        "Memory was used after it was freed, or after the function or block that it belonged to \
         had ended.",
    ),
    (
        &["Scudo ERROR: corrupted chunk header", "Scudo ERROR: race on chunk header"],
        Cause::CorruptMemory,
        "The heap is corrupted: something was written beyond a block or after it was freed, or \
         an address was freed that is no block.",
    ),
    (
        &[
            "Scudo ERROR: invalid chunk state",
            "Scudo ERROR: misaligned pointer",
            "Scudo ERROR: allocation type mismatch",
            "Scudo ERROR: invalid sized delete",
        ],
        Cause::CorruptMemory,
        "A block of memory was freed or resized wrongly: it was freed already, or it is no block \
         of that kind.",
    ),
    (
        &["double free or corruption"],
        Cause::CorruptMemory,
        "The heap is corrupted: something was written beyond a block, or a block was freed twice.",
    ),
    (&["double-free", "double free"], Cause::CorruptMemory, "A block of memory was freed twice."),
    (
        &["buffer-overflow", "buffer-underflow", "container-overflow", "dynamic-stack-buffer"],
        Cause::OutOfBounds,
        "An access went beyond the bounds of an object.",
    ),
    (
        &["stack-overflow", "overflowed its stack", "stack overflow", "StackOverflow"],
        Cause::StackOverflow,
        "The stack has no more room.",
    ),
    (&["data race"], Cause::DataRace, "Two threads access the same memory, and no order is kept."),
    (
        &["use-of-uninitialized-value"],
        Cause::Uninitialized,
        "A decision depends on memory that was never written.",
    ),
    (
        &["detected memory leaks"],
        Cause::MemoryLeak,
        "Memory was never freed, and nothing points to it.",
    ),
    (
        &["stack smashing detected"],
        Cause::CorruptMemory,
        "A buffer on the stack was overrun: the canary behind it was overwritten (stack \
         protector).",
    ),
    (
        &["buffer overflow detected"],
        Cause::CorruptMemory,
        "The C library saw that a buffer would be overrun (_FORTIFY_SOURCE).",
    ),
    (
        &[
            "free(): ",
            "malloc(): ",
            "realloc(): ",
            "munmap_chunk(): ",
            "corrupted ",
            "attempting free on",
            "bad-free",
            "malloc_consolidate(): ",
        ],
        Cause::CorruptMemory,
        "The heap is corrupted: something was written beyond a block or after it was freed, or \
         an address was freed that is not a block.",
    ),
    (
        &["insufficient memory for the Java", "Native memory allocation", "Out of Memory Error"],
        Cause::OutOfMemory,
        "Java could not get memory from the kernel, or a limit on it is reached.",
    ),
    (
        &["Internal Error ("],
        Cause::Abort,
        "The Java virtual machine found an error in itself and ended the program.",
    ),
    (
        &["Check failed: ", "Debug check failed: ", "CHECK failed"],
        Cause::Abort,
        "A check of the program failed.",
    ),
    (
        &[
            "sysmalloc: Assertion `",
            "_int_malloc: Assertion `",
            "_int_free: Assertion `",
            "_int_realloc: Assertion `",
            "malloc_consolidate: Assertion `",
            "__libc_malloc: Assertion `",
            "__libc_calloc: Assertion `",
        ],
        Cause::CorruptMemory,
        "The C library found the data of its allocator wrong: the heap is corrupted, because \
         something was written beyond a block or after it was freed.",
    ),
    (
        &["Assertion `", "assertion failed", "Assertion failed"],
        Cause::Abort,
        "An assertion of the program failed.",
    ),
    (
        &["Java heap space", "JavaScript OOM", "invalid array length Allocation failed"],
        Cause::OutOfMemory,
        "Memory of the language's heap is exhausted.",
    ),
    (&["Unhandled exception. "], Cause::Abort, "An exception of .NET was not handled."),
    (&["panicked at"], Cause::Abort, "A Rust program panicked."),
    (
        &[
            "Killed process ",
            "heap out of memory",
            "heap limit",
            "Out of memory",
            "out of memory",
            "OutOfMemory",
            "out-of-memory",
        ],
        Cause::OutOfMemory,
        "Memory is exhausted, or a limit on it is reached.",
    ),
    (
        &[
            "nil pointer dereference",
            "load of null pointer",
            "store to null pointer",
            "member access within null pointer",
        ],
        Cause::NullPointer,
        "The pointer is null.",
    ),
    (
        &["all goroutines are asleep"],
        Cause::Abort,
        "All goroutines wait for each other, so that none can go on.",
    ),
    (&["panic: "], Cause::Abort, "A Go program panicked, and nothing recovered it."),
    (
        &["runtime error: "],
        Cause::UndefinedBehaviour,
        "The program has behaviour that its language does not define.",
    ),
    (&["pure virtual method called", "Pure virtual function called"], Cause::Abort, PURE_VIRTUAL),
    (&["deleted virtual method called"], Cause::Abort, DELETED_VIRTUAL),
    (&["terminate called without an active exception"], Cause::Abort, WITHOUT_EXCEPTION),
    (&["terminate called", "uncaught exception", "terminating due to"], Cause::Abort, UNCAUGHT),
];

/// A report of HWAddressSanitizer, whose first line does not name the kind of mistake: the lines
/// after it tell whether the memory was freed.
fn tag_mismatch(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let crash = evidence.crash;
    let said = crash.message.as_deref().filter(|_| crash.source == CrashSource::Sanitizer)?;
    if !said.lines().next()?.contains("tag-mismatch") {
        return None;
    }
    let line = |words: &[&str]| said.lines().find(|line| words.iter().any(|w| line.contains(w)));
    let found = |cause, confidence, sentence: &str, line: &str| {
        Some(Conclusion::new(cause, confidence, sentence, format!("the report says: {line}")))
    };
    let sides = [" after ", " before ", " to the right of ", " to the left of ", "overflow"];
    if let Some(line) = line(&["freed by thread"]) {
        let sentence = "Memory was used after it was freed.";
        found(Cause::UseAfterFree, Confidence::Certain, sentence, line)
    } else if let Some(line) = line(&sides) {
        let sentence = "An access went beyond the bounds of an object.";
        found(Cause::OutOfBounds, Confidence::Likely, sentence, line)
    } else {
        let sentence = "The tag in the pointer is not that of the memory: it was freed, or the \
                        pointer has left its object.";
        found(Cause::MemoryTag, Confidence::Certain, sentence, said.lines().next()?)
    }
}

/// The conclusion from a report, if it contains more than the signal.
pub(super) fn conclude(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let crash = evidence.crash;
    let reports = matches!(
        crash.source,
        CrashSource::Core
            | CrashSource::Sanitizer
            | CrashSource::Go
            | CrashSource::Runtime
            | CrashSource::HsErr
            | CrashSource::Tombstone
            | CrashSource::KernelLog
    );
    if let Some(mismatch) = tag_mismatch(evidence) {
        return Some(mismatch);
    }
    let first = crash.message.as_deref().filter(|_| reports)?;
    // Of a crash in Java, HotSpot only says that it was one.
    if crash.source == CrashSource::HsErr && crash.signal.is_some() {
        return None;
    }
    // The first lines name the error; later ones contain names of the program.
    let lines = || first.lines().take(2);
    let find = |words: &[&str]| lines().find(|line| words.iter().any(|word| line.contains(word)));
    let ((_, cause, sentence), line) =
        REPORTS.iter().find_map(|rule| Some((rule, find(rule.0)?)))?;
    // With an address, other rules give more detail about a null pointer.
    if *cause == Cause::NullPointer && evidence.fault.address.is_some() {
        return None;
    }
    let who = match crash.source {
        CrashSource::Core => "the C library said",
        _ => "the report says",
    };
    let memory = first.lines().find_map(|line| line.strip_prefix("Memory: "));
    let memory = memory.filter(|_| *cause == Cause::OutOfMemory);
    let memory = memory.map(|found| format!(" The log gives the memory as: {found}."));
    let sentence = format!("{sentence}{}", memory.unwrap_or_default());
    Some(Conclusion::new(*cause, Confidence::Certain, sentence, format!("{who}: {line}")))
}

/// Whether the source is the report of a runtime about an error that it found itself.
pub(super) fn ends_program(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    let runtime = matches!(crash.source, CrashSource::Runtime | CrashSource::Go);
    let by_itself = crash.signal.is_none_or(|signal| signal == SIGABRT);
    runtime && by_itself && crash.message.is_some() && crash.ended_by.is_none()
}

/// The reason in the words of the report, for the causes that it names better than a rule.
pub(super) fn quote(evidence: &Evidence<'_>, cause: Cause) -> Option<String> {
    /// Longest quotation in characters.
    const LONGEST: usize = 240;
    let crash = evidence.crash;
    let reports = matches!(
        crash.source,
        CrashSource::Core
            | CrashSource::Sanitizer
            | CrashSource::Go
            | CrashSource::Runtime
            | CrashSource::HsErr
            | CrashSource::Tombstone
            | CrashSource::Apport
    );
    let fits = matches!(
        cause,
        Cause::Unknown
            | Cause::Abort
            | Cause::CorruptMemory
            | Cause::OutOfMemory
            | Cause::UndefinedBehaviour
    );
    // A sanitizer's report of a signal says no more than the signal.
    let signal = crash.source == CrashSource::Sanitizer && crash.signal.is_some();
    let said = crash.message.as_deref().filter(|_| reports && fits && !signal)?;
    let line = |line: &str| {
        line.trim_start_matches(['#', ' ', '\t']).trim_end_matches(['.', ':', ' ']).to_owned()
    };
    // The further lines of a sanitizer are about the memory; a signal of Go has a line of its own.
    let count = if crash.source == CrashSource::Sanitizer { 1 } else { 2 };
    let tells = |line: &String| !line.is_empty() && !line.starts_with("SIG");
    let lines: Vec<String> = said.lines().map(line).filter(tells).take(count).collect();
    let mut text = lines.join("; ");
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    (!text.is_empty()).then_some(text)
}
