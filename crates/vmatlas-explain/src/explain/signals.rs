//! Signals that no memory access caused.

use super::fault::register;
use super::instruction::InstructionKind;
use super::signal_words::{code_name, signal_name};
use super::{Cause, Conclusion, Evidence, stack};
use crate::crash::functions::{plain, sends_signal};
use crate::crash::{CrashSource, Machine, Sender};
use crate::label::Confidence;
use vmatlas_maps::uapi::siginfo::{SI_KERNEL, SI_QUEUE, SI_TKILL, SI_USER};
use vmatlas_maps::uapi::signal::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ,
};

/// What ends C++ programs by std::terminate or abort(3), in the functions of the Itanium C++ ABI.
pub(super) const PURE_VIRTUAL: &str = "A pure virtual function was called: of an object that is \
    still being constructed or already destroyed, or is no object any more.";
pub(super) const DELETED_VIRTUAL: &str = "A deleted virtual function was called.";
pub(super) const UNCAUGHT: &str =
    "A C++ exception was not caught, or was thrown where none may be.";
pub(super) const WITHOUT_EXCEPTION: &str = "std::terminate ended the program without an exception, \
    as it does where a C++ thread is destroyed that can still be joined.";
const NOEXCEPT: &str = "A C++ exception was thrown where none may be (noexcept, or a destructor).";
const JOINABLE_THREAD: &str = "A C++ thread was destroyed or replaced that could still be joined.";
const TERMINATED: &str = "std::terminate ended the program: a C++ exception was not caught, or a \
    C++ thread was destroyed that could still be joined, or the program called it.";

