//! Signals that no memory access caused.

use super::fault::register;
use super::instruction::InstructionKind;
use super::signal_words::{code_name, signal_name};
use super::{Cause, Conclusion, Evidence, aborts, checks, stack};
use crate::crash::functions::{plain, sends_signal};
use crate::crash::{Crash, CrashSource, Machine, Sender, SymbolFrame};
use crate::frames::{starts_thread, uses_data_of_malloc};
use crate::label::Confidence;
use std::ops::RangeInclusive;
use vmatlas_maps::uapi::siginfo::{
    ILL_ILLOPN, SI_KERNEL, SI_QUEUE, SI_SIGIO, SI_TIMER, SI_TKILL, SI_USER, SYS_SECCOMP,
    SYS_USER_DISPATCH, TRAP_BRKPT, TRAP_HWBKPT, TRAP_PERF, TRAP_TRACE,
};
use vmatlas_maps::uapi::signal::{
    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ,
};

/// `si_code` of signals that the kernel sends when something ends that the program asked for: a timer, a
/// message, input or output.
const NOTIFICATIONS: RangeInclusive<i32> = SI_SIGIO..=SI_TIMER;

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
        _ if crash.code.is_some_and(|code| NOTIFICATIONS.contains(&code)) => {
            Some(somebody(evidence, signal))
        }
        SIGABRT | SIGILL | SIGTRAP | SIGSEGV | SIGBUS if checks::conclude(evidence).is_some() => {
            checks::conclude(evidence)
        }
        SIGABRT if is_sent_by_unknown(evidence) => Some(somebody(evidence, signal)),
        SIGABRT => Some(aborts::conclude(evidence)),
        _ if sent || crash.sender.is_some() => Some(somebody(evidence, signal)),
        _ if is_raised(evidence, signal) => Some(raised(signal)),
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
pub(super) fn is_from_itself(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    crash.sender.is_some_and(|sender| Some(sender.pid) == crash.pid)
}

/// The frames of native code: those that faulthandler prints are of Python, where a method may have
/// the name of a function of the C library.
pub(super) fn native_frames(crash: &Crash) -> &[SymbolFrame] {
    let python = crash
        .message
        .as_deref()
        .is_some_and(|said| said.lines().any(|line| line.starts_with("Fatal Python error")));
    if python { &[] } else { &crash.frames }
}

/// Whether the thread was sending a signal, and the source does not say why it got this one.
fn is_raised(evidence: &Evidence<'_>, signal: i32) -> bool {
    let crash = evidence.crash;
    let innermost = native_frames(crash).iter().find(|frame| !frame.function.is_empty());
    is_fault(signal)
        && crash.code.is_none()
        && evidence.fault.address.is_none()
        && innermost.is_some_and(|frame| sends_signal(&frame.function))
}

fn raised(signal: i32) -> Conclusion {
    let name = signal_name(signal).unwrap_or_default();
    Conclusion::new(
        Cause::SentSignal,
        Confidence::Likely,
        format!("The program sent itself {name}{PASSED_ON}."),
        "the innermost function sends a signal",
    )
}

/// What follows a fault signal that a program sent itself: a handler of a fault often ends the
/// program by sending the same signal again.
const PASSED_ON: &str = ", on purpose or in a signal handler that passed on a fault";

