//! Sentences about signals that no memory access caused.

use crate::reports::check;
use vmatlas_explain::crash::{Crash, CrashSource, Machine, Sender, SymbolFrame};
use vmatlas_explain::explain::signal_words::code_name;
use vmatlas_explain::explain::{Cause, Evidence, Explanation, Fault, explain};
use vmatlas_explain::label::{Confidence, Facts, Labels};

fn explained(crash: &Crash) -> Explanation {
    let (facts, labels) = (Facts::default(), Labels::default());
    explain(&with!(Evidence::new(crash, &facts, &labels), fault = Fault::of(crash, None)))
}

/// A crash of a core dump without siginfo by a signal, with these functions on the stack.
fn core(signal: i32, functions: &[&str]) -> Crash {
    let frame = |name: &&str| SymbolFrame {
        function: (*name).to_owned(),
        module: "/usr/bin/app".to_owned(),
        ..SymbolFrame::default()
    };
    with!(
        Crash::default(),
        source = CrashSource::Core,
        pid = Some(7),
        signal = Some(signal),
        frames = functions.iter().map(frame).collect()
    )
}

/// The output of `coredumpctl info`: a function, `?` if it has no name, and its module in each word.
fn coredumpctl(signal: &str, frames: &str) -> String {
    let mut text = format!(
        "           PID: 1234 (app)\n        Signal: {signal}\n       Message: Process 1234 (app) of user 1000 dumped core.\n\n                Stack trace of thread 1234:\n"
    );
    for (number, frame) in frames.split_whitespace().enumerate() {
        let (function, module) = frame.split_once('/').unwrap_or((frame, "app"));
        let function = if function == "?" { "n/a" } else { function };
        text.push_str(&format!(
            "                #{number}  0x000055d0c0000217 {function} ({module} + 0x1217)\n"
        ));
    }
    text
}

#[test]
fn the_caller_of_abort_may_have_no_name() {
    let log = |frames| coredumpctl("6 (ABRT)", frames);
    let not = ["libc_start", "once_slow", "in main", " in outer"];
    let stripped = "raise/libc.so.6 abort/libc.so.6 ? __libc_start_call_main/libc.so.6";
    check(&log(stripped), Cause::Abort, &["ended itself by abort(3)."], &not);
    let callback = "abort/libc.so.6 ?/libcodec.so.3 __pthread_once_slow/libc.so.6 outer main";
    check(&log(callback), Cause::Abort, &["ended itself by abort(3)."], &not);
    // The C library's own functions have no names, either.
    let named = "?/libc.so.6 raise/libc.so.6 ?/libc.so.6 abort/libc.so.6 work main";
    check(&log(named), Cause::Abort, &["ended itself by abort(3) in work."], &[]);
}

#[test]
fn sigabrt_without_abort_may_come_from_another_process() {
    let words = &["does not say who sent SIGABRT", "watchdog"][..];
    let not = ["ended itself", "in epoll_wait. The program"];
    for frames in ["epoll_wait/libc.so.6 ? main", "work main"] {
        check(&coredumpctl("6 (ABRT)", frames), Cause::SentSignal, words, &not);
    }
    let python = "Fatal Python error: Aborted\n\nCurrent thread 0x00007f1b7a8b0740 (most recent call first):\n  File \"/usr/lib/python3.11/socket.py\", line 706 in readinto\n";
    check(python, Cause::SentSignal, words, &["ended itself"]);
    // Methods with names of functions of the C library.
    check(&python.replace("readinto", "abort"), Cause::SentSignal, words, &["ended itself"]);
    let fault = python.replace("Aborted", "Segmentation fault").replace("readinto", "kill");
    check(&fault, Cause::Unknown, &["in kill"], &["sent itself"]);
    // Nothing is known of the innermost function.
    let unnamed = coredumpctl("6 (ABRT)", "? ? main");
    check(&unnamed, Cause::Abort, &["ended itself most likely by abort(3)."], &["in main."]);
    let said = "*** %n in writable segment detected ***\n";
    check(said, Cause::Abort, &["most likely by abort(3)"], &["watchdog"]);
}

