//! Programs that SIGABRT ended.

use super::signals::{is_abort, is_from_itself, native_frames};
use super::{Cause, Conclusion, Evidence, stack};
use crate::crash::functions::plain;
use crate::crash::{CrashSource, SymbolFrame};
use crate::label::Confidence;
use vmatlas_maps::uapi::siginfo::{SI_QUEUE, SI_TKILL, SI_USER};

/// What ends C++ programs by std::terminate or abort(3), in the functions of the Itanium C++ ABI.
pub(super) const PURE_VIRTUAL: &str = "A pure virtual function was called: of an object that is \
    still being constructed or already destroyed, or is no object any more.";
pub(super) const DELETED_VIRTUAL: &str = "A deleted virtual function was called.";
const UNCAUGHT: &str = "A C++ exception was not caught, or was thrown where none may be.";
pub(super) const WITHOUT_EXCEPTION: &str = "std::terminate ended the program without an exception, \
    as it does where a C++ thread is destroyed that can still be joined.";
const THROWN: &str = "The program ended itself while a C++ exception was being thrown";
const UNWINDER: &str = ": nothing caught it, or none may be thrown there, or the unwinder failed, as \
    it does without the unwind tables of a function";
const RETHROWN: &str = "A C++ exception was thrown again and not caught, or was thrown again where \
    none may be, or there was none to throw again.";
const NOEXCEPT: &str = "A C++ exception was thrown where none may be (noexcept, or a destructor).";
const JOINABLE_THREAD: &str = "A C++ thread was destroyed or replaced that could still be joined.";
const TERMINATED: &str = "std::terminate ended the program: a C++ exception was not caught, or a \
    C++ thread was destroyed that could still be joined, or a thread was ended (pthread_exit, \
    pthread_cancel) in code that may not be unwound (noexcept), or the program called it.";
/// longjmp(3) with _FORTIFY_SOURCE.
pub(super) const JUMP: &str = "A jump (longjmp) was to lead to a frame that the stack does not have: \
    the function that called setjmp has returned, or its frame is on another stack.";
const RUST_PANIC: &str = "A Rust program panicked, and that ended it (as with panic=abort, a panic \
    within a panic, or its own panic hook).";
const RUST_NO_UNWIND: &str = "A Rust program panicked in a way that does not unwind, as if a panic \
    reaches a function that may not unwind (extern \"C\"), a destructor panics during another panic, \
    or a precondition of the standard library does not hold.";
const RUST_MEMORY: &str = "A Rust program could not get the memory that it asked for.";
const SCUDO_HEAP: &str =
    "The allocator found the heap corrupted, or was given an address that is no block of it.";
const SCUDO: &str = "The allocator (Scudo) met an error and ended the program.";
const ASAN: &str =
    "AddressSanitizer found an error and ended the program; its report has the details.";