fn is_fault(signal: i32) -> bool {
    matches!(signal, SIGSEGV | SIGBUS | SIGFPE | SIGILL | SIGTRAP | SIGSYS)
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
            "The program wrote or enlarged a file beyond its limit on the size of files \
             (RLIMIT_FSIZE, ulimit -f) or beyond the largest file that the file system can hold."
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

/// A fault in the C library's allocator, whose own data are in the heap. Without a signal it is none:
/// sanitizers report requests that they refuse, and debuggerd the stacks of programs that go on.
pub(super) fn in_allocator(evidence: &Evidence<'_>) -> Option<Conclusion> {
    if !matches!(evidence.crash.signal, Some(SIGSEGV | SIGBUS)) {
        return None;
    }
    let frames = native_frames(evidence.crash);
    let frame = frames.iter().find(|frame| !frame.function.is_empty())?;
    let name = &frame.function;
    (uses_data_of_malloc(name) && may_be_of_c_library(frame)).then(|| {
        // A stack without room ends in whatever function is called last.
        if let Some(recursion) = stack::recursion(evidence) {
            return Conclusion::new(
                Cause::StackOverflow,
                Confidence::Likely,
                format!("Most likely the stack has no more room. {recursion}"),
                "the stack repeats the same frames, and the address is not known",
            );
        }
        let because = format!("{name} is the innermost function, and the address is not known");
        if !frames.iter().any(|frame| starts_thread(&frame.function)) {
            return Conclusion::new(
                Cause::CorruptMemory,
                Confidence::Guess,
                "The C library's allocator failed: the heap is corrupted, because something was \
                 written beyond a block or after it was freed, or an address was freed that is no \
                 block; or the stack has no more room, as by an endless recursion, which the \
                 frames of the source do not exclude, because they do not reach the start of the \
                 thread.",
                because,
            );
        }
        Conclusion::new(
            Cause::CorruptMemory,
            Confidence::Likely,
            "The C library failed while it used its own data of the heap: most likely the heap is \
             corrupted, because something was written beyond a block or after it was freed, or an \
             address was freed that is no block.",
            because,
        )
    })
}

/// Whether nothing that is known of a frame shows that it is not the C library's: its module and
/// its source file.
fn may_be_of_c_library(frame: &SymbolFrame) -> bool {
    let module = frame.module.rsplit('/').next().unwrap_or_default();
    let source = frame.source.as_deref().unwrap_or("malloc.c");
    let source = source.rsplit('/').next().unwrap_or_default();
    let source = source.split(':').next().unwrap_or_default();
    let libraries = ["libc.", "libc-", "ld-musl"];
    (module.is_empty() || libraries.iter().any(|start| module.starts_with(start)))
        && ["malloc.c", "arena.c"].contains(&source)
}

/// Whether a function is part of abort(3), which has several names in the C library.
pub(super) fn is_abort(name: &str) -> bool {
    // musl's raise(3) returns through this function.
    ["abort", "restore_sigs"].contains(&plain(name))
        || sends_signal(name)
        || name.starts_with("__libc_message")
}

/// Whether a function ends or checks a program and is not where its mistake lies. An unnamed
/// function is none.
pub(super) fn is_reporter(name: &str) -> bool {
    let ends = ["__assert_fail", "__libc_", "__fortify_fail", "__chk_fail", "__stack_chk_fail"];
    let checks = ["scudo::", "std::panicking::", "core::panicking::", "std::terminate"];
    let runtimes = ["OOMErrorHandler", "OutOfMemory", "ReportOOMFailure", "node::Abort"];
    let name = name.strip_prefix("__GI_").unwrap_or(name);
    is_abort(name)
        || runtimes.iter().any(|part| name.contains(part))
        || ends.iter().chain(&checks).any(|start| name.starts_with(start))
        || ["malloc_printerr", "rust_begin_unwind"].contains(&name)
        || checks::is_check(name)
}

fn somebody(evidence: &Evidence<'_>, signal: i32) -> Conclusion {
    let name = signal_name(signal).map_or_else(|| format!("signal {signal}"), ToOwned::to_owned);
    let code = evidence.crash.code.and_then(|code| code_name(signal, code));
    let call = match evidence.crash.code {
        Some(SI_TKILL) => "tgkill(2), as raise(3) and pthread_kill(3) do",
        Some(SI_QUEUE) => "sigqueue(3)",
        _ => "kill(2)",
    };
    // The kernel sends the signal of a child whose parent has ended in the name of the parent.
    let by_process = match evidence.crash.code {
        Some(SI_USER) => "kill(2), or by its end (PR_SET_PDEATHSIG)",
        _ => call,
    };
    let of_address = "the address that the source gives is the pid and uid of a sender";
    let confidence = match evidence.crash.sender {
        Some(_) => Confidence::Certain,
        None => Confidence::Likely,
    };
    let itself = if is_fault(signal) { PASSED_ON } else { "" };
    let elsewhere = if is_fault(signal) { "; no access failed" } else { "" };
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
                "A process of another pid namespace (of uid {uid}) sent {name} by \
                 {by_process}{elsewhere}."
            ),
            format!("si_code is {code}, and si_pid is 0"),
        ),
        (Some(Sender { pid, uid }), Some((code, _))) => (
            format!("Process {pid} (of uid {uid}) sent {name} by {by_process}{elsewhere}."),
            format!("si_code is {code}, and si_pid is {pid}"),
        ),
        (_, Some((code, _))) if evidence.crash.code == Some(SI_TKILL) => {
            (format!("A thread sent {name} by {call}{itself}."), format!("si_code is {code}"))
        }
        (_, Some((code, meaning))) => {
            let by_kernel = evidence
                .crash
                .code
                .is_some_and(|code| code == SI_KERNEL || NOTIFICATIONS.contains(&code));
            let itself = if by_kernel { "" } else { itself };
            (format!("{name} was {meaning}{itself}."), format!("si_code is {code}"))
        }
        (_, None) if evidence.crash.has_ended == Some(false) => (
            format!(
                "{name} was sent by a process, or by the kernel because of a limit or a key of the \
                 terminal."
            ),
            "no fault of an instruction gives this signal".to_owned(),
        ),
        (_, None) => (
            format!(
                "{name} ended the program: a process sent it, or the kernel because of a limit or \
                 a key of the terminal."
            ),
            "no fault of an instruction gives this signal".to_owned(),
        ),
    };
    Conclusion::new(Cause::SentSignal, confidence, sentence, because)
}