#[test]
fn functions_on_the_stack_identify_an_abort() {
    let aborted = |name: &str, cause, word: &str| {
        let found = explained(&core(6, &["raise", "abort", name, "main"]));
        assert_eq!((found.cause, found.confidence), (cause, Confidence::Certain), "{found:?}");
        assert!(found.conclusion.contains(word), "{name}: {found:?}");
    };
    aborted("__stack_chk_fail", Cause::CorruptMemory, "canary");
    aborted("__chk_fail", Cause::CorruptMemory, "would be overrun");
    aborted("__fortify_fail", Cause::CorruptMemory, "was or would be overrun");
    aborted("malloc_printerr", Cause::CorruptMemory, "The C library found the heap corrupted");
    aborted("__assert_fail", Cause::Abort, "An assertion of the program failed");
    aborted("__assert_perror_fail", Cause::Abort, "An assertion of the program failed");
    aborted("__libc_fatal", Cause::Abort, "cannot continue");
    aborted("scudo::reportInvalidChunkState(int)", Cause::CorruptMemory, "found the heap");
    aborted("scudo::reportAllocationSizeTooBig(int)", Cause::Abort, "(Scudo) met an error");
    aborted("__asan::ReportGenericError(int)", Cause::CorruptMemory, "found a bad access");
    aborted("__asan::ReportOutOfMemory(int)", Cause::Abort, "AddressSanitizer found an error");
    aborted("__ubsan_handle_add_overflow_abort", Cause::Abort, "A check of Undefined");
    aborted("std::panicking::rust_panic_with_hook", Cause::Abort, "its own panic hook");
    aborted("std::process::abort", Cause::Abort, "called std::process::abort");
    aborted("std::alloc::rust_oom", Cause::OutOfMemory, "could not get the memory");
    let handler = "std::sys::pal::unix::stack_overflow::imp::signal_handler";
    aborted(handler, Cause::StackOverflow, "no more room");
    // These run before anything fails, or behind any allocation.
    for name in [
        "__asan::AsanThread::ThreadStart",
        "std::sys::pal::unix::stack_overflow::imp::make_handler",
        "scudo::Allocator::allocate",
        "__ubsan_default_options",
    ] {
        let found = explained(&core(6, &["raise", "abort", "work", name]));
        assert_eq!(found.conclusion, "The program ended itself by abort(3) in work.", "{name}");
    }
    let memory = ["abort", "std::process::abort", "std::alloc::rust_oom", "main"];
    assert_eq!(explained(&core(6, &memory)).cause, Cause::OutOfMemory);
}

/// The unwinder ends the program by itself if it cannot unwind, whatever would catch the exception.
#[test]
fn an_exception_is_not_caught_if_std_terminate_says_so() {
    let found = |inside: &[&str], throws: &str| {
        let outside = [throws, "parse", "main"];
        let frames = [&["raise", "abort"], inside, &outside].concat();
        explained(&core(6, &frames))
    };
    let terminates = ["__gnu_cxx::__verbose_terminate_handler()", "std::terminate()"];
    let personality = ["__gxx_personality_v0", "_Unwind_RaiseException"];
    let terminate = ["__cxxabiv1::__terminate(void (*)())"];
    for inside in [&terminates[..], &terminates[1..], &terminate, &personality] {
        let thrown = found(inside, "__cxa_throw");
        assert!(thrown.conclusion.starts_with("A C++ exception was not caught"), "{thrown:?}");
        assert_eq!(thrown.confidence, Confidence::Certain);
        let again = found(inside, "__cxa_rethrow");
        assert!(again.conclusion.contains("there was none to throw again"), "{again:?}");
    }
    let frames = |library: &str| {
        format!(
            "raise/libc.so.6 abort/libc.so.6 ?/{library} _Unwind_RaiseException/libgcc_s.so.1 __cxa_throw/libstdc++.so.6 main"
        )
    };
    let stripped = coredumpctl("6 (ABRT)", &frames("libstdc++.so.6"));
    check(&stripped, Cause::Abort, &["A C++ exception was not caught"], &["unwinder"]);
    let failed = coredumpctl("6 (ABRT)", &frames("libgcc_s.so.1"));
    check(&failed, Cause::Abort, &["or the unwinder failed"], &["A C++ exception was not"]);
    let unwinder = ["uw_init_context_1[cold]", "_Unwind_RaiseException"];
    for inside in [&unwinder[..], &unwinder[1..], &[]] {
        for throws in ["__cxa_throw", "__cxa_rethrow"] {
            let thrown = found(inside, throws);
            let starts = "The program ended itself while a C++ exception was being thrown";
            assert!(thrown.conclusion.starts_with(starts), "{thrown:?}");
            let unwinds = thrown.conclusion.contains("or the unwinder failed");
            assert_eq!(unwinds, inside.contains(&"_Unwind_RaiseException"), "{thrown:?}");
            assert_eq!((thrown.cause, thrown.confidence), (Cause::Abort, Confidence::Likely));
        }
    }
}

