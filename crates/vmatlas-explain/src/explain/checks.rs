//! Programs that ended themselves after a failed check.

use super::aborts::caller;
use super::signals::is_stop_of_gdb;
use super::{Cause, Conclusion, Evidence};
use crate::crash::{Access, CrashSource};
use crate::label::Confidence;
use vmatlas_maps::uapi::siginfo::{TRAP_BRANCH, TRAP_HWBKPT, TRAP_PERF, TRAP_TRACE};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGSEGV, SIGTRAP};

/// Functions with which programs end themselves after a failed check, as Chromium, V8, WebKit,
/// Mozilla, glog, GLib and sanitizers name them, with or without the scopes around them. A trailing
/// `*` matches any suffix.
const CHECKS: [&str; 25] = [
    "ImmediateCrash",
    "IMMEDIATE_CRASH",
    "CrashImmediately",
    "V8_Fatal",
    "V8_Dcheck",
    "v8::base::OS::Abort",
    "CheckFailed",
    "CheckFailure",
    "CheckError",
    "CheckOpFailed",
    "CHECK_failed",
    "LogMessageFatal",
    "LogMessage::Fail",
    "NotReachedError",
    "__builtin_trap",
    "g_assertion_message*",
    "_dbus_abort",
    "SystemBreakIntoDebugger",
    "__sanitizer::Trap",
    EXHAUSTED[0],
    EXHAUSTED[1],
    WRITE_TO_MINUS_ONE[0],
    WRITE_TO_MINUS_ONE[1],
    WRITE_TO_MINUS_ONE[2],
    WRITE_TO_MINUS_ONE[3],
];
/// Those that write to a null pointer on purpose.
const WRITE_TO_NULL: [&str; 4] = ["MOZ_Crash*", "WTFCrash*", "mozalloc_abort", EXHAUSTED[0]];
/// Those of Redis and Valkey that write to the address -1 on purpose (`*((char*)-1) = 'x'` in
/// src/debug.c).
const WRITE_TO_MINUS_ONE: [&str; 4] =
    ["_serverAssert", "_serverPanic", "_redisAssert", "_redisPanic"];
/// Those that end the program because memory is exhausted.
const EXHAUSTED: [&str; 2] = ["mozalloc_handle_oom", "v8::base::FatalOOM"];
/// Functions for the same reason that call one of the others, of Chromium, V8 and Mozilla.
const CALL_AS_EXHAUSTED: [&str; 12] = [
    EXHAUSTED[0],
    EXHAUSTED[1],
    "OnNoMemoryInternal",
    "OnNoMemory",
    "TerminateBecauseOutOfMemory",
    "PartitionOutOfMemory*",
    "ReportV8OOMError",
    "FatalProcessOutOfMemory",
    "FatalOOM",
    "AutoEnterOOMUnsafeRegion::crash",
    "AutoEnterOOMUnsafeRegion::crash_impl",
    "NS_ABORT_OOM",
];
/// The address to which WTFCrash of WebKit writes.
const WEBKIT_CRASH: u64 = 0xbbad_beef;
/// The address to which abort(3) and the allocator of Android's C library write before Android 5.0
/// (`*((char*)0xdeadbaad) = 39` in libc/unistd/abort.c, `CORRUPTION_ERROR_ACTION` in
/// libc/bionic/dlmalloc.c).
const ANDROID_ABORT: u64 = 0xdead_baad;
const ENDED_ITSELF: &str = "The program ended itself: old versions of Android's C library write to \
    this address on purpose in abort(3), and where they find the heap corrupted.";
/// Number of innermost frames that may hold such a function: the others are inlined into it.
const INNERMOST: usize = 6;