fn arithmetic(evidence: &Evidence<'_>) -> Conclusion {
    let instruction = evidence.fault.instruction.as_ref();
    let said = evidence.crash.message.as_deref().unwrap_or_default();
    // x86 and s390x name the fault.
    let divides = instruction.is_some_and(|found| found.kind == InstructionKind::Divide)
        || said.starts_with("divide error")
        || said.starts_with("fixed-point divide");
    if evidence.crash.code != Some(1) && !divides {
        let Some((name, meaning)) = evidence.crash.code.and_then(|code| code_name(SIGFPE, code))
        else {
            let is_known = evidence.crash.source == CrashSource::KernelLog;
            return Conclusion::new(
                Cause::Arithmetic,
                if is_known { Confidence::Certain } else { Confidence::Likely },
                "A calculation failed: the source does not say how.",
                "the signal is SIGFPE",
            );
        };
        return Conclusion::new(
            Cause::Arithmetic,
            Confidence::Certain,
            format!("A calculation failed: {meaning}."),
            format!("si_code is {name}"),
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
            "An integer was divided by zero, most likely; the other possibility is a result that \
             has no room, as of the smallest number divided by -1.",
            "the fault is one of division",
        ),
    }
}

fn illegal(evidence: &Evidence<'_>) -> Conclusion {
    let illegal = Cause::IllegalInstruction;
    let crash = evidence.crash;
    let arm = crash.machine == Some(Machine::AArch64);
    let instruction = evidence.fault.instruction.as_ref();
    let text = instruction.map(|found| &*found.text).unwrap_or_default();
    // AArch64 logs the class of the exception.
    let said = |class: &str| {
        let said = crash.message.as_deref().unwrap_or_default();
        crash.source == CrashSource::KernelLog && arm && said.starts_with(class)
    };
    if said("BTI") {
        return Conclusion::new(
            illegal,
            Confidence::Certain,
            "An indirect branch went where none may go (BTI): most likely a function pointer was \
             overwritten.",
            "the kernel reports an exception of branch target identification",
        );
    }
    if said("FPAC") || arm && checks_signature(text, crash.code) {
        let place = if text.is_empty() { String::new() } else { format!(" {text}") };
        let branch = if said("FPAC") || crash.code.is_some() {
            ""
        } else {
            " Or an indirect branch went there that may not (BTI)."
        };
        return Conclusion::new(
            illegal,
            Confidence::Likely,
            format!(
                "A signed pointer failed its check{place} (pointer authentication): a return \
                 address or another pointer was overwritten.{branch}"
            ),
            "the processor refuses an instruction that checks a signature if the signature is wrong",
        );
    }
    match instruction.map(|found| found.kind) {
        Some(InstructionKind::Undefined) if arm && text.ends_with(" #0x0") => Conclusion::new(
            illegal,
            Confidence::Likely,
            "The executed bytes are 0: control went astray to memory without code, or code was \
             overwritten or is missing.",
            format!("four bytes of 0 are the instruction {text}"),
        ),
        Some(InstructionKind::Undefined) => Conclusion::new(
            illegal,
            Confidence::Certain,
            format!(
                "The program ran into {text}, which compilers put where control must not come: a \
                 trap after a failed check (__builtin_trap, unreachable code, -fsanitize-trap)."
            ),
            format!("{text} is defined to be undefined"),
        ),
        Some(InstructionKind::Privileged) => Conclusion::new(
            illegal,
            Confidence::Certain,
            format!("Only the kernel may execute {text}."),
            "the instruction is privileged",
        ),
        // An indirect branch to any instruction but a landing pad gives the same signal.
        Some(_) if arm => Conclusion::new(
            illegal,
            Confidence::Likely,
            format!(
                "The processor refused the instruction {text}: it does not have it, because the \
                 program was built for a newer one or the system has it turned off, or an \
                 indirect branch went there that may not (BTI)."
            ),
            "the instruction is a valid one",
        ),
        Some(_) => Conclusion::new(
            illegal,
            Confidence::Likely,
            format!(
                "The processor does not have the instruction {text}: the program was built for a \
                 newer one, or the system has it turned off."
            ),
            "the instruction is a valid one",
        ),
        // The decoder of AArch64 lacks extensions such as SVE.
        None if has_code(evidence) && arm => Conclusion::new(
            illegal,
            Confidence::Guess,
            "The processor refused the instruction, which cannot be decoded here: it is one that \
             the processor does not have, such as one of SVE or SME, or an indirect branch went \
             there that may not (BTI), or the bytes are no code.",
            "the signal is SIGILL, and the bytes cannot be decoded",
        ),
        None if has_code(evidence) => Conclusion::new(
            illegal,
            Confidence::Likely,
            "The executed bytes are no known instruction: most likely control went astray, or \
             code was overwritten.",
            "the signal is SIGILL, and the bytes cannot be decoded",
        ),
        None => {
            let of_arm = if arm || crash.machine.is_none() {
                " On AArch64, an indirect branch that may not go there (BTI) and a signed pointer \
                 that fails its check are other reasons."
            } else {
                ""
            };
            Conclusion::new(
                illegal,
                Confidence::Guess,
                format!(
                    "The processor refused the instruction, whose bytes the source does not have: a \
                     trap that compilers and programs put behind a failed check (such as ud2), an \
                     instruction that the processor does not have, or bytes that are no code.{of_arm}"
                ),
                "the signal is SIGILL",
            )
        }
    }
}