#[test]
fn panics_of_rust_that_do_not_unwind() {
    let end = ["raise", "abort", "std::process::abort", "std::panicking::panic_with_hook"];
    let found = |frames: &[&str]| explained(&core(6, &[&end[..], frames, &["main"]].concat()));
    for frames in [
        &["core::panicking::panic_nounwind_fmt", "core::panicking::panic_nounwind"][..],
        &["core::panicking::panic_nounwind_fmt", "core::panicking::panic_cannot_unwind"],
        &["core::panicking::panic_cannot_unwind"],
        &["core::panicking::panic_no_unwind"],
    ] {
        let found = found(frames).conclusion;
        assert!(found.contains("in a way that does not unwind"), "{found}");
    }
    let panic = found(&["core::panicking::panic_fmt"]).conclusion;
    assert!(panic.contains("as with panic=abort"), "{panic}");
}

#[test]
fn checks_fail_because_memory_is_exhausted() {
    for (signal, frames) in [
        (5, &["base::ImmediateCrash()", "partition_alloc::internal::OnNoMemoryInternal"][..]),
        (5, &["v8::base::OS::Abort()", "V8_Fatal", "v8::internal::V8::FatalProcessOutOfMemory"]),
        (11, &["MOZ_CrashSequence", "MOZ_Crash", "js::AutoEnterOOMUnsafeRegion::crash_impl"]),
        (11, &["MOZ_Crash", "NS_ABORT_OOM"]),
    ] {
        let found = explained(&core(signal, &[frames, &["work", "main"]].concat()));
        assert_eq!(found.cause, Cause::OutOfMemory, "{found:?}");
        assert!(found.conclusion.contains("exhausted, or a limit"), "{found:?}");
    }
    let check = explained(&core(5, &["base::ImmediateCrash()", "RoomOnNoMemory", "main"]));
    assert_eq!(check.cause, Cause::Abort, "{check:?}");
}

#[test]
fn only_some_checks_write_to_a_null_pointer() {
    let fault = |name| explained(&with!(core(11, &[name, "main"]), address = Some(0))).cause;
    for name in ["Monitor::onHealthCheckFailed", "app::CheckFailed", "CheckError::what"] {
        assert_eq!(fault(name), Cause::NullPointer, "{name}");
        let at = with!(core(7, &[name, "main"]), address = Some(0x7000_0000), code = Some(2));
        assert_eq!(explained(&at).cause, Cause::PastFile, "{name}");
    }
    for name in ["MOZ_CrashSequence", "WTFCrashWithInfo(int)", "mozalloc_abort(char const*)"] {
        assert_eq!(fault(name), Cause::Abort, "{name}");
        let at = with!(core(11, &[name, "main"]), address = Some(0x7000_0000), code = Some(1));
        assert_eq!(explained(&at).cause, Cause::Unmapped, "{name}");
    }
    for name in ["zoom::CheckFailed", "Bloom::CheckFailed", "ROOM_V8::CheckFailed"] {
        let found = explained(&core(6, &["abort", name, "main"]));
        assert_eq!(found.cause, Cause::Abort, "{found:?}");
        assert!(found.conclusion.contains("own checks failed"), "{found:?}");
    }
    let exhausted = explained(&core(6, &["abort", "v8::base::FatalOOM(int, char const*)"]));
    assert_eq!(exhausted.cause, Cause::OutOfMemory);
}