/// Functions on the stack that identify an abort, most reliable first; [`is_called`] defines the
/// patterns.
const ABORTS: [(&str, Cause, &str); 42] = [
    (
        "__stack_chk_fail*",
        Cause::CorruptMemory,
        "A buffer on the stack was overrun: the canary behind it was overwritten (stack \
         protector).",
    ),
    (
        "__chk_fail",
        Cause::CorruptMemory,
        "The C library saw that a buffer would be overrun (_FORTIFY_SOURCE).",
    ),
    ("__longjmp_chk", Cause::Abort, JUMP),
    ("____longjmp_chk", Cause::Abort, JUMP),
    (
        "__fortify_fail",
        Cause::CorruptMemory,
        "The C library saw that a buffer was or would be overrun (stack protector or \
         _FORTIFY_SOURCE).",
    ),
    (
        "malloc_printerr",
        Cause::CorruptMemory,
        "The C library found the heap corrupted, because something was written beyond a block or \
         after it was freed, or was asked to free or resize what is no block or was freed before.",
    ),
    ("scudo::reportHeaderCorruption*", Cause::CorruptMemory, SCUDO_HEAP),
    ("scudo::reportInvalidChunkState*", Cause::CorruptMemory, SCUDO_HEAP),
    ("scudo::reportMisalignedPointer*", Cause::CorruptMemory, SCUDO_HEAP),
    ("scudo::reportDeallocTypeMismatch*", Cause::CorruptMemory, SCUDO_HEAP),
    ("scudo::reportDeleteSizeMismatch*", Cause::CorruptMemory, SCUDO_HEAP),
    ("scudo::report*", Cause::Abort, SCUDO),
    ("scudo::die*", Cause::Abort, SCUDO),
    ("__assert_fail*", Cause::Abort, "An assertion of the program failed."),
    ("__assert_perror_fail", Cause::Abort, "An assertion of the program failed."),
    (
        "::stack_overflow::imp::signal_handler*",
        Cause::StackOverflow,
        "The Rust runtime found that a thread's stack has no more room, said so, and ended the \
         program.",
    ),
    ("__cxa_pure_virtual*", Cause::Abort, PURE_VIRTUAL),
    ("__cxa_deleted_virtual*", Cause::Abort, DELETED_VIRTUAL),
    ("std::thread::~thread*", Cause::Abort, JOINABLE_THREAD),
    ("std::thread::operator=*", Cause::Abort, JOINABLE_THREAD),
    ("__clang_call_terminate*", Cause::Abort, NOEXCEPT),
    ("__cxa_call_terminate*", Cause::Abort, NOEXCEPT),
    ("__cxa_call_unexpected*", Cause::Abort, NOEXCEPT),
    ("__cxa_throw*", Cause::Abort, UNCAUGHT),
    ("__cxa_rethrow*", Cause::Abort, RETHROWN),
    ("std::terminate*", Cause::Abort, TERMINATED),
    ("__gnu_cxx::__verbose_terminate_handler*", Cause::Abort, TERMINATED),
    ("core::panicking::panic_nounwind*", Cause::Abort, RUST_NO_UNWIND),
    ("core::panicking::panic_no_unwind*", Cause::Abort, RUST_NO_UNWIND),
    ("core::panicking::panic_cannot_unwind*", Cause::Abort, RUST_NO_UNWIND),
    ("core::panicking::panic_in_cleanup*", Cause::Abort, RUST_NO_UNWIND),
    ("std::panicking::panic_with_hook*", Cause::Abort, RUST_PANIC),
    ("std::panicking::rust_panic_with_hook*", Cause::Abort, RUST_PANIC),
    ("std::alloc::rust_oom*", Cause::OutOfMemory, RUST_MEMORY),
    ("alloc::alloc::handle_alloc_error*", Cause::OutOfMemory, RUST_MEMORY),
    ("std::process::abort*", Cause::Abort, "A Rust program called std::process::abort."),
    (
        "__asan::ReportGenericError*",
        Cause::CorruptMemory,
        "AddressSanitizer found a bad access and ended the program; its report has the details.",
    ),
    ("__asan::Report*", Cause::Abort, ASAN),
    ("__asan::ScopedInErrorReport*", Cause::Abort, ASAN),
    (
        "__ubsan_handle_*",
        Cause::Abort,
        "A check of UndefinedBehaviorSanitizer failed and ended the program.",
    ),
    (
        "runtime.dieFromSignal",
        Cause::Abort,
        "The Go runtime ended the program; its report has the cause.",
    ),
    ("__libc_fatal", Cause::Abort, "The C library met an error after which it cannot continue."),
];