/// A check of the program that failed: the innermost functions end the program on purpose.
pub(super) fn conclude(evidence: &Evidence<'_>) -> Option<Conclusion> {
    const SENTENCE: &str = "The program ended itself on purpose: one of its own checks failed.";
    /// A null pointer on purpose may have a small offset.
    const NULL: u64 = 1 << 12;
    let writes = evidence.fault.access.is_none_or(|access| access == Access::Write);
    if evidence.fault.address == Some(WEBKIT_CRASH) && writes {
        let because = format!("WebKit writes to {WEBKIT_CRASH:#x} if a check fails");
        return Some(Conclusion::new(Cause::Abort, Confidence::Likely, SENTENCE, because));
    }
    if evidence.fault.address == Some(ANDROID_ABORT) && writes && is_of_android(evidence) {
        let because = format!("abort(3) of old versions of Android writes to {ANDROID_ABORT:#x}");
        return Some(Conclusion::new(Cause::Abort, Confidence::Likely, ENDED_ITSELF, because));
    }
    let name = &caller(evidence)?.function;
    let faults = matches!(evidence.crash.signal, Some(SIGSEGV | SIGBUS));
    let on_purpose = match faults {
        true => {
            let address = evidence.fault.address;
            let is_minus_one = |it| it == u64::MAX || it == u64::from(u32::MAX);
            address.is_none_or(|it| it < NULL) && is_one_of(name, &WRITE_TO_NULL)
                || address.is_some_and(is_minus_one) && is_one_of(name, &WRITE_TO_MINUS_ONE)
        }
        // A debugger's single step or breakpoint stops wherever it stands.
        false => !is_of_debugger(evidence) && is_check(name),
    };
    if !on_purpose {
        return None;
    }
    let mut all = evidence.functions.iter().take(INNERMOST);
    let (cause, sentence) = if all.any(|name| is_one_of(name, &CALL_AS_EXHAUSTED)) {
        (
            Cause::OutOfMemory,
            "The program ended itself on purpose because memory was exhausted, or a limit on it was \
             reached.",
        )
    } else {
        (Cause::Abort, SENTENCE)
    };
    let confidence = Confidence::Likely;
    Some(Conclusion::new(cause, confidence, sentence, format!("{name} is the innermost function")))
}

/// Whether a program of Android may have been in its C library.
fn is_of_android(evidence: &Evidence<'_>) -> bool {
    let crash = evidence.crash;
    let library = |module: &str| module.rsplit('/').next() == Some("libc.so");
    crash.source == CrashSource::Tombstone
        && crash.frames.first().is_none_or(|frame| library(&frame.module))
}

fn is_of_debugger(evidence: &Evidence<'_>) -> bool {
    let code = evidence.crash.code;
    let is_known = matches!(code, Some(TRAP_TRACE | TRAP_BRANCH | TRAP_HWBKPT | TRAP_PERF));
    evidence.crash.signal == Some(SIGTRAP) && (is_known || is_stop_of_gdb(evidence))
}

/// Whether programs end themselves with this function after a failed check.
pub(super) fn is_check(name: &str) -> bool {
    is_one_of(name, &CHECKS) || is_one_of(name, &WRITE_TO_NULL)
}

fn is_one_of(name: &str, functions: &[&str]) -> bool {
    let path = path(name);
    let scopes = |path: &str| path.is_empty() || path.ends_with("::");
    functions.iter().any(|function| match function.strip_suffix('*') {
        Some(start) => path.rsplit("::").next().is_some_and(|last| last.starts_with(start)),
        None => path.strip_suffix(function).is_some_and(scopes),
    })
}

/// The scopes and the name of a function without its type, arguments and the suffixes of compilers;
/// a destructor has the name of its class.
fn path(name: &str) -> String {
    let name = name.replace("(anonymous namespace)", "{anonymous}");
    let mut depth = 0_u32;
    let mut path = String::new();
    for letter in name.chars() {
        match letter {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' | '[' | '.' if depth == 0 => break,
            '~' => {}
            _ if depth == 0 => path.push(letter),
            _ => {}
        }
    }
    path.trim_end().rsplit(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::is_check;

    #[test]
    fn the_last_part_of_a_name_decides() {
        for name in [
            "logging::ImmediateCrash()",
            "WTFCrashWithInfo(int, char const*)",
            "MOZ_CrashSequence",
            "mozalloc_handle_oom(unsigned long)",
            "v8::base::OS::Abort()",
            "google::LogMessageFatal::~LogMessageFatal()",
            "google::LogMessage::Fail()",
            "logging::(anonymous namespace)::CheckFailed(char const*)",
            "void app::CheckOpFailed<int, int>(int const&, int const&) [clone .cold]",
            "app::CheckFailed.isra.0",
            "g_assertion_message_expr",
        ] {
            assert!(is_check(name), "{name}");
        }
        for name in [
            "Monitor::onHealthCheckFailed",
            "CheckFailedHandler::run()",
            "report(logging::CheckError const&)",
            "std::vector<logging::CheckError>::push_back(logging::CheckError const&)",
            "LogMessage::Failover()",
            "OS::Abort()",
            "CheckErrors",
        ] {
            assert!(!is_check(name), "{name}");
        }
    }
}