#[test]
fn the_allocator_of_the_c_library_is_in_its_module() {
    let log = |frames: &str| coredumpctl("11 (SEGV)", frames);
    let heap = &["C library failed"][..];
    check(&log("free/libc.so.6 main"), Cause::CorruptMemory, heap, &[]);
    for frames in ["free/libjemalloc.so.2 main", "malloc/libtcmalloc.so.4 main", "free/app main"] {
        check(&log(frames), Cause::Unknown, &[], heap);
    }
    let python = "Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f1b7a8b0740 (most recent call first):\n  File \"/usr/lib/python3.11/driver.py\", line 715 in free\n";
    check(python, Cause::Unknown, &[], heap);
    let deep = log(&format!("malloc/libc.so.6 {}", "parse ".repeat(62)));
    check(&deep, Cause::StackOverflow, &["parse calls itself over and over"], heap);
}

#[test]
fn a_stack_that_was_cut_may_be_full() {
    let heap = &["C library failed", "most likely"][..];
    let full = &["the heap is corrupted", "or the stack has no more room"][..];
    for frames in ["_int_malloc/libc.so.6 object", "free/libc.so.6", "malloc/libc.so.6 main_loop"] {
        check(&coredumpctl("11 (SEGV)", frames), Cause::CorruptMemory, full, heap);
    }
    let gdb = "Program received signal SIGSEGV, Segmentation fault.\n#0  0x00007ffff7e6b098 in _int_malloc (bytes=24) at malloc.c:4405\n#1  0x00007ffff7e6baca in __GI___libc_malloc (bytes=24) at malloc.c:3315\n#2  0x000055555555514e in object (d=174705) at deep.c:4\n#3  0x0000555555555192 in value (d=174704) at deep.c:5\n(More stack frames follow...)\n";
    check(gdb, Cause::CorruptMemory, full, heap);
    for end in ["main", "start_thread/libc.so.6", "__clone3/libc.so.6", "_start/app"] {
        let whole = coredumpctl("11 (SEGV)", &format!("free/libc.so.6 work {end}"));
        check(&whole, Cause::CorruptMemory, heap, &["room"]);
    }
}

#[test]
fn an_allocator_fails_by_a_signal() {
    let not = &["C library", "corrupted"][..];
    let asan = |what: &str| {
        format!(
            "==77==ERROR: AddressSanitizer: {what}\n    #0 0x55d18d0731b5 in malloc\n    #1 0x55d18d0834ed in main src/main.c:9:3\n"
        )
    };
    for what in [
        "requested allocation size 0xffffffffffffffff exceeds maximum supported size of 0x10000000000 (thread T0)",
        "calloc parameters overflow: count * size (1 * -2) cannot be represented in type size_t",
        "allocator is out of memory trying to allocate 0x40000000000 bytes",
    ] {
        check(&asan(what), Cause::Unknown, &[what], not);
    }
    let android = "*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***\nBuild fingerprint: 'x'\nABI: 'arm64'\npid: 1733, tid: 1733, name: app  >>> app <<<\nsignal 35 (<debuggerd signal>), code -1 (SI_QUEUE from pid 4321, uid 0), fault addr --------\nbacktrace:\n      #00 pc 000000000009d2c8  /system/lib64/libc.so (malloc+88)\n      #01 pc 0000000000018438  /data/app/lib/arm64/libapp.so (decode+184)\n";
    check(android, Cause::Unknown, &[], not);
}

#[test]
fn faults_without_a_code_are_less_certain() {
    let found = |signal, code| explained(&with!(core(signal, &["work", "main"]), code = code));
    let fpe = found(8, None);
    assert_eq!(fpe.conclusion, "A calculation failed: the source does not say how.");
    assert_eq!(fpe.confidence, Confidence::Likely);
    let filtered = found(31, Some(1));
    assert_eq!(filtered.confidence, Confidence::Certain);
    assert!(filtered.conclusion.starts_with("A seccomp filter forbids"), "{filtered:?}");
    let unknown = found(31, None);
    assert_eq!(unknown.confidence, Confidence::Likely);
    assert!(unknown.conclusion.starts_with("Most likely a seccomp filter"), "{unknown:?}");
    let dispatched = found(31, Some(2));
    assert!(dispatched.conclusion.contains("asked to get its system calls"), "{dispatched:?}");
    assert!(!dispatched.conclusion.contains("seccomp"), "{dispatched:?}");
    for signal in [4, 5, 7, 8, 11, 31] {
        let found = explained(&core(signal, &["raise", "work", "main"]));
        assert_eq!(found.cause, Cause::SentSignal, "{found:?}");
        assert!(found.conclusion.starts_with("The program sent itself"), "{found:?}");
    }
    let s390 = "User process fault: interruption code 0009 ilc:2 in a.out[1000000+1000]\n";
    check(s390, Cause::DivideByZero, &["most likely"], &["does not say"]);
}

