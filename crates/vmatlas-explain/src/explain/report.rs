//! Reports by runtimes and sanitizers, which saw more than a dump contains.

use super::aborts::{DELETED_VIRTUAL, JUMP, PURE_VIRTUAL, WITHOUT_EXCEPTION};
use super::{Cause, Conclusion, Evidence};
use crate::crash::glibc::{MALLOC_MESSAGES, ends_message};
use crate::crash::{Crash, CrashSource};
use crate::label::Confidence;
use Writer::{Android, CLibrary, Cpp, DotNet, Go, Java, Kernel, Rust, Sanitizer, V8};
use vmatlas_maps::uapi::siginfo::SI_KERNEL;
use vmatlas_maps::uapi::signal::SIGABRT;

/// The writer of a report: words of one have another meaning in the text of another, such as the
/// message of a program's own exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    Android,
    /// The C library, or a program's own log of a failed check.
    CLibrary,
    Cpp,
    DotNet,
    Go,
    Java,
    Kernel,
    Rust,
    Sanitizer,
    V8,
    /// Runtimes whose own words name no cause.
    Other,
}

impl Writer {
    fn of(crash: &Crash, first: &str) -> Writer {
        let starts = |words: &[&str]| words.iter().any(|word| first.starts_with(word));
        match crash.source {
            CrashSource::Sanitizer => Sanitizer,
            CrashSource::Go => Go,
            CrashSource::HsErr => Java,
            CrashSource::KernelLog => Kernel,
            CrashSource::Tombstone => Android,
            _ if starts(&["thread '"]) => Rust,
            _ if starts(&["Fatal Python error: "]) || first.contains(": [BUG] ") => Writer::Other,
            _ if starts(&["# Fatal error in ", "FATAL ERROR: "]) => V8,
            _ if starts(&["Unhandled exception. ", "Fatal error. ", "Process terminated. "]) => {
                DotNet
            }
            _ if starts(&["terminate called", "terminating ", "libc++abi", "pure virtual "])
                || starts(&["Pure virtual ", "deleted virtual "]) =>
            {
                Cpp
            }
            _ => CLibrary,
        }
    }

    /// The number of lines that name the error; the others contain names and texts of the program.
    fn lines(self) -> usize {
        if matches!(self, Sanitizer | Cpp | DotNet | Kernel) { 1 } else { 2 }
    }
}

/// A cause, the words by which a writer names it, and the conclusion. Words after `^` stand at the
/// start of a line, those after a further `*` anywhere behind, and nothing but an address follows `$`.
struct Rule {
    writers: &'static [Writer],
    words: &'static [&'static str],
    cause: Cause,
    confidence: Confidence,
    sentence: &'static str,
}

const fn rule(
    writers: &'static [Writer],
    words: &'static [&'static str],
    cause: Cause,
    sentence: &'static str,
) -> Rule {
    Rule { writers, words, cause, confidence: Confidence::Certain, sentence }
}

impl Rule {
    const fn likely(self) -> Rule {
        Rule { confidence: Confidence::Likely, ..self }
    }

    fn matches(&self, writer: Writer, line: &str) -> bool {
        self.writers.contains(&writer)
            && self.words.iter().any(|word| {
                match (word.strip_prefix('^'), word.strip_suffix('$')) {
                    (Some(start), None) => begins_with(without_program(line), start),
                    (Some(start), Some(_)) => is_whole(without_program(line), start),
                    (None, _) => line.contains(word),
                }
            })
    }
}

/// Whether a line is a message of glibc's allocator, which ends with `$`.
fn is_whole(line: &str, message: &str) -> bool {
    let rest = line.strip_prefix(message.trim_end_matches('$'));
    rest.is_some_and(|rest| ends_message(rest.as_bytes()))
}

/// Whether a line begins with words; those after `*` stand anywhere behind.
fn begins_with(line: &str, words: &str) -> bool {
    let (start, inside) = words.split_once('*').unwrap_or((words, ""));
    line.strip_prefix(start).is_some_and(|rest| rest.contains(inside))
}

/// The message in `*** Error in `./app': free(): invalid pointer: 0x10 ***`, as glibc before 2.26
/// prints it, and in `*** glibc detected *** ./app: …`.
fn without_program(line: &str) -> &str {
    let after = |start: &str, end: &str| Some(line.split_once(start)?.1.split_once(end)?.1);
    after("*** Error in `", "': ")
        .or_else(|| after("*** glibc detected *** ", ": "))
        .unwrap_or(line)
}