/// Functions on the stack that identify an abort, most reliable first; [`is_called`] defines the
/// patterns.
const ABORTS: [(&str, Cause, &str); 27] = [
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
    (
        "__fortify_fail",
        Cause::CorruptMemory,
        "The C library saw that a buffer was or would be overrun (stack protector or \
         _FORTIFY_SOURCE).",
    ),
    (
        "malloc_printerr",
        Cause::CorruptMemory,
        "The C library found the heap corrupted: something was written beyond a block or after \
         it was freed, or it was freed twice.",
    ),
    (
        "scudo::*",
        Cause::CorruptMemory,
        "The allocator found the heap corrupted, or was given an address that is no block of it.",
    ),
    ("__assert_fail*", Cause::Abort, "An assertion of the program failed."),
    ("__assert_perror_fail", Cause::Abort, "An assertion of the program failed."),
    (
        "::stack_overflow::imp::*",
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
    ("__cxa_rethrow*", Cause::Abort, UNCAUGHT),
    ("std::terminate*", Cause::Abort, TERMINATED),
    ("__gnu_cxx::__verbose_terminate_handler*", Cause::Abort, TERMINATED),
    (
        "std::panicking::panic_with_hook*",
        Cause::Abort,
        "A Rust program panicked, and panics end it (panic=abort, or a panic within a panic).",
    ),
    (
        "std::panicking::rust_panic_with_hook*",
        Cause::Abort,
        "A Rust program panicked, and panics end it (panic=abort, or a panic within a panic).",
    ),
    (
        "core::panicking::panic_nounwind*",
        Cause::Abort,
        "A Rust program panicked where it may not unwind.",
    ),
    ("std::process::abort*", Cause::Abort, "A Rust program called std::process::abort."),
    (
        "__asan::*",
        Cause::CorruptMemory,
        "AddressSanitizer found a bad access and ended the program; its report has the details.",
    ),
    (
        "__ubsan_*",
        Cause::Abort,
        "UndefinedBehaviorSanitizer found undefined behaviour and ended the program.",
    ),
    (
        "runtime.dieFromSignal",
        Cause::Abort,
        "The Go runtime ended the program; its report has the cause.",
    ),
    ("__libc_fatal", Cause::Abort, "The C library met an error after which it cannot continue."),
];

/// A program that a signal handler ended, of a source that lacks the signal that the handler got.
pub(super) fn of_handler(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let crash = evidence.crash;
    let ended_by = crash.ended_by.filter(|_| crash.signal.is_none())?;
    let name = signal_name(ended_by)?;
    let place = crash.frames.first().filter(|frame| !frame.function.is_empty());
    let place = place.map(|frame| format!(" in {}", frame.function)).unwrap_or_default();
    Some(Conclusion::new(
        Cause::Unknown,
        Confidence::Guess,
        format!(
            "A signal came{place}, and its handler ended the program by {name}. The source does \
             not have the signal that the handler got."
        ),
        "the stack has the frame of a signal handler",
    ))
}

/// The cause of any signal except those of bad accesses.
pub(super) fn conclude(evidence: &Evidence<'_>) -> Option<Conclusion> {
    let crash = evidence.crash;
    let signal = crash.signal?;
    let sent = crash.code.is_some_and(|code| code <= 0);
    if let Some(conclusion) = limit(evidence, signal) {
        return Some(conclusion);
    }
    match signal {
        // Whatever stands on its stack: the program did not end itself.
        _ if crash.sender.is_some() && !is_from_itself(evidence) => {
            Some(somebody(evidence, signal))
        }
        SIGABRT | SIGILL | SIGTRAP | SIGSEGV | SIGBUS if checks(evidence).is_some() => {
            checks(evidence)
        }
        SIGABRT if is_sent_by_unknown(evidence) => Some(somebody(evidence, signal)),
        SIGABRT => Some(abort(evidence)),
        _ if sent || crash.sender.is_some() => Some(somebody(evidence, signal)),
        SIGSEGV | SIGBUS => None,
        SIGFPE => Some(arithmetic(evidence)),
        SIGILL => Some(illegal(evidence)),
        SIGTRAP => Some(trap(evidence)),
        SIGSYS => Some(system_call(evidence)),
        _ => Some(somebody(evidence, signal)),
    }
}

/// Whether the process sent the signal to itself; the kernel does so too when it sends one because
/// of a call of the process.
fn is_from_itself(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    crash.sender.is_some_and(|sender| Some(sender.pid) == crash.pid)
}

/// Whether SIGABRT was sent by kill(2) or sigqueue(3), the source does not say by which process, and
/// nothing on the stack shows that the program did it. Android's debuggerd sends the signal of
/// abort(3) again by sigqueue(3).
fn is_sent_by_unknown(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    let by_call = matches!(crash.code, Some(SI_USER | SI_QUEUE));
    let resent = crash.source == CrashSource::Tombstone && crash.code == Some(SI_QUEUE);
    let shown = |name: &String| is_abort(name) || name.ends_with("Kill");
    by_call && !resent && crash.sender.is_none() && !evidence.functions.iter().any(shown)
}

/// Signals of the kernel for which nothing but a limit is known.
fn limit(evidence: &Evidence<'_>, signal: i32) -> Option<Conclusion> {
    let code = evidence.crash.code;
    // The kernel sends these in the name of the process itself.
    let by_own_call = code == Some(SI_USER) && is_from_itself(evidence);
    let calls_kill = evidence.functions.iter().any(|name| sends_signal(name));
    let sentence = match signal {
        SIGXFSZ if by_own_call && !calls_kill => {
            "The program wrote beyond its limit on the size of files (RLIMIT_FSIZE, ulimit -f) or \
             the largest file that the file system can hold."
        }
        SIGXCPU if code == Some(SI_KERNEL) => {
            "The program used more CPU time than its limit permits (RLIMIT_CPU, ulimit -t; for \
             real-time threads also RLIMIT_RTTIME)."
        }
        SIGPIPE if by_own_call && !calls_kill => {
            "The program wrote to a pipe or socket that nobody reads any more."
        }
        _ => return None,
    };
    let name = signal_name(signal).unwrap_or_default();
    let because = format!("the kernel sends {name} then");
    Some(Conclusion::new(Cause::SentSignal, Confidence::Likely, sentence.to_owned(), because))
}

fn abort(evidence: &Evidence<'_>) -> Conclusion {
    let function = |pattern: &str| evidence.functions.iter().find(|name| is_called(name, pattern));
    let found = ABORTS.iter().find_map(|rule| Some((rule, function(rule.0)?)));
    if let Some(((_, cause, sentence), name)) = found {
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
    let caller = evidence.functions.iter().find(|name| !is_abort(name));
    let by = caller.map(|name| format!(" in {name}")).unwrap_or_default();
    // abort(3) raises the signal; other programs do too.
    let calls_abort = evidence.functions.iter().any(|name| plain(name) == "abort");
    let raises = !calls_abort && evidence.functions.iter().any(|name| is_abort(name));
    let (how, is_known) = match evidence.crash.code {
        _ if calls_abort => ("by abort(3)", true),
        Some(SI_TKILL) if raises => ("by raise(3) or pthread_kill(3)", is_from_itself(evidence)),
        Some(SI_TKILL) if is_from_itself(evidence) => ("by abort(3) or raise(3)", true),
        Some(SI_USER) => ("by kill(2)", is_from_itself(evidence)),
        Some(SI_QUEUE) if is_from_itself(evidence) => ("by sigqueue(3)", true),
        _ => ("most likely by abort(3)", false),
    };
    Conclusion::new(
        Cause::Abort,
        if is_known { Confidence::Certain } else { Confidence::Likely },
        format!("The program ended itself {how}{by}."),
        match (evidence.crash.code, is_from_itself(evidence)) {
            (Some(SI_TKILL), true) => "the process sent SIGABRT to itself (SI_TKILL)",
            (Some(_), true) => "the process sent SIGABRT to itself",
            (Some(SI_TKILL), false) => "SIGABRT was sent to a thread (SI_TKILL)",
            _ => "the signal is SIGABRT",
        },
    )
}

/// Parts of the names of functions with which programs end themselves after a failed check, as
/// Chromium, V8, WebKit, Mozilla, glog, GLib and sanitizers name them.
const CHECKS: [&str; 24] = [
    "ImmediateCrash",
    "IMMEDIATE_CRASH",
    "CrashImmediately",
    "WTFCrash",
    "MOZ_Crash",
    "mozalloc_abort",
    "mozalloc_handle_oom",
    "V8_Fatal",
    "V8_Dcheck",
    "v8::base::OS::Abort",
    "v8::base::FatalOOM",
    "CheckFailed",
    "CheckFailure",
    "CheckError",
    "CheckOpFailed",
    "CHECK_failed",
    "LogMessageFatal",
    "LogMessage::Fail",
    "NotReachedError",
    "__builtin_trap",
    "g_assertion_message",
    "_dbus_abort",
    "SystemBreakIntoDebugger",
    "__sanitizer::Trap",
];
/// The address to which WTFCrash of WebKit writes.
const WEBKIT_CRASH: u64 = 0xbbad_beef;
/// Number of innermost frames that may hold such a function: the others are inlined into it.
const INNERMOST: usize = 6;

/// A check of the program that failed: the innermost functions end the program on purpose.
fn checks(evidence: &Evidence<'_>) -> Option<Conclusion> {
    const SENTENCE: &str = "The program ended itself on purpose: one of its own checks failed.";
    if evidence.fault.address == Some(WEBKIT_CRASH) {
        let because = format!("WebKit writes to {WEBKIT_CRASH:#x} if a check fails");
        return Some(Conclusion::new(Cause::Abort, Confidence::Likely, SENTENCE, because));
    }
    let is_check = |name: &&String| CHECKS.iter().any(|check| name.contains(check));
    // A function of the C library between them shows that the signal came from there.
    let mut innermost = evidence.functions.iter().filter(|name| !is_abort(name));
    let name = innermost.by_ref().take(1).find(is_check)?;
    let all = || evidence.functions.iter().take(INNERMOST).filter(is_check);
    let memory = all().any(|name| name.contains("OOM") || name.contains("oom"));
    let (cause, sentence) = if memory {
        (Cause::OutOfMemory, "The program ended itself on purpose because memory was exhausted.")
    } else {
        (Cause::Abort, SENTENCE)
    };
    let confidence = Confidence::Likely;
    Some(Conclusion::new(cause, confidence, sentence, format!("{name} is the innermost function")))
}

/// Whether a function name matches a pattern: a trailing `*` matches any suffix, a leading `::` any
/// prefix.
fn is_called(name: &str, pattern: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.starts_with("::")) {
        (Some(part), true) => name.contains(part),
        (Some(start), false) => name.starts_with(start),
        (None, _) => name == pattern,
    }
}

/// A fault in the C library's allocator, whose own data are in the heap.
pub(super) fn in_allocator(evidence: &Evidence<'_>) -> Option<Conclusion> {
    const ALLOCATOR: [&str; 12] = [
        "malloc",
        "free",
        "calloc",
        "realloc",
        "memalign",
        "cfree",
        "_int_malloc",
        "_int_free",
        "_int_realloc",
        "malloc_consolidate",
        "unlink_chunk",
        "tcache_get",
    ];
    let name = evidence.functions.first()?;
    let short = plain(name).trim_start_matches("libc_");
    let found = ALLOCATOR.iter().any(|known| short == *known || name == known);
    found.then(|| {
        Conclusion::new(
            Cause::CorruptMemory,
            Confidence::Likely,
            "The C library failed while it used its own data of the heap: most likely the heap is \
             corrupted, because something was written beyond a block or after it was freed, or an \
             address was freed that is no block.",
            format!("{name} is the innermost function, and the address is not known"),
        )
    })
}

/// Whether a function is part of abort(3), which has several names in the C library.
fn is_abort(name: &str) -> bool {
    plain(name) == "abort" || sends_signal(name) || name.starts_with("__libc_message")
}

/// Whether a function ends or checks a program and is not where its mistake lies. An unnamed
/// function is none.
pub(super) fn is_reporter(name: &str) -> bool {
    let ends = ["__assert_fail", "__libc_", "__fortify_fail", "__chk_fail", "__stack_chk_fail"];
    let checks = ["scudo::", "std::panicking::", "core::panicking::", "std::terminate"];
    let runtimes = ["OOMErrorHandler", "OutOfMemory", "ReportOOMFailure", "node::Abort"];
    is_abort(name)
        || runtimes.iter().any(|part| name.contains(part))
        || ends.iter().chain(&checks).any(|start| name.starts_with(start))
        || ["malloc_printerr", "rust_begin_unwind"].contains(&name)
        || CHECKS.iter().any(|check| name.contains(check))
}

fn somebody(evidence: &Evidence<'_>, signal: i32) -> Conclusion {
    let name = signal_name(signal).map_or_else(|| format!("signal {signal}"), ToOwned::to_owned);
    let code = evidence.crash.code.and_then(|code| code_name(signal, code));
    let call = match evidence.crash.code {
        Some(SI_TKILL) => "tgkill(2), as raise(3) and pthread_kill(3) do",
        Some(SI_QUEUE) => "sigqueue(3)",
        _ => "kill(2)",
    };
    let of_address = "the address that the source gives is the pid and uid of a sender";
    let confidence = match evidence.crash.sender {
        Some(_) => Confidence::Certain,
        None => Confidence::Likely,
    };
    // A handler of a fault often ends the program by sending the same signal again.
    let is_fault = matches!(signal, SIGSEGV | SIGBUS | SIGFPE | SIGILL | SIGTRAP | SIGSYS);
    let itself =
        if is_fault { ", on purpose or in a signal handler that passed on a fault" } else { "" };
    let elsewhere = if is_fault { "; no access failed" } else { "" };
    let (sentence, because) = match (evidence.crash.sender, code) {
        (Some(_), Some((code, _))) if is_from_itself(evidence) => (
            format!("The program sent itself {name} by {call}{itself}."),
            format!("si_code is {code}, and si_pid is its own"),
        ),
        (Some(_), None) if is_from_itself(evidence) => {
            (format!("The program sent itself {name}{itself}."), of_address.to_owned())
        }
        (Some(Sender { pid, uid }), None) => {
            (format!("Process {pid} (of uid {uid}) sent {name}{elsewhere}."), of_address.to_owned())
        }
        (Some(Sender { pid: 0, uid }), Some((code, _))) => (
            format!(
                "A process of another pid namespace (of uid {uid}) sent {name} by {call}\
                 {elsewhere}."
            ),
            format!("si_code is {code}, and si_pid is 0"),
        ),
        (Some(Sender { pid, uid }), Some((code, _))) => (
            format!("Process {pid} (of uid {uid}) sent {name} by {call}{elsewhere}."),
            format!("si_code is {code}, and si_pid is {pid}"),
        ),
        (_, Some((code, _))) if evidence.crash.code == Some(SI_TKILL) => {
            (format!("A thread sent {name} by {call}{itself}."), format!("si_code is {code}"))
        }
        (_, Some((code, meaning))) => {
            let itself = if evidence.crash.code == Some(SI_KERNEL) { "" } else { itself };
            (format!("{name} was {meaning}{itself}."), format!("si_code is {code}"))
        }
        (_, None) => (
            format!(
                "{name} ended the program: a process sent it, or the kernel because of a limit."
            ),
            "no fault of an instruction gives this signal".to_owned(),
        ),
    };
    Conclusion::new(Cause::SentSignal, confidence, sentence, because)
}

fn arithmetic(evidence: &Evidence<'_>) -> Conclusion {
    let instruction = evidence.fault.instruction.as_ref();
    let said = evidence.crash.message.as_deref().unwrap_or_default();
    let divides = instruction.is_some_and(|found| found.kind == InstructionKind::Divide)
        || said.starts_with("divide error");
    if evidence.crash.code != Some(1) && !divides {
        let meaning = evidence.crash.code.and_then(|code| code_name(SIGFPE, code));
        return Conclusion::new(
            Cause::Arithmetic,
            Confidence::Certain,
            format!(
                "A calculation failed: {}.",
                meaning.map_or("the kernel does not say how", |m| m.1)
            ),
            meaning.map_or("the signal is SIGFPE".to_owned(), |(name, _)| {
                format!("si_code is {name}")
            }),
        );
    }
    let divisor = instruction.and_then(|found| {
        let held = found.divisor.as_ref();
        let register =
            held.and_then(|held| Some((format!("the register {}", held.name), held.value?)));
        register.or_else(|| {
            let operand = found.operands.iter().find(|operand| operand.read)?;
            let (address, size) = (operand.address?, usize::try_from(operand.size).ok()?);
            let mut bytes = [0; 8];
            let room = bytes.get_mut(..size)?;
            let read = evidence.memory?.read(address, room);
            let value = u64::from_le_bytes(bytes);
            (read == size).then(|| (format!("the number at {address:#x}"), value))
        })
    });
    match divisor {
        Some((what, 0)) => Conclusion::new(
            Cause::DivideByZero,
            Confidence::Certain,
            "An integer was divided by zero.",
            format!("{what}, which is the divisor, is 0"),
        ),
        Some((what, value)) => Conclusion::new(
            Cause::Arithmetic,
            Confidence::Certain,
            "The result of a division has no room: the smallest number was divided by -1, or the \
             upper half of the dividend was too large.",
            format!("{what}, which is the divisor, is {value:#x}; x86 faults as for a zero"),
        ),
        None => Conclusion::new(
            Cause::DivideByZero,
            Confidence::Likely,
            "An integer was divided by zero, most likely; the smallest number divided by -1 is \
             the other possibility.",
            "the fault is one of division",
        ),
    }
}

fn illegal(evidence: &Evidence<'_>) -> Conclusion {
    let illegal = Cause::IllegalInstruction;
    let instruction = evidence.fault.instruction.as_ref();
    match instruction.map(|found| (found.kind, &*found.text)) {
        Some((InstructionKind::Undefined, text)) => Conclusion::new(
            illegal,
            Confidence::Certain,
            format!(
                "The program ran into {text}, which compilers put where control must not come: a \
                 trap after a failed check (__builtin_trap, unreachable code, -fsanitize-trap)."
            ),
            format!("{text} is defined to be undefined"),
        ),
        Some((InstructionKind::Privileged, text)) => Conclusion::new(
            illegal,
            Confidence::Certain,
            format!("Only the kernel may execute {text}."),
            "the instruction is privileged",
        ),
        Some((_, text)) => Conclusion::new(
            illegal,
            Confidence::Likely,
            format!(
                "The processor does not have the instruction {text}: the program was built for a \
                 newer one, or the system has it turned off."
            ),
            "the instruction is a valid one",
        ),
        None if has_code(evidence) => Conclusion::new(
            illegal,
            Confidence::Likely,
            "The executed bytes are no instruction: control went astray, or code was overwritten.",
            "the signal is SIGILL, and the bytes cannot be decoded",
        ),
        None => Conclusion::new(
            illegal,
            Confidence::Guess,
            "The processor refused the instruction, whose bytes the source does not have: a trap \
             that compilers and programs put behind a failed check (such as ud2), an instruction \
             that the processor does not have, or bytes that are no code.",
            "the signal is SIGILL",
        ),
    }
}

/// Whether the bytes at the instruction pointer are known, and could be decoded if they were an
/// instruction.
fn has_code(evidence: &Evidence<'_>) -> bool {
    if cfg!(not(feature = "decoders")) {
        return false;
    }
    let crash = evidence.crash;
    let machine = matches!(crash.machine, Some(Machine::X86_64 | Machine::X86 | Machine::AArch64));
    let Some(ip) = crash.ip.filter(|_| machine) else { return false };
    let printed = crash.code_bytes.as_ref().is_some_and(|(start, bytes)| {
        ip.checked_sub(*start).is_some_and(|into| into + 4 <= bytes.len() as u64)
    });
    printed || evidence.memory.is_some_and(|memory| memory.array::<4>(ip).is_some())
}

fn trap(evidence: &Evidence<'_>) -> Conclusion {
    let instruction = evidence.fault.instruction.as_ref();
    // On x86 the instruction pointer is after the breakpoint, so the bytes before it count.
    let breakpoint = instruction.is_some_and(|found| found.kind == InstructionKind::Breakpoint);
    let code = evidence.crash.code.and_then(|code| code_name(SIGTRAP, code));
    Conclusion::new(
        Cause::Trap,
        Confidence::Certain,
        "The program ran into a breakpoint or trap without a debugger: one in its own code \
         (int3, brk, __debugbreak), or one that a debugger or uprobe left behind.",
        if breakpoint {
            "the instruction is a breakpoint".to_owned()
        } else {
            code.map_or("the signal is SIGTRAP".to_owned(), |(name, _)| {
                format!("si_code is {name}")
            })
        },
    )
}

fn system_call(evidence: &Evidence<'_>) -> Conclusion {
    let crash = evidence.crash;
    // The kernel restores the syscall number when a filter sends SIGSYS (syscall_rollback in Linux
    // 6.18 kernel/seccomp.c).
    let number = ["orig_rax", "orig_eax", "x8", "rax", "eax"].iter();
    let number = number.filter_map(|name| register(crash, name)).find(|number| *number < 1 << 12);
    let number = number.map(|number| format!(" number {number}")).unwrap_or_default();
    Conclusion::new(
        Cause::ForbiddenSystemCall,
        Confidence::Certain,
        format!("A seccomp filter forbids the system call{number} that the program made."),
        match crash.code {
            Some(1) => "si_code is SYS_SECCOMP",
            _ => "the signal is SIGSYS",
        },
    )
}