#[test]
fn traps_are_told_apart() {
    let found = |code| explained(&with!(core(5, &["work", "main"]), code = code)).conclusion;
    for code in [None, Some(1), Some(0x80)] {
        assert!(found(code).contains("breakpoint or trap without a debugger"), "{code:?}");
    }
    assert!(found(Some(2)).contains("after one instruction"), "{}", found(Some(2)));
    assert!(found(Some(4)).contains("of the hardware"), "{}", found(Some(4)));
    assert!(found(Some(6)).contains("perf_event_open"), "{}", found(Some(6)));
    let gdb = "Program received signal SIGTRAP, Trace/breakpoint trap.\n#0  0x00005555555551a2 in work (p=0x0) at w.c:5\n";
    let not = ["without a debugger", "ended"];
    check(gdb, Cause::Trap, &["got SIGTRAP in work", "breakpoint or trap in its own"], &not);
}

#[test]
fn only_signals_that_end_a_program_ended_it() {
    let ended = "was ended by SIGSEGV";
    let gdb = |how: &str| {
        format!(
            "Program {how} with signal SIGSEGV, Segmentation fault.\n#0  0x1 in work () at w.c:5\n"
        )
    };
    check(&gdb("terminated"), Cause::Unknown, &[ended], &[]);
    let received = gdb("received").replace("received with", "received");
    check(&received, Cause::Unknown, &["got SIGSEGV"], &[ended]);
    let go = "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x6c2a31]\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/app/main.go:21 +0x1d\n";
    check(go, Cause::NullPointer, &["got SIGSEGV"], &[ended]);
    let ruby = "a.rb:4: [BUG] Segmentation fault at 0x0000000000000010\n";
    check(ruby, Cause::NullPointer, &["got SIGSEGV"], &[ended]);
    let redis = "8565:M 02 Jan 2026 20:53:47.880 # Redis 7.0.15 crashed by signal: 11, si_code: 1\nAccessing address: 0x10\n";
    check(redis, Cause::NullPointer, &["got SIGSEGV"], &[ended]);
    let java = "#\n#  SIGSEGV (0xb) at pc=0x00007f2a3de20000, pid=4711, tid=4713\n#\nsiginfo: si_signo: 11 (SIGSEGV), si_code: 1 (SEGV_MAPERR), si_addr: 0x10\n";
    check(java, Cause::NullPointer, &["got SIGSEGV"], &[ended]);
}

#[test]
fn keys_of_a_terminal_send_signals() {
    let log = coredumpctl("3 (QUIT)", "clock_nanosleep/libc.so.6 main");
    check(&log, Cause::SentSignal, &["a key of the terminal"], &[]);
    // The kernel sends the signal of PR_SET_PDEATHSIG in the name of the parent.
    let sender = |pid| {
        let log = format!(
            "8565:M 02 Jan 2026 20:53:47.880 # Redis 7.0.15 crashed by signal: 11, si_code: 0\nKilled by PID: {pid}, UID: 1000\n"
        );
        let crashes = vmatlas_explain::crash::read_log(log.as_bytes());
        explained(&crashes[0]).conclusion
    };
    assert!(sender(8565).contains("sent itself SIGSEGV by kill(2),"), "{}", sender(8565));
    let other = "sent SIGSEGV by kill(2), or by its end (PR_SET_PDEATHSIG)";
    assert!(sender(9).contains(other), "{}", sender(9));
}

/// An instruction of AArch64 that the processor refused.
fn refused(word: u32, code: i32) -> Explanation {
    explained(&with!(
        core(4, &["work", "main"]),
        machine = Some(Machine::AArch64),
        code = Some(code),
        ip = Some(0x40_0000),
        code_bytes = Some((0x40_0000, word.to_le_bytes().to_vec()))
    ))
}