const FREED_WRONGLY: &str = "A block of memory was freed or resized wrongly: it was freed already, or it is no block of \
     that kind.";
const HEAP: &str = "The heap is corrupted, because something was written beyond a block or after it \
     was freed; or an address was freed or resized that is no block.";
const TWICE: &str = "A block of memory was freed twice.";
const NO_ROOM: &str = "The stack has no more room.";
const EXHAUSTED: &str = "Memory is exhausted, or a limit on it is reached.";
const JAVA_INTERNAL: &str =
    "The Java virtual machine found an error in itself and ended the program.";
/// C++ runtimes print the same if std::terminate is called while an exception is handled.
const TERMINATED_WITH_EXCEPTION: &str = "A C++ exception was not caught, or was thrown where none \
     may be, or std::terminate was called while one was handled.";
const LANGUAGE_HEAP: &str = "Memory of the language's heap is exhausted.";
const ASSERTION: &str = "An assertion of the program failed.";
const NULL: &str = "The pointer is null.";
const GO_PANIC: &str = "A Go program panicked, and nothing recovered it.";

/// The first match counts.
const REPORTS: [Rule; 56] = [
    // The text of the exception follows.
    rule(
        &[Android],
        &[
            "^terminate called after",
            "^terminating due to uncaught",
            "^terminating with uncaught",
            "^libc++abi: terminating",
        ],
        Cause::Abort,
        TERMINATED_WITH_EXCEPTION,
    ),
    rule(
        &[Kernel],
        &["Manual OOM execution", " order=-1,"],
        Cause::SentSignal,
        "The kernel was asked to end the process that uses the most memory (SysRq, the key f).",
    ),
    rule(
        &[Sanitizer],
        &["use-after-free", "use-after-return", "use-after-scope"],
        Cause::UseAfterFree,
        "Memory was used after it was freed, or after the function or block that it belonged to \
         had ended.",
    ),
    rule(
        &[Sanitizer],
        &["use-after-poison"],
        Cause::UseAfterFree,
        "Memory was used that must not be: most likely it was freed, or the program itself has \
         marked it so (ASAN_POISON_MEMORY_REGION).",
    )
    .likely(),
    rule(
        &[Android, CLibrary],
        &["^Scudo ERROR: corrupted chunk header"],
        Cause::CorruptMemory,
        HEAP,
    ),
    rule(
        &[Android, CLibrary],
        &["^Scudo ERROR: race on chunk header"],
        Cause::CorruptMemory,
        "Two threads freed or resized the same block of memory at the same time, or the heap is \
         corrupted.",
    )
    .likely(),
    rule(
        &[Android, CLibrary],
        &[
            "^Scudo ERROR: invalid chunk state",
            "^Scudo ERROR: misaligned pointer",
            "^Scudo ERROR: allocation type mismatch",
            "^Scudo ERROR: invalid sized delete",
        ],
        Cause::CorruptMemory,
        FREED_WRONGLY,
    ),
    rule(
        &[Android, CLibrary],
        &["^double free or corruption"],
        Cause::CorruptMemory,
        "The heap is corrupted, because something was written beyond a block; or a block was freed \
         twice, or an address that is no block.",
    ),
    rule(
        &[Android, CLibrary],
        &["^free(): double free detected in tcache 2$"],
        Cause::CorruptMemory,
        TWICE,
    ),
    rule(&[Sanitizer], &["double-free"], Cause::CorruptMemory, TWICE),
    rule(
        &[Sanitizer],
        &["buffer-overflow", "buffer-underflow", "container-overflow", "dynamic-stack-buffer"],
        Cause::OutOfBounds,
        "An access went beyond the bounds of an object.",
    ),
    rule(&[Sanitizer], &["stack-overflow"], Cause::StackOverflow, NO_ROOM),
    rule(&[Rust], &["has overflowed its stack"], Cause::StackOverflow, NO_ROOM),
    rule(
        &[Go],
        &["^fatal error: stack overflow", "^runtime: goroutine stack exceeds "],
        Cause::StackOverflow,
        NO_ROOM,
    ),
    rule(
        &[Android],
        &["^stack pointer is in a non-existent map; likely due to stack overflow"],
        Cause::StackOverflow,
        "The stack has no more room, most likely.",
    )
    .likely(),
    rule(
        &[Sanitizer],
        &["data race"],
        Cause::DataRace,
        "Two threads access the same memory, and no order is kept.",
    ),
    rule(
        &[Sanitizer],
        &["use-of-uninitialized-value"],
        Cause::Uninitialized,
        "The program used a value that depends on memory that was never written, or was freed or \
         destroyed since.",
    ),
    rule(
        &[Sanitizer],
        &["detected memory leaks"],
        Cause::MemoryLeak,
        "Memory was never freed, and nothing points to it, or only other such memory does.",
    ),
    rule(
        &[CLibrary],
        &["*** stack smashing detected ***"],
        Cause::CorruptMemory,
        "A buffer on the stack was overrun: the canary behind it was overwritten (stack \
         protector).",
    ),
    rule(
        &[CLibrary],
        &["*** buffer overflow detected ***"],
        Cause::CorruptMemory,
        "The C library saw that a buffer would be overrun (_FORTIFY_SOURCE).",
    ),
    rule(&[CLibrary], &["*** longjmp causes uninitialized stack frame ***"], Cause::Abort, JUMP),
    rule(
        &[Android, CLibrary],
        &MALLOC_MESSAGES,
        Cause::CorruptMemory,
        HEAP,
    ),
    rule(
        &[Sanitizer],
        &["attempting free on", "bad-free"],
        Cause::CorruptMemory,
        "An address was freed that is no block of memory.",
    ),
    rule(
        &[Java],
        &["OutOfMemory encountered: "],
        Cause::OutOfMemory,
        "A Java program could not get memory of the virtual machine, which was told to end then \
         (CrashOnOutOfMemoryError).",
    ),
    rule(
        &[Java],
        &["Native memory allocation"],
        Cause::OutOfMemory,
        "Java could not get memory from the kernel, or a limit on it is reached.",
    ),
    rule(
        &[Java],
        &["insufficient memory for the Java", "Out of Memory Error"],
        Cause::OutOfMemory,
        "Java could not get what it needs to go on: memory, a thread, or room in an area of its own.",
    ),
    rule(
        &[Java],
        &["^Internal Error (0x"],
        Cause::Abort,
        "An exception of Windows was raised that nothing handled.",
    ),
    rule(
        &[Java],
        &["^fatal error: caught unhandled signal"],
        Cause::Unknown,
        "A signal came that the Java virtual machine does not handle.",
    ),
    rule(&[Java], &["^Internal Error ("], Cause::Abort, JAVA_INTERNAL),
    rule(
        &[Android, CLibrary, V8],
        &["Check failed: ", "Debug check failed: ", "CHECK failed"],
        Cause::Abort,
        "A check of the program failed.",
    ),
    rule(
        &[Android, CLibrary],
        &[
            ": sysmalloc: Assertion `",
            ": _int_malloc: Assertion `",
            ": _int_free: Assertion `",
            ": _int_realloc: Assertion `",
            ": malloc_consolidate: Assertion `",
            ": __libc_malloc: Assertion `",
            ": __libc_calloc: Assertion `",
            "^Fatal glibc error: malloc.c:",
            "^Fatal glibc error: arena.c:",
            "^Fatal glibc error: malloc assertion failure",
        ],
        Cause::CorruptMemory,
        "The C library found the data of its allocator wrong: the heap is corrupted, because \
         something was written beyond a block or after it was freed.",
    ),
    rule(
        &[CLibrary],
        &["^Fatal glibc error: "],
        Cause::Abort,
        "The C library met an error after which it cannot continue.",
    ),
    rule(
        &[Android, CLibrary],
        &["Assertion `", "assertion failed", "Assertion failed"],
        Cause::Abort,
        ASSERTION,
    ),
    rule(&[Rust], &["^assertion failed", "panicked at 'assertion failed"], Cause::Abort, ASSERTION),
    rule(
        &[V8],
        &["invalid array length", "invalid table size"],
        Cause::Abort,
        "The program asked for an array or a table that is longer than V8 permits.",
    ),
    rule(&[V8], &["JavaScript OOM"], Cause::OutOfMemory, LANGUAGE_HEAP),
    rule(
        &[DotNet],
        &["^Unhandled exception. "],
        Cause::Abort,
        "An exception of .NET was not handled.",
    ),
    rule(&[Rust], &["panicked at"], Cause::Abort, "A Rust program panicked."),
    rule(
        &[Kernel],
        &["Killed process ", "Out of memory", "out of memory"],
        Cause::OutOfMemory,
        EXHAUSTED,
    ),
    rule(
        &[V8],
        &["heap out of memory", "heap limit", "out of memory", "Out of memory"],
        Cause::OutOfMemory,
        EXHAUSTED,
    ),
    rule(
        &[Go],
        &[
            "^fatal error: runtime: out of memory",
            "^fatal error: out of memory",
            "^fatal error: runtime: cannot allocate memory",
            "^fatal error: runtime: cannot map pages in arena address space",
        ],
        Cause::OutOfMemory,
        EXHAUSTED,
    ),
    rule(&[DotNet], &["^Fatal error. System.OutOfMemory"], Cause::OutOfMemory, EXHAUSTED),
    rule(&[Sanitizer], &["out-of-memory"], Cause::OutOfMemory, EXHAUSTED),
    rule(&[Go], &["runtime error: invalid memory address or nil"], Cause::NullPointer, NULL),
    rule(
        &[Sanitizer],
        &["load of null pointer", "store to null pointer", "member access within null pointer"],
        Cause::NullPointer,
        NULL,
    ),
    rule(
        &[Go],
        &["^fatal error: all goroutines are asleep"],
        Cause::Abort,
        "No goroutine can go on, because each of them waits.",
    ),
    rule(&[Go], &["^panic: "], Cause::Abort, GO_PANIC),
    rule(
        &[Sanitizer],
        &[
            "^runtime error: unsigned integer overflow",
            "^runtime error: implicit conversion",
            "^runtime error: negation of *unsigned",
            "^runtime error: left shift of *unsigned",
        ],
        Cause::Arithmetic,
        "A check of UBSan failed, though the language defines what happens there.",
    ),
    rule(
        &[Sanitizer],
        &[
            "^runtime error: null pointer passed as argument *never be null",
            "^runtime error: null pointer returned from function *never return null",
            "^runtime error: _Nonnull binding to null pointer",
        ],
        Cause::UndefinedBehaviour,
        "A declaration says that a pointer is never null, and it is. The language does not define \
         what happens then if an attribute says so (nonnull), and does if the type does (_Nonnull).",
    )
    .likely(),
    rule(
        &[Sanitizer],
        &["^runtime error: division by zero"],
        Cause::UndefinedBehaviour,
        "A number was divided by zero, for which the language defines no result if it is an integer.",
    )
    .likely(),
    rule(
        &[Sanitizer],
        &["^runtime error: invalid ObjC cast"],
        Cause::Unknown,
        "An object of Objective-C is not of the class that the program expects.",
    )
    .likely(),
    rule(
        &[Sanitizer],
        &["^runtime error: "],
        Cause::UndefinedBehaviour,
        "The program has behaviour that its language does not define.",
    ),
    rule(
        &[Android, Cpp],
        &["pure virtual method called", "Pure virtual function called"],
        Cause::Abort,
        PURE_VIRTUAL,
    ),
    rule(&[Android, Cpp], &["deleted virtual method called"], Cause::Abort, DELETED_VIRTUAL),
    rule(
        &[Cpp],
        &["terminate called without an active exception"],
        Cause::Abort,
        WITHOUT_EXCEPTION,
    ),
    rule(
        &[Android, Cpp],
        &["^terminate called", "uncaught exception", "terminating due to", "terminating with"],
        Cause::Abort,
        TERMINATED_WITH_EXCEPTION,
    ),
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
    let sides = [" after ", " before ", " to the right of ", " to the left of "];
    let is_beside =
        |line: &&str| line.contains(" is located ") && sides.iter().any(|side| line.contains(side));
    let (freed, beyond) = (line(&["freed by thread"]), said.lines().find(is_beside));
    if let (Some(_), Some(beyond)) = (freed, beyond) {
        let sentence = "An access went beyond the bounds of an object, or memory was used after it \
                        was freed: the report gives both as possible.";
        found(Cause::MemoryTag, Confidence::Certain, sentence, beyond)
    } else if let Some(line) = freed {
        let sentence = "Memory was used after it was freed.";
        found(Cause::UseAfterFree, Confidence::Certain, sentence, line)
    } else if let Some(line) = beyond {
        let sentence = "An access went beyond the bounds of an object.";
        found(Cause::OutOfBounds, Confidence::Likely, sentence, line)
    } else {
        let sentence = "The tag in the pointer is not that of the memory: it was freed, or the \
                        pointer has left its object.";
        found(Cause::MemoryTag, Confidence::Certain, sentence, said.lines().next()?)
    }
}