/// The cause of a SIGABRT that no other process is known to have sent.
pub(super) fn conclude(evidence: &Evidence<'_>) -> Conclusion {
    let frames = native_frames(evidence.crash);
    let functions = || frames.iter().map(|frame| &*frame.function).filter(|name| !name.is_empty());
    let function = |pattern: &str| functions().find(|name| is_called(name, pattern));
    let found = ABORTS.iter().find_map(|rule| Some((rule, function(rule.0)?)));
    if let Some(((_, cause, sentence), name)) = found {
        if [UNCAUGHT, RETHROWN].contains(sentence) && !terminates(evidence) {
            let because = format!("{name} is on the stack");
            let unwinds = |name: &str| name.starts_with("_Unwind_") || name.starts_with("uw_");
            let why = if functions().any(unwinds) { UNWINDER } else { "" };
            let sentence = format!("{THROWN}{why}.");
            return Conclusion::new(*cause, Confidence::Likely, sentence, because);
        }
        let mut sentence = (*sentence).to_owned();
        if *cause == Cause::StackOverflow
            && let Some(recursion) = stack::recursion(evidence)
        {
            sentence.push(' ');
            sentence.push_str(&recursion);
        }
        let because = format!("{name} is on the stack");
        return Conclusion::new(*cause, Confidence::Certain, sentence, because);
    }
    // abort(3) raises the signal; other programs do too.
    let calls_abort = functions().any(|name| plain(name) == "abort");
    let sends = functions().any(is_abort);
    // Behind the function that raises the signal abort(3) would stand.
    let last = frames.iter().rposition(|frame| is_abort(&frame.function));
    let raises = !calls_abort && last.is_some_and(|last| last + 1 < frames.len());
    if !sends && may_be_sent(evidence) {
        return Conclusion::new(
            Cause::SentSignal,
            Confidence::Likely,
            "The source does not say who sent SIGABRT: the program itself, as abort(3) does, or \
             another process, such as a watchdog.",
            "no function that sends a signal is on the stack, and si_code is not known",
        );
    }
    let caller = caller(evidence).map(|frame| &*frame.function);
    let by = caller.map(|name| format!(" in {name}")).unwrap_or_default();
    let (how, is_known) = match evidence.crash.code {
        _ if calls_abort => ("by abort(3)", true),
        Some(SI_TKILL) if raises => ("by raise(3) or pthread_kill(3)", is_from_itself(evidence)),
        Some(SI_TKILL) if is_from_itself(evidence) => ("by abort(3) or raise(3)", true),
        Some(SI_USER) => ("by kill(2)", is_from_itself(evidence)),
        Some(SI_QUEUE) if is_from_itself(evidence) => ("by sigqueue(3)", true),
        _ => ("most likely by abort(3)", false),
    };
    let handler = evidence.crash.possible_handler().map(|interrupted| {
        format!(
            " Perhaps that was in a handler of a signal that came in {interrupted}, or in a \
             callback of pthread_once(3): a frame without a name lies between them."
        )
    });
    Conclusion::new(
        Cause::Abort,
        if is_known { Confidence::Certain } else { Confidence::Likely },
        format!("The program ended itself {how}{by}.{}", handler.unwrap_or_default()),
        match (evidence.crash.code, is_from_itself(evidence)) {
            (Some(SI_TKILL), true) => "the process sent SIGABRT to itself (SI_TKILL)",
            (Some(_), true) => "the process sent SIGABRT to itself",
            (Some(SI_TKILL), false) => "SIGABRT was sent to a thread (SI_TKILL)",
            _ => "the signal is SIGABRT",
        },
    )
}

/// Whether a function that throws an exception has called std::terminate: it, or the personality
/// function that calls it, is on the stack, or functions of the C++ library without names. The
/// unwinder, which belongs to the compiler's library, ends a program by itself if it fails.
fn terminates(evidence: &Evidence<'_>) -> bool {
    let throws = |name: &str| is_called(name, "__cxa_throw*") || is_called(name, "__cxa_rethrow*");
    let parts = ["terminate", "failed_throw", "__gxx_personality"];
    let frames = native_frames(evidence.crash).iter();
    frames.take_while(|frame| !throws(&frame.function)).any(|frame| {
        let file = frame.module.rsplit('/').next().unwrap_or_default();
        let of_cpp = file.starts_with("libstdc++") || file.starts_with("libc++");
        let name = &frame.function;
        name.is_empty() && of_cpp || parts.iter().any(|part| name.contains(part))
    })
}

/// Whether another process may have sent the signal: the source has no `si_code`, a named function
/// was running, and the report is not one of a program that ends itself.
fn may_be_sent(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    // faulthandler and sanitizers report any SIGABRT that comes.
    let of_any = |said: &str| said.starts_with("Fatal Python error: Aborted");
    let ends_itself = crash.source != CrashSource::Sanitizer
        && crash.message.as_deref().is_some_and(|said| !of_any(said));
    let named = crash.frames.first().is_some_and(|frame| !frame.function.is_empty());
    crash.code.is_none() && crash.sender.is_none() && named && !ends_itself
}

/// The frame that called abort(3) or sent the signal, if it has a name. Frames without a name
/// between those functions are the C library's own.
pub(super) fn caller<'a>(evidence: &Evidence<'a>) -> Option<&'a SymbolFrame> {
    let frames = native_frames(evidence.crash);
    let ends = |frame: &SymbolFrame| frame.function.is_empty() || is_abort(&frame.function);
    let innermost = frames.iter().take_while(|frame| ends(frame)).count();
    let called = frames.get(..innermost)?.iter().rposition(|frame| is_abort(&frame.function));
    frames.get(called.map_or(0, |last| last + 1)).filter(|frame| !frame.function.is_empty())
}

/// Whether a function name matches a pattern: a trailing `*` matches any suffix, a leading `::` any
/// prefix.
fn is_called(name: &str, pattern: &str) -> bool {
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    match (pattern.strip_suffix('*'), pattern.starts_with("::")) {
        (Some(part), true) => name.contains(part),
        (Some(start), false) => name.starts_with(start),
        (None, _) => name == pattern,
    }
}