#[test]
#[cfg_attr(not(feature = "decoders"), ignore = "needs the feature decoders")]
fn instructions_of_aarch64_that_are_refused() {
    let has = |word, code, words: &str| {
        let found = refused(word, code);
        assert!(found.conclusion.contains(words), "{word:#x}: {found:?}");
        found
    };
    let ptrue = has(0x2518_e3e0, 1, "cannot be decoded here");
    assert!(!ptrue.conclusion.contains("astray"), "{ptrue:?}");
    let zero = has(0, 1, "executed bytes are 0");
    assert_eq!(zero.confidence, Confidence::Likely);
    has(0x0000_c11f, 1, "compilers put where control must not come");
    // autiasp; autiasp where a branch may not go; retaa; retaa on a processor that may lack it.
    has(0xd503_23bf, 2, "signed pointer failed");
    has(0xd503_23bf, 1, "(BTI)");
    has(0xd65f_0bff, 2, "signed pointer failed");
    has(0xd65f_0bff, 1, "does not have it");
    // Any instruction that is no landing pad.
    has(0xa9bf_7bfd, 1, "(BTI)");
    has(0x2518_e3e0, 1, "(BTI)");
    let log = "*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***\nBuild fingerprint: 'x'\nABI: 'arm64'\npid: 7, tid: 7, name: app  >>> app <<<\nsignal 4 (SIGILL), code 1 (ILL_ILLOPC), fault addr 0x7f00006001\nbacktrace:\n      #00 pc 0000000000000f08  /system/lib64/libapp.so (draw+8)\n";
    let others = &["an indirect branch that may not go there (BTI)"];
    check(log, Cause::IllegalInstruction, others, &[]);
    check(&log.replace("arm64", "x86_64"), Cause::IllegalInstruction, &["ud2"], others);
    let line = |class: &str, esr: &str| {
        format!(
            "foo[234]: unhandled exception: {class}, ESR 0x{esr}, undefined instruction in app[aaaab4560000+1000]\n"
        )
    };
    let (bti, fpac) = (line("BTI", "0000000036000000"), line("FPAC", "0000000072000000"));
    check(&bti, Cause::IllegalInstruction, &["(BTI)"], &["does not have", "ud2"]);
    check(&fpac, Cause::IllegalInstruction, &["signed pointer failed"], &["ud2"]);
}

#[test]
fn each_code_has_a_meaning() {
    let meanings: [(i32, i32, &str); 51] = [
        (11, 0, "sent by kill(2), or by the kernel in a process's name"),
        (11, 0x80, "sent by the kernel, which gives no details"),
        (11, -1, "sent by sigqueue(3)"),
        (11, -2, "sent by a timer"),
        (11, -3, "sent by a message queue"),
        (11, -4, "sent by asynchronous input or output"),
        (11, -5, "sent for a file descriptor"),
        (11, -6, "sent by tgkill(2), as by raise(3) and abort(3)"),
        (4, 1, "an invalid opcode"),
        (4, 2, "an invalid opcode or operand"),
        (4, 3, "an instruction with an addressing mode that it cannot have"),
        (4, 4, "an illegal trap"),
        (4, 5, "an instruction that only the kernel may execute"),
        (4, 6, "a register that only the kernel may use"),
        (4, 7, "an error of a coprocessor"),
        (4, 8, "an error of the internal stack"),
        (8, 1, "a division of integers failed"),
        (8, 2, "an integer too large"),
        (8, 3, "a floating-point number divided by zero"),
        (8, 4, "a floating-point number too large"),
        (8, 5, "a floating-point number too small"),
        (8, 6, "a floating-point result that is not exact"),
        (8, 7, "a floating-point operation that is not valid"),
        (8, 8, "a subscript out of range"),
        (11, 1, "nothing is mapped there, or a guard"),
        (11, 2, "the mapping there does not permit it"),
        (11, 3, "outside the bounds that were set (MPX)"),
        (11, 4, "a protection key forbids it"),
        (11, 5, "ADI is not enabled for it"),
        (11, 6, "an ADI mismatch, reported late"),
        (11, 7, "an ADI mismatch"),
        (11, 8, "a memory tag that does not match, reported late"),
        (11, 9, "a memory tag that does not match"),
        (11, 10, "a return or branch that the shadow stack or IBT forbids"),
        (7, 1, "an address that is not aligned"),
        (7, 2, "mapped, but with no memory behind it"),
        (7, 3, "an error of the hardware behind it"),
        (7, 4, "broken memory was used"),
        (7, 5, "broken memory was found"),
        (5, 1, "a breakpoint"),
        (5, 2, "a single step"),
        (5, 3, "a branch"),
        (5, 4, "a breakpoint or watchpoint of the hardware"),
        (5, 6, "an event of perf_event_open(2)"),
        (31, 1, "a system call that a seccomp filter forbids"),
        (31, 2, "a system call given to the program"),
        (6, 0, "sent by kill(2), or by the kernel in a process's name"),
        (6, -6, "sent by tgkill(2), as by raise(3) and abort(3)"),
        (24, 0x80, "sent by the kernel, which gives no details"),
        (25, 0, "sent by kill(2), or by the kernel in a process's name"),
        (3, -1, "sent by sigqueue(3)"),
    ];
    for (signal, code, meaning) in meanings {
        assert_eq!(code_name(signal, code).map(|found| found.1), Some(meaning), "{signal} {code}");
    }
}