/// Whether the source has words of the program, or of a library or runtime in it.
fn has_words(source: CrashSource) -> bool {
    matches!(
        source,
        CrashSource::Core
            | CrashSource::Sanitizer
            | CrashSource::Go
            | CrashSource::Runtime
            | CrashSource::HsErr
            | CrashSource::Tombstone
            | CrashSource::Apport
    )
}

/// The conclusion from a report, if it contains more than the signal.
pub(super) fn conclude(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let crash = evidence.crash;
    // The kernel's words are not the program's.
    let reports = has_words(crash.source) || crash.source == CrashSource::KernelLog;
    if let Some(mismatch) = tag_mismatch(evidence) {
        return Some(mismatch);
    }
    let first = crash.message.as_deref().filter(|_| reports)?;
    // Of a crash in Java, HotSpot only says that it was one.
    if crash.source == CrashSource::HsErr && crash.signal.is_some() {
        return None;
    }
    let writer = Writer::of(crash, first);
    let find =
        |rule: &Rule| first.lines().take(writer.lines()).find(|line| rule.matches(writer, line));
    let (rule, line) = REPORTS.iter().find_map(|rule| Some((rule, find(rule)?)))?;
    // With an address, other rules give more detail about a null pointer. Go reports any other
    // address in the same words (debug.SetPanicOnFault), and one that is not canonical without it.
    let is_unknown = crash.source == CrashSource::Go && crash.code == Some(SI_KERNEL);
    if rule.cause == Cause::NullPointer && (evidence.fault.address.is_some() || is_unknown) {
        return None;
    }
    let who = match crash.source {
        CrashSource::Core | CrashSource::Apport => "the C library said",
        _ => "the report says",
    };
    let memory = first.lines().find_map(|line| line.strip_prefix("Memory: "));
    let memory = memory.filter(|_| rule.cause == Cause::OutOfMemory);
    let memory = memory.map(|found| format!(" The log gives the memory as: {found}."));
    let (sentence, confidence) = match rule.sentence {
        GO_PANIC if may_be_recovered(evidence, first) => (
            "A Go program panicked. Its own code logged that, and may have recovered.",
            Confidence::Guess,
        ),
        sentence => (sentence, rule.confidence),
    };
    let sentence = format!("{sentence}{}", memory.unwrap_or_default());
    Some(Conclusion::new(rule.cause, confidence, sentence, format!("{who}: {line}")))
}