/// Whether a refused instruction of AArch64 is one that checks the signature of a pointer. The
/// kernel sends `ILL_ILLOPN` if the check failed; processors without pointer authentication ignore
/// the older of these instructions and refuse the others.
fn checks_signature(text: &str, code: Option<i32>) -> bool {
    let mnemonic = text.split_whitespace().next().unwrap_or_default();
    let hints = ["autiasp", "autibsp", "autiaz", "autibz", "autia1716", "autib1716"];
    let branches = ["retaa", "retab", "braa", "brab", "blraa", "blrab", "ldraa", "ldrab", "eretaa"];
    let checks =
        mnemonic.starts_with("aut") || branches.iter().any(|branch| mnemonic.starts_with(branch));
    // An indirect branch that may not go there (BTI) gives ILL_ILLOPC.
    hints.contains(&mnemonic) && code.is_none_or(|code| code == ILL_ILLOPN)
        || checks && code == Some(ILL_ILLOPN)
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

/// Whether gdb wrote the core of a program that it had stopped.
pub(super) fn is_stop_of_gdb(evidence: &Evidence<'_>) -> bool {
    evidence.crash.source == CrashSource::Core && evidence.crash.has_ended == Some(false)
}

fn trap(evidence: &Evidence<'_>) -> Conclusion {
    let instruction = evidence.fault.instruction.as_ref();
    // On x86 the instruction pointer is after the breakpoint, so the bytes before it count.
    let breakpoint = instruction.is_some_and(|found| found.kind == InstructionKind::Breakpoint);
    let code = evidence.crash.code;
    let sentence = match code {
        _ if is_stop_of_gdb(evidence) => {
            "A debugger stopped the program (breakpoint, watchpoint, catchpoint or single step), or \
             it ran into a breakpoint or trap in its own code (int3, brk, __debugbreak)."
        }
        Some(TRAP_TRACE) => {
            "The processor stopped the program after one instruction: its flag for single steps \
             was set, by the program itself or by a debugger that has left."
        }
        Some(TRAP_HWBKPT) => {
            "The program ran into a breakpoint or watchpoint of the hardware, which a debugger or \
             the program itself had set."
        }
        Some(TRAP_PERF) => {
            "An event that the program asked perf_event_open(2) to signal ended it, because \
             nothing handled the signal."
        }
        _ if evidence.crash.has_ended == Some(false) => {
            "The program ran into a breakpoint or trap in its own code (int3, brk, __debugbreak), \
             or one that a debugger or uprobe left behind."
        }
        _ => {
            "The program ran into a breakpoint or trap without a debugger: one in its own code \
             (int3, brk, __debugbreak), or one that a debugger or uprobe left behind."
        }
    };
    // The kernel of x86 sends SI_KERNEL for int3, and logs no signals that a process sent.
    let is_known = breakpoint
        || evidence.crash.source == CrashSource::KernelLog
        || matches!(code, Some(TRAP_BRKPT | TRAP_TRACE | TRAP_HWBKPT | TRAP_PERF | SI_KERNEL));
    let name = code.and_then(|code| code_name(SIGTRAP, code)).map(|(name, _)| name);
    Conclusion::new(
        Cause::Trap,
        if is_known { Confidence::Certain } else { Confidence::Likely },
        sentence,
        match name {
            _ if breakpoint => "the instruction is a breakpoint".to_owned(),
            Some(name) => format!("si_code is {name}"),
            None => "the signal is SIGTRAP".to_owned(),
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
    let (confidence, sentence, because) = match crash.code {
        Some(SYS_SECCOMP) => (
            Confidence::Certain,
            format!("A seccomp filter forbids the system call{number} that the program made."),
            "si_code is SYS_SECCOMP",
        ),
        Some(SYS_USER_DISPATCH) => (
            Confidence::Certain,
            format!(
                "The program had asked to get its system calls as signals \
                 (PR_SET_SYSCALL_USER_DISPATCH), and nothing handled the one for the system \
                 call{number}."
            ),
            "si_code is SYS_USER_DISPATCH",
        ),
        _ => (
            Confidence::Likely,
            format!(
                "Most likely a seccomp filter forbids the system call{number} that the program \
                 made."
            ),
            "the signal is SIGSYS",
        ),
    };
    Conclusion::new(Cause::ForbiddenSystemCall, confidence, sentence, because)
}