#[test]
fn signals_of_timers_are_not_the_program_s_own() {
    for (signal, name) in [(6, "SIGABRT"), (11, "SIGSEGV")] {
        let mut crash = core(signal, &["__libc_pause", "main"]);
        crash.code = Some(-2);
        let found = explained(&crash);
        let sentence = format!("{name} was sent by a timer.");
        assert_eq!((found.cause, found.conclusion), (Cause::SentSignal, sentence));
    }
}

#[test]
fn a_debugger_may_have_stopped_the_program() {
    for code in [0x80, 2, 4] {
        let mut crash = core(5, &["work", "main"]);
        (crash.code, crash.has_ended) = (Some(code), Some(false));
        let found = explained(&crash);
        assert_eq!(found.cause, Cause::Trap, "{found:?}");
        assert!(found.paragraph.contains("got SIGTRAP"), "{found:?}");
        assert!(found.conclusion.contains("A debugger stopped the program"), "{found:?}");
    }
    // A breakpoint at a function that ends programs ends none.
    let mut crash = core(5, &["g_assertion_message", "main"]);
    (crash.code, crash.has_ended) = (Some(0x80), Some(false));
    assert_eq!(explained(&crash).cause, Cause::Trap);
    // Nor does a signal at which it stopped.
    let mut crash = core(15, &["pause", "main"]);
    crash.has_ended = Some(false);
    let found = explained(&crash);
    assert!(!found.paragraph.contains("ended the program"), "{found:?}");
}

#[test]
fn musl_raises_signals_in_functions_of_its_own() {
    let mut crash = core(6, &["__restore_sigs", "raise", "abort", "work", "main"]);
    (crash.code, crash.sender) = (Some(-6), Some(Sender { pid: 7, uid: 0 }));
    assert!(explained(&crash).conclusion.contains("by abort(3) in work"));
    // Where the callers are not known, abort(3) is not told from raise(3).
    for known in [1, 2] {
        crash.frames.truncate(known);
        let found = explained(&crash);
        assert!(found.conclusion.ends_with("by abort(3) or raise(3)."), "{found:?}");
    }
}

#[test]
fn the_frame_of_a_handler_may_be_left_over() {
    let mut crash = core(6, &["raise", "abort", "work"]);
    crash.perhaps_in_handler_of = Some(11);
    let found = explained(&crash);
    assert!(found.paragraph.contains("Perhaps it happened in a handler of SIGSEGV"), "{found:?}");
}

#[test]
fn a_handler_is_called_by_the_kernel() {
    let mut crash = core(11, &["", "__restore_rt", "main"]);
    crash.frames[0].offset = Some(0x1d20);
    let found = explained(&crash);
    assert!(found.paragraph.contains("in app+0x1d20, in a signal handler"), "{found:?}");
}