/// Whether a deferred function of a Go program may have recovered a panic and logged the panic and
/// its stack. The runtime prints a second panic if a deferred function panics.
fn may_be_recovered(evidence: &Evidence<'_>, said: &str) -> bool {
    let functions = &evidence.functions;
    let is_second = said.contains("\tpanic: ") || said.contains("[recovered, repanicked]");
    let is_deferred =
        functions.iter().skip(1).any(|name| name == "panic" || name == "runtime.gopanic");
    functions.iter().any(|name| name.starts_with("runtime/debug.")) || is_deferred && !is_second
}

/// Whether the source is the report of a runtime about an error that it found itself, and not about
/// a fault of the processor.
pub(super) fn ends_program(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    let runtime = matches!(crash.source, CrashSource::Runtime | CrashSource::Go);
    let by_itself = crash.signal.is_none_or(|signal| signal == SIGABRT);
    let first = crash.message.as_deref().and_then(|said| said.lines().next());
    let is_error = first.is_some_and(|first| !FAULTS.iter().any(|fault| first.contains(fault)));
    runtime && by_itself && is_error && crash.ended_by.is_none()
}

/// Words of runtimes for a fault, in reports whose signal is not known.
const FAULTS: [&str; 6] = [
    "System.AccessViolationException",
    "[BUG] Segmentation fault",
    "[BUG] Bus Error",
    "[BUG] Illegal instruction",
    "Fatal Python error: Segmentation fault",
    "Fatal Python error: Illegal instruction",
];

/// The reason in the words of the report, for the causes that it names better than a rule.
pub(super) fn quote(evidence: &Evidence<'_>, cause: Cause) -> Option<String> {
    /// Longest quotation in characters.
    const LONGEST: usize = 240;
    let crash = evidence.crash;
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
    let said = crash.message.as_deref().filter(|_| has_words(crash.source) && fits && !signal)?;
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
