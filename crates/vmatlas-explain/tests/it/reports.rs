//! Sentences about crashes in logs: what they must say, and what they must not.

use vmatlas_explain::crash::{Unread, read_log, unread};
use vmatlas_explain::explain::{Cause, Evidence, Fault, explain};
use vmatlas_explain::label::{Confidence, Facts, Labels};

/// Explains the only crash of a log. The paragraph must have some words and must not have others.
#[track_caller]
pub(crate) fn check(log: &str, cause: Cause, words: &[&str], not: &[&str]) {
    let crashes = read_log(log.as_bytes());
    let [crash] = crashes.as_slice() else { panic!("{} crashes: {log}", crashes.len()) };
    let facts = Facts::default();
    let labels = Labels::read(&crash.maps, &facts, None);
    let mut evidence = Evidence::new(crash, &facts, &labels);
    evidence.fault = Fault::of(crash, None);
    let found = explain(&evidence);
    assert_eq!(found.cause, cause, "{found:?}");
    for word in words {
        assert!(found.paragraph.contains(word), "{word:?} is not in {}", found.paragraph);
    }
    for word in not {
        assert!(!found.paragraph.contains(word), "{word:?} is in {}", found.paragraph);
    }
}

const ABORTED: &str = "ended itself by abort(3)";

#[test]
fn bus_errors_are_of_mapped_memory() {
    let asan = |at: &str| {
        format!(
            "==7==ERROR: AddressSanitizer: BUS on unknown address {at} (pc 0x55d18d0731b6 bp 0x1 sp 0x7fff566a69a8 T0)\n    #0 0x55d18d0731b5 in f a.c:4:3\n"
        )
    };
    for at in ["0x603000250000", "0x7f0000001001"] {
        let not = ["nothing is mapped there", "nor near it", "never set", "null"];
        check(&asan(at), Cause::PastFile, &["got SIGBUS", "in f (a.c:4:3)"], &not);
    }
    for at in ["0x000000000000", "0x000000000010"] {
        let words = ["got SIGBUS", "in f (a.c:4:3)", "the access was not aligned"];
        check(&asan(at), Cause::Unknown, &words, &["Something is mapped", "ends before"]);
    }
    let go = "unexpected fault address 0x7f0000001000\nfatal error: fault\n[signal SIGBUS: bus error code=0x3 addr=0x7f0000001000 pc=0x460000]\n\ngoroutine 1 [running]:\nruntime.memmove()\n\t/go/memmove.s:1 +0x1\n";
    check(go, Cause::MemoryFailure, &["could not give its memory"], &["othing is mapped"]);
}

#[test]
fn traps_on_purpose_are_no_lost_control() {
    let asan = |kind: &str, function: &str| {
        format!(
            "==7==ERROR: AddressSanitizer: {kind} on unknown address 0x14e7ce9 (pc 0x14e7ce9 bp 0x1 sp 0x2 T0)\n    #0 0x14e7ce8 in {function} a.cc:4:3\n    #1 0x13d2f31 in main main.cc:12:3\n"
        )
    };
    let not = ["control went astray", "was overwritten", "SIGABRT"];
    for function in ["app::ImmediateCrash()", "WTFCrash", "MOZ_Crash(char const*)", "V8_Fatal"] {
        for kind in ["ILL", "TRAP"] {
            check(&asan(kind, function), Cause::Abort, &["own checks failed", "from main"], &not);
        }
    }
    // The instruction is not known: nothing is claimed about it.
    check(&asan("ILL", "decode"), Cause::IllegalInstruction, &["does not have"], &["astray"]);
    let webkit = "==8==ERROR: AddressSanitizer: SEGV on unknown address 0xbbadbeef (pc 0x14e7ce9 bp 0x1 sp 0x2 T0)\n==8==The signal is caused by a WRITE memory access.\n    #0 0x14e7ce8 in crash a.cc:4:3\n";
    check(webkit, Cause::Abort, &["own checks failed"], &["othing is mapped", "fill pattern"]);
}

#[test]
fn a_sender_is_no_address() {
    let asan = |kind: &str, at: &str| {
        format!(
            "==4660==ERROR: AddressSanitizer: {kind} on unknown address {at} (pc 0x7f0000001234 bp 0x1 sp 0x7fff566a69a8 T0)\n    #0 0x7f0000001233 in work a.c:4:3\n"
        )
    };
    let not = ["othing is mapped", "two numbers", "when it tried"];
    check(&asan("SEGV", "0x03e800001234"), Cause::SentSignal, &["sent itself SIGSEGV"], &not);
    let sent = &["Process 119 (of uid 1000) sent SIGABRT"];
    check(&asan("ABRT", "0x03e800000077"), Cause::SentSignal, sent, &not);
    let seems = &["It seems that process 119 (of uid 1000) sent the signal"];
    check(&asan("SEGV", "0x03e800000077"), Cause::SentSignal, seems, &["two numbers"]);
    // si_pid stands in the place of si_addr, so this is no process 41.
    let glog = "*** SIGSEGV (@0x29) received by PID 90 (TID 0x7f3864c7e740) from PID 41; stack trace: ***\n    @     0x7f3862057470 (unknown)\n    @           0x40441e main\n";
    check(
        glog,
        Cause::NullPointer,
        &["Process 90", "0x29", "in main"],
        &["Thread", "41 (", "sent"],
    );
    let kill = |signal: &str, at: &str| {
        glog.replace("SIGSEGV", signal).replace("0x29", at).replace("PID 41", "PID 4660")
    };
    let not = ["when it tried", "omething is mapped", "most likely", "no address"];
    let seems = "It seems that process 4660 (of uid 1000) sent the signal";
    for signal in ["SIGBUS", "SIGSEGV"] {
        check(&kill(signal, "0x3e800001234"), Cause::SentSignal, &[seems], &not);
        let user = "It seems that process 4660 (of uid 100000) sent the signal";
        check(&kill(signal, "0x186a000001234"), Cause::SentSignal, &[user], &not);
    }
    let root = "process 4660 (of uid 0) sent the signal";
    check(&kill("SIGSEGV", "0x1234"), Cause::NullPointer, &["it seems", root], &not);
    check(&kill("SIGBUS", "0x1234"), Cause::Unknown, &[root], &not);
}

#[test]
fn a_report_without_si_code_may_lack_the_address() {
    let null = Cause::NullPointer;
    let words = &["with the address 0x0", "most likely", "not canonical"];
    let not = ["when it tried", "The pointer is null."];
    let glog = "*** SIGSEGV (@0x0) received by PID 90 (TID 0x7f3864c7e740) from PID 0; stack trace: ***\n    @     0x7f3862057470 (unknown)\n    @           0x40441e main\n";
    check(glog, null, words, &not);
    let node =
        "PID 12 received SIGSEGV for address: 0x0\n/app/x.node(_ZN1a1bEv+0x17)[0x7f2b3c4d6c17]\n";
    check(node, null, words, &not);
    let asan = |access: &str| {
        format!(
            "==7==ERROR: AddressSanitizer: SEGV on unknown address 0x000000000000 (pc 0x55d18d0731b6 bp 0x1 sp 0x7fff566a69a8 T0)\n==7==The signal is caused by a {access} memory access.\n==7==Hint: address points to the zero page.\n    #0 0x55d18d0731b5 in f a.c:4:3\n"
        )
    };
    check(&asan("READ"), null, words, &not);
    // The processor reports writes with page faults only.
    check(&asan("WRITE"), null, &["write at 0x0", "The pointer is null."], &["most likely"]);
    let ruby = |rdi: &str| {
        format!(
            "a.rb:64: [BUG] Segmentation fault at 0x0000000000000000\nruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]\n\n-- Machine register context ------------------------------------------------\n RIP: 0x00007f1c2a3b4c5d RBP: 0x00007ffd1c9f4a10 RSP: 0x00007ffd1c9f49d0\n RAX: 0x0000000000000000 RBX: 0x000055d5c0a1f000 RDI: {rdi}\n"
        )
    };
    check(&ruby("0x0000000000000000"), null, words, &not);
    let text = &["with the address 0x0", "the value of rdi (0x6d6f632e656c7078)"];
    check(&ruby("0x6d6f632e656c7078"), null, text, &["most likely", "when it tried"]);
}

#[test]
fn old_versions_of_android_abort_by_a_write() {
    let log = |function: &str, library: &str| {
        format!(
            "*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***\nABI: 'arm'\npid: 8843, tid: 8843, name: t  >>> com.example.app <<<\nsignal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0xdeadbaad\nbacktrace:\n    #00 pc 00017118  /system/lib/{library} ({function}+4)\n    #01 pc 00001118  /system/lib/libapp.so (cache_drop+4)\n"
        )
    };
    let itself = &["The program ended itself", "abort(3)"];
    for function in ["abort", "dlfree", "__libc_android_abort"] {
        check(&log(function, "libc.so"), Cause::Abort, itself, &["never set"]);
    }
    check(&log("draw", "libapp.so"), Cause::Unmapped, &[], &["ended itself"]);
    let logcat = "F/libc    ( 2930): Fatal signal 11 (SIGSEGV) at 0xdeadbaad (code=1), thread 2930 (com.example.app)\n";
    check(logcat, Cause::Abort, itself, &["never set"]);
}

#[test]
fn sanitizers_also_check_what_a_language_defines() {
    let check = |said: &str, cause, words: &[&str]| {
        let log = format!("src/hash.c:12:7: runtime error: {said}\n");
        check(&log, cause, words, &["does not define."]);
    };
    let defined = &["though the language defines"];
    for said in [
        "negation of 1 cannot be represented in type 'uint32_t' (aka 'unsigned int')",
        "left shift of 2654435761 by 5 places cannot be represented in type 'unsigned int'",
        "unsigned integer overflow: 1 - 2 cannot be represented in type 'unsigned int'",
    ] {
        check(said, Cause::Arithmetic, defined);
    }
    for said in [
        "null pointer passed as argument 1, which is declared to never be null",
        "null pointer returned from function declared to never return null",
        "_Nonnull binding to null pointer of type 'int * _Nonnull'",
    ] {
        check(said, Cause::UndefinedBehaviour, &["if an attribute says so"]);
    }
    check("division by zero", Cause::UndefinedBehaviour, &["if it is an integer"]);
    check("invalid ObjC cast, object is a 'A', but expected a 'B'", Cause::Unknown, &["class"]);
}

#[test]
fn signed_numbers_overflow_without_a_definition() {
    for said in [
        "negation of -2147483648 cannot be represented in type 'int'",
        "left shift of 1 by 31 places cannot be represented in type 'int'",
        "signed integer overflow: 1 + 2147483647 cannot be represented in type 'int'",
    ] {
        let log = format!("src/hash.c:12:7: runtime error: {said}\n");
        check(&log, Cause::UndefinedBehaviour, &["does not define."], &[]);
    }
}

#[test]
fn leaked_memory_may_point_to_leaked_memory() {
    let log = "==123==ERROR: LeakSanitizer: detected memory leaks\n\nIndirect leak of 24 byte(s) in 1 object(s) allocated from:\n    #0 0x7f2b in malloc (/lib/libasan.so.8+0xaf288)\n";
    check(log, Cause::MemoryLeak, &["or only other such memory does"], &[]);
}

#[test]
fn maps_that_lack_rows_show_no_gaps() {
    let java = |info: &str, rows: &str| {
        format!(
            "#\n#  SIGSEGV (0xb) at pc=0x00007f2a3de20000, pid=4711, tid=4713\n#\nsiginfo: si_signo: 11 (SIGSEGV), {info}\n\nStack: [0x00007f2a3fbe2000,0x00007f2a3fce3000],  sp=0x00007f2a3fce1288,  free space=1020k\n\nDynamic libraries:\n{rows}"
        )
    };
    let cut =
        "7f2a3de1f000-7f2a3ebb0000 r-xp 00000000 103:03 51649                     /libjvm.so\n";
    let whole = format!("{cut}7f2a3fbe2000-7f2a3fce3000 rw-p 00000000 00:00 0 \n");
    let mapped = "si_code: 2 (SEGV_ACCERR), si_addr: 0x00007f2a29000060";
    let absent = "si_code: 1 (SEGV_MAPERR), si_addr: 0x00007f2a29000060";
    let not = ["nor near it", "Nothing is mapped", "never set"];
    check(&java(mapped, cut), Cause::WriteToReadOnly, &["no row of the map contains it"], &not);
    check(&java(mapped, &whole), Cause::WriteToReadOnly, &["no row of the map contains it"], &not);
    let ip = java(absent, &cut.replace("7f2a3de1f000", "7f2a3de21000"));
    check(&ip, Cause::Unmapped, &["map of the log is incomplete"], &["nor near it"]);
    // The stack pointer may be wrong.
    check(&java(absent, cut), Cause::Unmapped, &["may be incomplete"], &["nor near it"]);
    check(&java(absent, &whole), Cause::Unmapped, &["Nothing is mapped", "nor near it"], &[]);
}

#[test]
fn java_keeps_references_in_32_bits() {
    let java = |frame: &str, code: &str| {
        format!(
            "#\n#  SIGSEGV (0xb) at pc=0x00002b92c2489618, pid=4711, tid=4713\n#\n# Problematic frame:\n# {frame}\n#\n\nsiginfo: si_signo: 11 (SIGSEGV), si_code: 1 (SEGV_MAPERR), si_addr: 0x00000000bb0b5ad8\n\nRegisters:\nRAX=0x0000000000000000, RCX=0x00000000bb0b5ad0, RSP=0x00002b92d3a92090, R12=0x0000000000000000\nRIP=0x00002b92c2489618, ERR=0x0000000000000004, TRAPNO=0x000000000000000e\n\nInstructions: (pc=0x00002b92c2489618)\n0x00002b92c2489618:   {code}\n\nDynamic libraries:\n2b92bb000000-2b92bc000000 rw-p 00000000 00:00 0 \n2b92c2400000-2b92c2600000 rwxp 00000000 00:00 0 \n2b92d3992000-2b92d3a93000 rw-p 00000000 00:00 0 \n"
        )
    };
    let method =
        "J 4310% C2 com.example.A.f(I)V (5 bytes) @ 0x00002b92c2489618 [0x00002b92c2489000+0x618]";
    let base = "8b 49 08 90 90 90 90 90 90 90 90 90 90 90 90 90";
    check(&java(method, base), Cause::Unmapped, &["in com.example.A.f(I)V."], &["upper half", "@"]);
    // Native code of the same process may lose the upper half.
    let native = "C  [libdraw.so+0x66e64]  draw+0x4";
    check(&java(native, base), Cause::DataAsPointer, &["lost its upper half"], &[]);
    let scaled = java(method, "41 8b 4c cc 08 90 90 90 90 90 90 90 90 90 90 90")
        .replace("0x00000000bb0b5ad8", "0x00000005d85ad688");
    check(&scaled, Cause::Unmapped, &["compressed reference", "0x5d85ad680"], &["upper half"]);
    // An array and an index, of compiled code and of the virtual machine: mov rax, [rdi+rdx*8].
    let array = |frame: &str, base: &str, at: &str| {
        java(frame, "48 8b 04 d7 90 90 90 90 90 90 90 90 90 90 90 90")
            .replace("0x00000000bb0b5ad8", at)
            .replace("RAX=0x0000000000000000", &format!("RAX=0x0, RDX=0x12, RDI={base}"))
    };
    let (base, at) = ("0x00007f2990001200", "0x00007f2990001290");
    let vm = "V  [libjvm.so+0x66a618]  ConstantPool::klass_at_if_loaded(int)+0x18";
    for frame in [method, vm] {
        check(&array(frame, base, at), Cause::Unmapped, &["0x7f2990001290"], &["reference"]);
        let filled = array(frame, "0xf1f1f1f1f1f1f1f1", "0x0");
        let filled = filled.replace("si_code: 1 (SEGV_MAPERR)", "si_code: 128 (SI_KERNEL)");
        check(&filled, Cause::PoisonValue, &["0xf1f1f1f1f1f1f1f1"], &["reference"]);
    }
    // A small index into the heap is no reference, nor is a large one of another array.
    let small = scaled.replace("RCX=0x00000000bb0b5ad0", "RCX=0x0000000000000012");
    let small = small.replace("0x00000005d85ad688", "0x0000000000000098");
    check(&small, Cause::NullPointer, &[], &["reference"]);
    let large = array(method, base, "0x00007f2f685ae880").replace("RDX=0x12", "RDX=0xbb0b5ad0");
    check(&large, Cause::Unmapped, &["0x7f2f685ae880"], &["reference"]);
}

#[test]
fn threads_and_frames_of_java_8() {
    let log = "#\n#  SIGSEGV (0xb) at pc=0x00007f2a20203040, pid=11, tid=0x00007f2a10203700\n#\n# Problematic frame:\n# C  [libz.so+0x64]  inflate+0x4\n#\n\nCurrent thread (0x00007f2a0c053800):  JavaThread \"pool 1\" daemon [_thread_in_native, id=13, stack(0x1,0x2)]\n\nsiginfo: si_signo: 11 (SIGSEGV), si_code: 1 (SEGV_MAPERR), si_addr: 0x0000000000000004\n\nNative frames: (J=compiled Java code, j=interpreted, Vv=VM code, C=native code)\nC  [libz.so+0x64]  inflate+0x4\n\nJava frames: (J=compiled Java code, j=interpreted, Vv=VM code)\nJ 1  java.util.zip.Inflater.inflate([BII)I (3 bytes) @ 0x00007f2a2a953e41 [0x00007f2a2a953e00+0x41]\n";
    check(log, Cause::NullPointer, &["Thread 13 (pool 1) of process 11", "in inflate."], &["@"]);
    let frames: Vec<_> =
        read_log(log.as_bytes())[0].frames.iter().map(|frame| frame.function.clone()).collect();
    assert_eq!(frames, ["inflate", "java.util.zip.Inflater.inflate([BII)I"]);
}

#[test]
fn reports_are_quoted_where_they_give_the_reason() {
    let check = |log: &str, cause, words: &[&str]| check(log, cause, words, &["does not explain"]);
    check(
        "#\n#  Internal Error (sharedRuntime.cpp:553), pid=11, tid=12\n#  guarantee(cb != NULL) failed: must be\n#\n",
        Cause::Abort,
        &[
            "Thread 12 of process 11 reported \"Internal Error (sharedRuntime.cpp:553); guarantee(cb",
        ],
    );
    check(
        "#\n# There is insufficient memory for the Java Runtime Environment to continue.\n# Native memory allocation (malloc) failed to allocate 32744 bytes for ChunkPool::allocate\n#\n#  Out of Memory Error (allocation.cpp:272), pid=11, tid=12\n#\n",
        Cause::OutOfMemory,
        &["failed to allocate 32744 bytes"],
    );
    check(
        "#\n# Fatal error in , line 0\n# Fatal JavaScript invalid size error 169220804\n#\n",
        Cause::Abort,
        &["invalid size error 169220804"],
    );
    check(
        "libc++abi: terminating due to uncaught exception of type std::runtime_error: bad input\n",
        Cause::Abort,
        &["std::runtime_error: bad input"],
    );
    check(
        "F0101 10:00:00.000000  5678 main.cc:12] Check failed: n > 0 (0 vs. 0)\n*** Check failure stack trace: ***\n    @     0x7f3862057470  google::LogMessage::Fail()\n    @           0x40441e main\n",
        Cause::Abort,
        &["Check failed: n > 0"],
    );
    let android = |message: &str| {
        format!(
            "pid: 8843, tid: 17348, name: ui  >>> app <<<\nsignal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------\nAbort message: '{message}'\nbacktrace:\n      #00 pc 518dc  /lib/libc.so (abort+168)\n      #01 pc 1165c  /lib/libc.so (scudo::die()+12)\n      #02 pc 17a8c  /lib/libapp.so (drop+20)\n"
        )
    };
    let scudo = android("Scudo ERROR: invalid chunk state when deallocating address 0x733b7994b0");
    check(&scudo, Cause::CorruptMemory, &["invalid chunk state", "reached from drop"]);
    let other = "==5==ERROR: HWAddressSanitizer: tag-mismatch on address 0x0040e1287be0 at pc 0x007618899e7c\nWRITE of size 8 at 0x0040e1287be0 tags: 0f/47 (ptr/mem) in thread T31\n    #0 0x7618899e78 in put q.c:3:3\n\n0x0040e1287be0 is located 0 bytes after 112-byte region [0x0040e1287b70,0x0040e1287be0)\nallocated by thread T0 here:\n";
    check(other, Cause::OutOfBounds, &[]);
}

#[test]
fn hwasan_may_give_two_causes() {
    let log = |causes: &str| {
        format!(
            "==5==ERROR: HWAddressSanitizer: tag-mismatch on address 0x0040e1287be0 at pc 0x007618899e7c\nREAD of size 8 at 0x0040e1287be0 tags: 0f/47 (ptr/mem) in thread T31\n    #0 0x7618899e78 in get q.c:3:3\n\n{causes}"
        )
    };
    let beyond = "0x0040e1287be0 is located 16 bytes after a 80-byte region [0x0040e1287b80,0x0040e1287bd0)\nallocated by thread T0 here:\n    #0 0x761a68a9dc in malloc\n";
    let freed = "Potential Cause: use-after-free\n0x0040e1287be0 is located 96 bytes inside a 112-byte region [0x0040e1287b80,0x0040e1287bf0)\nfreed by thread T0 here:\n    #0 0x761a68a9dc in overflow\n";
    let both = format!("Cause: heap-buffer-overflow\n{beyond}{freed}");
    check(&log(&both), Cause::MemoryTag, &["beyond the bounds", "or memory was used after"], &[]);
    check(&log(freed), Cause::UseAfterFree, &["used after it was freed"], &["bounds"]);
    check(&log(beyond), Cause::OutOfBounds, &["beyond the bounds"], &["freed"]);
}

#[test]
fn the_text_of_an_exception_names_no_cause() {
    let android = |message: &str| {
        format!(
            "pid: 1733, tid: 1740, name: worker  >>> app <<<\nsignal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------\nAbort message: '{message}'\n"
        )
    };
    for start in ["terminating due to", "libc++abi: terminating due to", "terminating with"] {
        for text in ["assertion failed: n > 0", "Check failed: n", "pure virtual method called"] {
            let message = format!("{start} uncaught exception of type std::runtime_error: {text}");
            let not = ["assertion of the program", "check of the program", "virtual function"];
            check(&android(&message), Cause::Abort, &["A C++ exception was not caught"], &not);
        }
    }
    let asserts = android("assertion failed: n > 0");
    check(&asserts, Cause::Abort, &["An assertion of the program failed"], &[]);
}

#[test]
fn an_operator_may_have_a_process_killed() {
    let log = |before: &str, order: &str| {
        format!(
            "{before}[ 1234.567990] kworker/0:1 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order={order}, oom_score_adj=0\n[ 1234.568990] Tasks state (memory values in pages):\n[ 1234.569990] Out of memory: Killed process 5142 (app) total-vm:4194304kB, anon-rss:1048576kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:2100kB oom_score_adj:0\n"
        )
    };
    let words = &["SIGKILL", "was asked to end the process"];
    let sysrq = "[ 1234.567890] sysrq: Manual OOM execution\n";
    check(&log(sysrq, "-1"), Cause::SentSignal, words, &["exhausted"]);
    check(&log("", "-1"), Cause::SentSignal, words, &["exhausted"]);
    check(&log("", "0"), Cause::OutOfMemory, &["exhausted"], &["asked"]);
    // Nothing was killed then.
    check(&log(sysrq, "0"), Cause::OutOfMemory, &["exhausted"], &["asked"]);
    let twice = format!("{}{}", log(sysrq, "-1"), log("", "0").replace("5142", "5143"));
    let [asked, other] = read_log(twice.as_bytes()).try_into().unwrap();
    assert!(asked.message.unwrap().contains("order=-1,"));
    assert!(other.message.unwrap().starts_with("Out of memory: "));
}

#[test]
fn a_mapping_that_refuses_an_access_is_no_null_pointer() {
    let arm = |code: &str| {
        format!(
            "[   62.131415] app: unhandled page fault (11) at 0x00008123, code {code}\n[   62.131530] PC is at 0x8a34\n[   62.131550] pc : [<00008a34>]    lr : [<00008a20>]    psr: 60000010\n"
        )
    };
    for code in ["0x80f", "0x80d", "0xa0f"] {
        let not = ["null", "othing is mapped"];
        check(&arm(code), Cause::WriteToReadOnly, &["may not be written"], &not);
    }
    for code in ["0x817", "0x805", "0xa07"] {
        check(&arm(code), Cause::NullPointer, &["is null, most likely"], &[]);
    }
}

#[test]
fn a_high_value_may_be_an_address_that_is_not_aligned() {
    let asan = "==7==ERROR: AddressSanitizer: SEGV on unknown address (pc 0x5605c6795274 bp 0x7fffa6752b60 sp 0x7fffa6752af0 T0)\n==7==The signal is caused by a READ memory access.\n==7==Hint: this fault was caused by a dereference of a high value address (see register values below).\n    #0 0x5605c6795274 in _mm_load_ps xmmintrin.h:927\n";
    let [crash] = read_log(asan.as_bytes()).try_into().unwrap();
    let facts = Facts::default();
    let labels = Labels::read(&crash.maps, &facts, None);
    let found = explain(&Evidence::new(&crash, &facts, &labels));
    assert_eq!((found.cause, found.confidence), (Cause::NonCanonical, Confidence::Guess));
    assert!(found.paragraph.contains("or it was not aligned as"), "{found:?}");
}

#[test]
fn the_frames_of_handlers_are_not_the_place() {
    let gdb = "Core was generated by `./app -d'.\nProgram terminated with signal SIGABRT, Aborted.\n#0  __GI_raise (sig=sig@entry=6) at raise.c:50\n#1  0x00007ffff7a22859 in __GI_abort () at abort.c:79\n#2  0x00005555555551a2 in on_segv (n=11) at h.c:4\n#3  <signal handler called>\n#4  0x0000555555555189 in work (p=0x0) at w.c:5\n";
    check(gdb, Cause::Unknown, &["A signal came in work", "by SIGABRT"], &[ABORTED, "on_segv"]);
    let ruby = "a.rb:4: [BUG] Segmentation fault at 0x007fb6439a8000\n-- C level backtrace information ---\n/lib/libruby.so(rb_vm_bugreport+0x5b8) [0x7ff513d8f188] vm_dump.c:684\n/lib/libruby.so(sigsegv+0x5f) [0x7ff513d0b2af] signal.c:907\n/lib64/libc.so.6 [0x3ebf20f7e0]\n/app/x.so(work+0x6a) [0x7ff50967258a] x.c:8\n";
    check(ruby, Cause::Unmapped, &["in work (x.c:8)"], &["rb_vm_bugreport", "sigsegv"]);
    // A function of the program may have such a name.
    let own = "==7==ERROR: AddressSanitizer: SEGV on unknown address 0x10 (pc 0x55d18d0731b6 bp 0x1 sp 0x7fff566a69a8 T0)\n    #0 0x55d18d0731b5 in sigsegv a.c:4:3\n    #1 0x55d18d0731a0 in main a.c:9:3\n";
    check(own, Cause::NullPointer, &["in sigsegv"], &[]);
    // The callers behind unnamed frames did not call this one.
    let frames = "*** Error in `./app': free(): invalid pointer: 0x10 ***\n======= Backtrace: =========\n/lib/libc.so.6(+0x777e5)[0x7f31ab97ae66]\n/app/app[0x40a39d]\n/app/app(main+0x202)[0x40aec2]\n";
    check(frames, Cause::CorruptMemory, &["in libc.so.6+0x777e5"], &["called from main"]);
}

/// A walk of systemd has no name for the code to which handlers return.
#[test]
fn an_unnamed_frame_of_the_c_library_between_two_others_is_the_return_of_a_handler() {
    let log = |middle: &str| {
        format!(
            "           PID: 1234 (app)\n        Signal: 6 (ABRT)\n       Message: Process 1234 (app) of user 1000 dumped core.\n\n                Stack trace of thread 1234:\n                #0  0x00007f4b469f3ad8 raise@@GLIBC_2.34 (libc.so.6 + 0x42476)\n                #1  0x00007f4b469f3ad8 abort (libc.so.6 + 0x287f3)\n                #2  0x000055d0c0000217 on_crash (app + 0x1217)\n{middle}                #5  0x000055d0c0000317 work (app + 0x1317)\n                #6  0x000055d0c0000417 main (app + 0x1417)\n"
        )
    };
    let unnamed = "                #3  0x00007f4b46a24050 n/a (libc.so.6 + 0x42520)\n";
    // So does a callback of pthread_once(3), which jumps to an unnamed function.
    let words = [ABORTED, "in on_crash. Perhaps", "a signal that came in work", "pthread_once(3)"];
    check(&log(unnamed), Cause::Abort, &words, &["A signal came"]);
    // A callback of the C library has an exported function of it on the stack.
    let callback =
        format!("{unnamed}                #4  0x00007f4b46a24150 qsort (libc.so.6 + 0x42620)\n");
    let words = [ABORTED, "in on_crash"];
    check(&log(&callback), Cause::Abort, &words, &["signal came", "signal that came", "Perhaps"]);
    // Only a handler sends a fault signal to its own program.
    let fault = |frames: &str| {
        log(unnamed).replace("6 (ABRT)", "11 (SEGV)").replace("raise@@GLIBC_2.34", frames)
    };
    let raised = fault("raise").replace(" abort (", " n/a (");
    check(&raised, Cause::Unknown, &["SIGSEGV in work"], &["on_crash"]);
    let once = fault("strlen").replace(" abort (", " strtol (");
    check(&once, Cause::Unknown, &["SIGSEGV in strlen"], &["SIGSEGV in work"]);
    // gdb names the frame of a handler, and a sanitizer begins behind it.
    let gdb = "Program received signal SIGSEGV, Segmentation fault.\n#0  0x0000555555555189 in set (p=0x0) at w.c:5\n#1  0x00007ffff7a99ee8 in ?? () from /lib/libc.so.6\n#2  0x0000555555555289 in init () at w.c:9\n#3  0x0000555555555389 in main () at w.c:12\n";
    check(gdb, Cause::Unknown, &["SIGSEGV in set"], &["SIGSEGV in init"]);
    let asan = "==7==ERROR: AddressSanitizer: SEGV on unknown address 0x7f0000001001 (pc 0x55d18d0731b6 bp 0x1 sp 0x7fff566a69a8 T0)\n    #0 0x55d18d0731b5 in set w.c:5:3\n    #1 0x7ffff7a99ee8  (/lib/libc.so.6+0x99ee8)\n    #2 0x55d18d0732b5 in init w.c:9:3\n    #3 0x55d18d0733b5 in main w.c:12:3\n";
    check(asan, Cause::Unmapped, &["in set (w.c:5:3)"], &["in init"]);
}

#[test]
fn functions_of_the_go_runtime_are_not_the_place() {
    let log = |first: &str, runtime: &str| {
        format!("{first}\n\ngoroutine 7 [running]:\n{runtime}main.f()\n\t/src/main.go:5 +0x1b1\n")
    };
    let throw = "runtime.throw({0x47b2c4?, 0x0?})\n\t/go/panic.go:1047 +0x5d\n";
    let panic = "panic({0x47, 0x48})\n\t/go/panic.go:884 +0x213\n";
    let bus =
        "fatal error: fault\n[signal SIGBUS: bus error code=0x2 addr=0x7f0000001000 pc=0x460000]";
    let fault = format!("{throw}runtime.sigpanic()\n\t/go/signal_unix.go:821 +0x3e9\n");
    let (place, not) = (&["in main.f"], &["runtime."]);
    check(&log("fatal error: concurrent map writes", throw), Cause::Abort, place, not);
    check(&log("panic: boom", panic), Cause::Abort, place, not);
    check(&log(bus, &fault), Cause::PastFile, place, not);
}

#[test]
fn signals_sent_by_the_program_itself_may_be_those_of_a_handler() {
    let fatal = |what: &str| {
        format!("F libc    : Fatal signal {what} in tid 7253 (pool), pid 2930 (app)\n")
    };
    let log = fatal("11 (SIGSEGV), code -6 (SI_TKILL)");
    check(&log, Cause::SentSignal, &["or in a signal handler"], &["no access failed"]);
    let log = fatal("11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x10");
    check(&log, Cause::NullPointer, &["Thread 7253 (pool) of process 2930"], &[]);
    let chromium = "Received signal 11 <unknown> 000000000000\n#0 0x55dcb8634630 base::debug::CollectStackTrace()\n#1 0x55dc8c807a40 blink::Node::detach()\n  ip: 000055dc8c807a40 efl: 0000000000010246 cgf: 002b000000000033 erf: 0000000000000000\n trp: 000000000000000d msk: 0000000000000000 cr2: 0000000000000000\n[end of stack trace]\n";
    check(chromium, Cause::NonCanonical, &["in blink::Node::detach()"], &["null", "Collect"]);
}

#[test]
fn pointers_of_aarch64_may_have_a_tag() {
    let log = |at: &str, perms: &str| {
        format!(
            "ABI: 'arm64'\npid: 4, tid: 4, name: t  >>> t <<<\nsignal 11 (SIGSEGV), code 2 (SEGV_ACCERR), fault addr {at} (write)\n    x0  b400007f3f26b010  x1  0000000000000001\n    sp  0000007f3f26bf00  pc  0000007f3f263110\n\nbacktrace:\n      #00 pc 0000000000004110  /t (use+16)\n\nmemory map (2 entries):\n    0000007f'3f263000-0000007f'3f263fff r-x      4000      1000  /t\n    0000007f'3f26b000-0000007f'3f26bfff {perms}         0      1000  [anon:x]\n"
        )
    };
    let words =
        ["write at 0x7f3f26b010 (the top byte of the pointer is the tag 0xb4)", "16 bytes into"];
    check(&log("0xb400007f3f26b010", "r--"), Cause::WriteToReadOnly, &words, &["no address"]);
    // Text is no tagged address.
    let text =
        log("0x4141414141414141", "r--").replace("code 2 (SEGV_ACCERR)", "code 1 (SEGV_MAPERR)");
    check(&text, Cause::DataAsPointer, &["AAAAAAAA"], &["tag"]);
}

/// Logs of containers put the time and the stream before each line, or each line into JSON.
#[test]
fn lines_of_containers() {
    let lines = [
        "panic: runtime error: invalid memory address or nil pointer dereference",
        "[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x6c2a31]",
        "",
        "goroutine 1 [running]:",
        "main.main()",
        "\t/srv/app/main.go:21 +0x1d",
    ];
    let each = |make: &dyn Fn(&str) -> String| lines.map(make).concat();
    let json = |line: &str, name: &str| {
        format!("{{\"{name}\":\"{}\\n\",\"time\":\"x\"}}\n", line.replace('\t', "\\t"))
    };
    for log in [
        each(&|line| format!("2024-05-01T10:00:00.123456789Z stderr F {line}\n")),
        each(&|line| format!("2024-05-01T10:00:00.123456789Z {line}\n")),
        each(&|line| json(line, "log")),
        each(&|line| json(line, "message")),
    ] {
        check(&log, Cause::NullPointer, &["in main.main (/srv/app/main.go:21)"], &[]);
    }
}

/// A logged line and the tombstone after it are one crash.
#[test]
fn a_tombstone_tells_more_of_an_announced_crash() {
    let log = "F libc    : Fatal signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x10 in tid 4 (t), pid 3 (app)\nF DEBUG   : *** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***\nF DEBUG   : pid: 3, tid: 4, name: t  >>> app <<<\nF DEBUG   : signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x10\nF DEBUG   : backtrace:\nF DEBUG   :       #00 pc 4110  /t (use+16)\n";
    check(log, Cause::NullPointer, &["in use"], &[]);
}

#[test]
fn messages_of_programs_that_go_on_or_of_the_allocator() {
    let fdsan = "pid: 3, tid: 4, name: t  >>> app <<<\nsignal 35 (<debuggerd signal>), code -1 (SI_QUEUE), fault addr --------\nAbort message: 'fdsan: attempted to close file descriptor 5'\n";
    check(fdsan, Cause::Unknown, &["reported \"fdsan: attempted"], &["ended", "signal 35"]);
    let malloc = "malloc.c:2379: sysmalloc: Assertion `(old_top == initial_top (av))' failed.\n";
    check(malloc, Cause::CorruptMemory, &["heap is corrupted"], &["assertion of the program"]);
    let windows =
        "#\n#  EXCEPTION_ACCESS_VIOLATION (0xc0000005) at pc=0x00007ffd1, pid=4711, tid=4712\n#\n";
    check(windows, Cause::Unknown, &["EXCEPTION_ACCESS_VIOLATION"], &["does not explain"]);
}

#[test]
fn texts_that_are_not_read_are_named() {
    let line = |text: &str| match unread(text.as_bytes()) {
        Some(Unread::Line { number, .. }) => Some(number),
        _ => None,
    };
    assert_eq!(unread(b"MDMP\x93\xa7\0\0"), Some(Unread::Minidump));
    assert_eq!(line("a\nworker process 29 exited on signal 11 (core dumped)\n"), Some(2));
    assert_eq!(line("make: *** [Makefile:3: run] Segmentation fault (core dumped)\n"), Some(1));
    assert_eq!(line("> app[21875]: segfault\n> at 7a8 ip 00007fdccdf44277\n"), Some(1));
    assert_eq!(line("55d0c000-55d0d000 r-xp 00001000 fe:00 42 /usr/bin/cat\n"), None);
    assert_eq!(line("all is well\n"), None);
}

#[test]
fn memory_that_may_only_be_executed_has_a_protection_key() {
    let line = |error: u32| {
        format!(
            "[    5.831743] app[123]: segfault at 7f0000001010 ip 000055d0c0000217 sp 00007ffe8c4d6c30 error {error} in app[55d0c0000000+1000]\n"
        )
    };
    let only = "or the memory may only be executed";
    check(&line(25), Cause::ProtectionKey, &["PKRU", only], &[]);
    check(&line(27), Cause::ProtectionKey, &["PKRU"], &[only]);
}

/// A tombstone with a map of these rows.
fn tombstone(abi: &str, fault: &str, rows: &str) -> String {
    let (ip, sp) = if abi == "arm64" { ("pc", "sp") } else { ("rip", "rsp") };
    format!(
        "ABI: '{abi}'\npid: 4, tid: 5, name: t  >>> t <<<\nsignal {fault}\n    {sp}  00007f0000980000\n    {ip}  0000000000400100\n\nbacktrace:\n      #00 pc 0000000000000100  /t (use+16)\n\nmemory map (3 entries):\n    00000000'00400000-00000000'00400fff r-x         0      1000  /t\n{rows}    00007f00'00900000-00007f00'009fffff rw-         0    100000  [stack]\n"
    )
}

#[test]
fn only_files_end() {
    let of = |name: &str, cause, words: &[&str], not: &[&str]| {
        let rows =
            format!("    00007f00'00000000-00007f00'0000ffff rw-         0     10000  {name}\n");
        let fault = "7 (SIGBUS), code 2 (BUS_ADRERR), fault addr 0x7f0000001010 (write)";
        check(&tombstone("x86_64", fault, &rows), cause, words, not);
    };
    let not = ["end of its file", "was cut"];
    for memory in ["[heap]", "[anon:dalvik-main space]", ""] {
        of(memory, Cause::MemoryFailure, &["back from swap, or a userfaultfd"], &not);
    }
    let huge = ["no huge page was left, or a userfaultfd"];
    of("/anon_hugepage (deleted)", Cause::MemoryFailure, &huge, &not);
    for device in ["/dev/dri/renderD128", "/dev/kgsl-3d0", "[vvar]"] {
        of(device, Cause::MemoryFailure, &["device or the part of the kernel"], &not);
    }
    for file in ["/dev/shm/psm_1a2b", "/dev/hugepages/rte", "/data/app/base.apk"] {
        let end = format!("beyond the end of its file, {file}, or the file could not give");
        of(file, Cause::PastFile, &[&end, "or its file system is full"], &[]);
    }
}

#[test]
fn processors_may_check_the_alignment_first() {
    let fault = "7 (SIGBUS), code 1 (BUS_ADRALN), fault addr 0x7f0000600001";
    let log = tombstone("arm64", fault, "");
    check(&log, Cause::Misaligned, &["is not aligned"], &["Something is mapped"]);
}

#[test]
fn lightweight_guards_have_no_row() {
    let rows = "    00007f00'00000000-00007f00'0000ffff rw-         0     10000  \n";
    let fault = "11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x7f0000001010 (write)";
    let words = ["Most likely it is a lightweight guard page", "Or another thread"];
    check(&tombstone("x86_64", fault, rows), Cause::GuardPage, &words, &[]);
}

#[test]
fn a_stack_that_changes_is_no_overwritten_return_address() {
    let words = ["a return address or function pointer was overwritten", "coroutines and longjmp"];
    let not = ["when it tried", "othing is mapped"];
    let tombstone = "F libc    : Fatal signal 11 (SIGSEGV), code 10 (SEGV_CPERR), fault addr 0x55d0c0000217 in tid 7253 (pool), pid 2930 (app)\n";
    check(tombstone, Cause::ShadowStack, &words, &not);
    let kernel = "traps: app[2062] control protection ip:5611dfef52bf sp:7fff8cdb4c00 error:1 in app[5611dfef5000+1000]\n";
    check(kernel, Cause::ShadowStack, &words, &not);
}

/// The texts of programs have words with which libraries and runtimes name errors of their own.
#[test]
fn words_of_a_runtime_in_the_text_of_a_program() {
    let go =
        |text: &str| format!("panic: {text}\n\ngoroutine 1 [running]:\nmain.f()\n\t/m.go:5 +0x1\n");
    let cpp = |text: &str| {
        format!(
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  {text}\n"
        )
    };
    let rust = |text: &str| format!("thread 'main' panicked at src/main.rs:2:5:\n{text}\n");
    let net =
        |text: &str| format!("Unhandled exception. System.Exception: {text}\n   at App.Main()\n");
    let not = ["heap is corrupted", "no more room", "exhausted", "freed", "check of the program"];
    for text in [
        "corrupted archive header",
        "sstable: corrupted block",
        "stack overflow (message handler)",
        "[string]: stack-overflow",
        "double free of a handle",
        "cannot free(): not mine",
        "out of memory budget",
        "OutOfMemory",
        "Check failed: quorum",
    ] {
        check(&go(text), Cause::Abort, &["A Go program panicked"], &not);
        check(&cpp(text), Cause::Abort, &["A C++ exception was not caught"], &not);
        check(&rust(text), Cause::Abort, &["A Rust program panicked"], &not);
        check(&net(text), Cause::Abort, &["An exception of .NET"], &not);
        let asserts = format!("app: a.c:9: main: Assertion `!strcmp(s, \"{text}\")' failed.\n");
        if !text.starts_with("Check") {
            check(&asserts, Cause::Abort, &["An assertion of the program failed"], &not);
        }
    }
    let asserts = "app: a.c:9: main: Assertion `!corrupted || force' failed.\n";
    check(asserts, Cause::Abort, &["An assertion of the program failed"], &not);
    let python = "Fatal Python error: Cannot recover from stack overflow.\n";
    check(python, Cause::Abort, &["Cannot recover"], &["no more room"]);
    // The C library's own words.
    for text in [
        "corrupted size vs. prev_size",
        "corrupted double-linked list (not small)",
        "malloc(): corrupted top size",
        "*** Error in `./app': corrupted size vs. prev_size: 0x10 ***",
        "*** glibc detected *** ./app: free(): invalid next size (fast): 0x10 ***",
    ] {
        check(&format!("{text}\n"), Cause::CorruptMemory, &["heap is corrupted"], &[]);
    }
    check(&go("runtime error: index out of range [3] with length 3"), Cause::Abort, &[], &not);
    let overflow = "runtime: goroutine stack exceeds 1000000000-byte limit\nfatal error: stack overflow\n\nruntime stack:\n";
    check(overflow, Cause::StackOverflow, &["no more room"], &[]);
}

#[test]
fn reports_say_no_more_than_was_seen() {
    let asan = |what: &str| {
        format!(
            "==7==ERROR: {what} on address 0x602000000010 at pc 0x1 bp 0x2 sp 0x3\n    #0 0x1 in f a.c:4:3\n"
        )
    };
    let poisoned = asan("AddressSanitizer: use-after-poison");
    check(&poisoned, Cause::UseAfterFree, &["most likely it was freed, or the program"], &[]);
    let freed = asan("AddressSanitizer: heap-use-after-free");
    check(&freed, Cause::UseAfterFree, &["Memory was used after it was freed"], &[]);
    let foreign = asan("AddressSanitizer: attempting free");
    check(&foreign, Cause::CorruptMemory, &["that is no block"], &["heap is corrupted"]);
    let msan =
        "==7==WARNING: MemorySanitizer: use-of-uninitialized-value\n    #0 0x1 in f a.c:4:3\n";
    check(msan, Cause::Uninitialized, &["used a value"], &["decision"]);
    let ubsan = |what: &str| format!("s.c:16:30: runtime error: {what}\n");
    let unsigned =
        "unsigned integer overflow: 4294967295 + 1 cannot be represented in type 'unsigned int'";
    check(&ubsan(unsigned), Cause::Arithmetic, &["A check of UBSan failed"], &["does not define"]);
    let signed = "signed integer overflow: 2147483647 + 1 cannot be represented in type 'int'";
    check(&ubsan(signed), Cause::UndefinedBehaviour, &["does not define"], &[]);
    let scudo = "pid: 8843, tid: 17348, name: ui  >>> app <<<\nsignal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------\nAbort message: 'Scudo ERROR: race on chunk header at address 0x733b7994b0'\n";
    check(scudo, Cause::CorruptMemory, &["Two threads freed"], &["The heap is corrupted:"]);
    let alone = "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive (nil chan)]:\nmain.main()\n\t/srv/app/main.go:21 +0x1d\n";
    check(alone, Cause::Abort, &["No goroutine can go on"], &["each other"]);
    let java = |what: &str| {
        format!("#\n#  Internal Error (debug.cpp:362), pid=11, tid=12\n#  {what}\n#\n")
    };
    let heap = java("fatal error: OutOfMemory encountered: Java heap space");
    check(&heap, Cause::OutOfMemory, &["CrashOnOutOfMemoryError"], &["error in itself"]);
    let other = java("guarantee(cb != NULL) failed: must be");
    check(&other, Cause::Abort, &["error in itself"], &[]);
}

#[test]
fn a_panic_that_the_program_logs_may_be_recovered() {
    let log = |frame: &str| {
        format!("panic: boom\n\ngoroutine 7 [running]:\n{frame}main.f()\n\t/src/main.go:5 +0x1b1\n")
    };
    let recovered = "runtime/debug.Stack()\n\t/go/src/runtime/debug/stack.go:24 +0x5e\n";
    let not = ["nothing recovered"];
    check(&log(recovered), Cause::Abort, &["A Go program panicked", "may have recovered"], &not);
    check(&log(""), Cause::Abort, &["A Go program panicked, and nothing recovered it"], &[]);
    // The function that logs the stack was called by the panic.
    let deferred = "main.f.func1()\n\t/src/main.go:9 +0x65\npanic({0x48a120, 0x4b8e78})\n\t/go/src/runtime/panic.go:884 +0x212\n";
    check(&log(deferred), Cause::Abort, &["may have recovered"], &not);
    // A second panic in a deferred function is one that the runtime reports.
    let second = log(deferred).replace("boom\n", "boom\n\tpanic: again\n");
    check(&second, Cause::Abort, &["nothing recovered"], &[]);
    let again = log(deferred).replace("boom\n", "boom [recovered, repanicked]\n");
    check(&again, Cause::Abort, &["nothing recovered"], &[]);
    let panic = &log("panic({0x48a120, 0x4b8e78})\n\t/go/src/runtime/panic.go:884 +0x212\n");
    check(panic, Cause::Abort, &["nothing recovered"], &[]);
}

/// Programs name the function that failed before their own words, as perror(3) does.
#[test]
fn only_words_of_the_c_library_are_of_its_heap() {
    for text in [
        "malloc(): Cannot allocate memory",
        "realloc(): out of memory (1048576 bytes)",
        "calloc(): Resource temporarily unavailable",
        "free(): called on NULL pointer, ignoring",
        "free(): invalid pointer passed",
        "malloc(): invalid size requested",
        "malloc(): returned NULL",
        "memalign: Cannot allocate memory",
        "corrupted size vs. prev_size of the table",
    ] {
        assert!(read_log(text.as_bytes()).is_empty(), "{text}");
        let android = format!(
            "pid: 8843, tid: 17348, name: ui  >>> app <<<\nsignal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------\nAbort message: '{text}'\n"
        );
        check(&android, Cause::Abort, &["SIGABRT"], &["is corrupted", "is no block"]);
    }
    for text in [
        "free(): invalid pointer",
        "malloc(): memory corruption: 0x00000000012f0010",
        "malloc(): unaligned fastbin chunk detected 3",
        "corrupted size vs. prev_size while consolidating",
        "double free or corruption (!prev)",
    ] {
        check(text, Cause::CorruptMemory, &["SIGABRT", "heap is corrupted"], &[]);
    }
}

#[test]
fn assertions_of_the_c_library_are_about_its_heap() {
    let android = |message: &str| {
        format!(
            "pid: 8843, tid: 17348, name: ui  >>> app <<<\nsignal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------\nAbort message: '{message}'\n"
        )
    };
    let not = ["An assertion of the program"];
    for message in [
        "Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: (old_top == initial_top (av) && old_size == 0)",
        "Fatal glibc error: malloc assertion failure in sysmalloc: (old_top == initial_top (av))",
        "Fatal glibc error: arena.c:1 (arena_get2): assertion failed: a",
    ] {
        check(&android(message), Cause::CorruptMemory, &["heap is corrupted"], &not);
    }
    let own = android("app.c:9: main: Assertion `n == 1' failed.");
    check(&own, Cause::Abort, &not, &["heap"]);
}

/// `thread apply all bt` of gdb prints the stacks of all threads, each under a heading.
#[test]
fn stacks_of_other_threads_are_not_that_of_the_crash() {
    let idle = "Thread 4 (Thread 0x7ffff6d88700 (LWP 125) \"idle\"):\n#0  0x00007ffff7e8c117 in __futex_wait () from /lib/libc.so.6\n#1  0x00007ffff7e8ea41 in pthread_cond_wait () from /lib/libc.so.6\n#2  0x0000555555780aaa in wait_for_work () at src/worker.c:40\n\n";
    let own = "Thread 3 (Thread 0x7ffff7589700 (LWP 124) \"worker\"):\n#0  0x00005555557806ad in grow (n=4) at src/grow.c:12\n#1  0x00005555557807ad in cache_check (n=4) at src/cache.c:33\n\n";
    let all = format!("(gdb) thread apply all bt\n\n{idle}{own}");
    let place = "0x00005555557806ad in grow (n=4) at src/grow.c:12\n12\t  p->x = 1;\n";
    let switched = "[Switching to Thread 0x7ffff7589700 (LWP 124)]\n";
    let frames = |log: &str| {
        let [crash] = read_log(log.as_bytes()).try_into().unwrap();
        crash.frames.into_iter().map(|frame| frame.function).collect::<Vec<_>>()
    };
    let received = |who: &str| format!("{who} received signal SIGSEGV, Segmentation fault.\n");
    let core = "Program terminated with signal SIGSEGV, Segmentation fault.\n";
    for log in [
        format!("{}{switched}{place}{all}", received("Thread 3 \"worker\"")),
        format!("{}{switched}{place}{all}", received("Program")),
        format!("{}{place}{all}", received("Program")),
        format!("{core}#0  {place}[Current thread is 3 (Thread 0x7ffff7589700 (LWP 124))]\n{all}"),
        format!("{core}#0  {place}{all}"),
        format!("{core}#0  {place}(gdb) thread 4\n[Switching to thread {}{own}", &idle[7..]),
    ] {
        assert_eq!(frames(&log), ["grow", "cache_check"], "{log}");
    }
    // Nothing shows which of the threads it was.
    assert!(frames(&format!("{}{all}", received("Program"))).is_empty());
    // Later stops are not those of the signal.
    let later =
        "(gdb) c\nContinuing.\n(gdb) bt\n#0  stop (n=4) at src/b.c:1\n#1  later () at src/b.c:2\n";
    assert!(frames(&format!("{}{later}", received("Program"))).is_empty());
}

#[test]
fn functions_of_the_reporter_are_not_the_place() {
    let chromium = |frames: &str| {
        format!("Received signal 11 SEGV_MAPERR 000000000018\n{frames}[end of stack trace]\n")
    };
    let not = ["Collect", "StackTrace", "app+0x1)", "app+0x1 ", "app+0x1,", "vdso", "libc.so"];
    let symbols = "#0 0xaaaadcb8634630 base::debug::CollectStackTrace()\n#1 0xaaaadcb8fba5a0 base::debug::StackTrace::StackTrace()\n#2 0xaaaadcb8fba9b0 base::debug::(anonymous namespace)::StackDumpSignalHandler(int, siginfo_t*, void*)\n";
    let returns = "#3 0xffff99beaab560 ([vdso]+0x55f)\n";
    let crash = "#4 0xaaaadc8c807a40 Frame::Init()\n#5 0xaaaadc8c807b40 BrowserMain()\n";
    let log = chromium(&format!("{symbols}{returns}{crash}"));
    check(&log, Cause::NullPointer, &["in Frame::Init()"], &not);
    let files = "#0 0xaaaadcb8634630 (/opt/app/app+0x1)\n#1 0xaaaadcb8fba5a0 (/opt/app/app+0x1)\n";
    let place = "#3 0xaaaadc8c807a40 (/opt/app/app+0x21387a3)\n";
    for returns in [
        "#2 0xffff99beaab560 ([vdso]+0x55f)\n",
        "#2 0x7f99beaab560 (/usr/lib/libc.so.6+0x4255f)\n",
        "#2 0x7f99beaab560 __restore_rt\n",
    ] {
        let log = chromium(&format!("{files}{returns}{place}"));
        check(&log, Cause::NullPointer, &["in app+0x21387a3"], &not);
        check(&chromium(&format!("{files}{returns}")), Cause::NullPointer, &[], &not);
    }
    check(&chromium(files), Cause::NullPointer, &["0x18. The pointer"], &not);
    check(&chromium(symbols), Cause::NullPointer, &["0x18. The pointer"], &not);
    let ruby = |what: &str, frames: &str| {
        format!(
            "/srv/lib/oci.rb:64: [BUG] {what}\nruby 2.4.1p111 (2017-03-22 revision 58053) [x86_64-linux]\n\n-- C level backtrace information ---\n{frames}"
        )
    };
    let report = "/usr/lib/libruby.so.2.4(rb_vm_bugreport+0x5b8) [0x7ff513d8f188] vm_dump.c:684\n";
    let log = ruby("Segmentation fault at 0x007fb6439a8000", report);
    check(&log, Cause::Unmapped, &[], &["rb_vm_bugreport"]);
    let error = format!(
        "{report}/usr/lib/libruby.so.2.4(rb_bug+0x5b) [0x7ff513d8f190] error.c:6\n/usr/lib/libruby.so.2.4(rb_gc_mark+0x5b) [0x7ff513d8f290] gc.c:6\n"
    );
    check(&ruby("object is broken", &error), Cause::Abort, &["in rb_gc_mark"], &["rb_bug"]);
    // Abseil prints the function of the instruction pointer in a line of its own.
    let abseil = "*** SIGSEGV received at time=1700000000 on cpu 3 ***\nPC: @     0x55d5c0a1f010  (unknown)  work()\n    @     0x7f3862057470  (unknown)  (unknown)\n    @     0x55d5c0a1f030         32  main\n";
    check(abseil, Cause::Unknown, &["in work()."], &["(unknown)"]);
    let glog = "PC: @     0x55d5c0a1f010 work()\n*** SIGSEGV (@0x10) received by PID 90 (TID 0x7f3864c7e740) from PID 16; stack trace: ***\n    @     0x7f3862057470 (unknown)\n    @     0x55d5c0a1f010 work()\n    @     0x55d5c0a1f030 main\n";
    let [crash] = read_log(glog.as_bytes()).try_into().unwrap();
    let functions: Vec<_> = crash.frames.iter().map(|frame| &*frame.function).collect();
    assert_eq!(functions, ["work()", "main"]);
    // A log of containers, and a quoted one.
    for before in ["web_1  | ", "> "] {
        let log = "8565:M 02 Jan 2026 20:53:47.880 # Redis 7.0.15 crashed by signal: 11, si_code: 2\n8565:M 02 Jan 2026 20:53:47.880 # Crashed running the instruction at: 0x5603ff36775f\nredis-server *:6379(debugCommand+0x26f)[0x5603ff36775f]\n/lib/libc.so.6(+0x1f)[0x5603ff36775e]\n";
        let log: String = log.lines().map(|line| format!("{before}{line}\n")).collect();
        let [crash] = read_log(log.as_bytes()).try_into().unwrap();
        let modules: Vec<_> = crash.frames.iter().map(|frame| &*frame.module).collect();
        assert_eq!(modules, ["redis-server", "/lib/libc.so.6"]);
    }
}

/// Older kernels print the next mapping above, whatever the instruction pointer is.
#[test]
fn a_mapping_without_the_instruction_is_not_its() {
    for ip in ["(null)", "          (null)", "0000000000000000"] {
        let log = format!(
            "app[28708]: segfault at 0 ip {ip} sp 00007ffd5a3e5000 error 14 in app[8048000+6000]\n"
        );
        check(&log, Cause::NullPointer, &["tried to execute"], &["app+", "in code of app"]);
        assert!(read_log(log.as_bytes())[0].ip_mapping.is_none());
    }
    let inside =
        "app[7]: segfault at 0 ip 08048010 sp 00007ffd5a3e5000 error 4 in app[8048000+6000]\n";
    check(inside, Cause::NullPointer, &["in code of app (08048000-0804e000)"], &[]);
}

#[test]
fn the_kernel_counts_the_memory_of_a_program_that_it_kills() {
    for rest in ["total-vm:812kB, anon-rss:209kB", "vsz:812kB, anon-rss:209kB"] {
        let log = format!("Killed process 4711 (java) {rest}\n");
        check(&log, Cause::OutOfMemory, &["java (4711)", "exhausted"], &[]);
    }
    for log in ["Killed process 4711 (php-fpm) after 30 s\n", "Killed process 4711 (java)\n"] {
        assert!(read_log(log.as_bytes()).is_empty(), "{log}");
    }
}

/// The numbers of some signals differ on macOS, where SIGBUS shows no file and codes no mapping.
#[test]
fn numbers_of_macos_are_not_those_of_linux() {
    let java = |name: &str, system: &str| {
        format!(
            "#\n#  {name} at pc=0x0000000104a1b2c4, pid=4711, tid=4867\n#\n# Java VM: OpenJDK 64-Bit Server VM (17.0.9+9, mixed mode, g1 gc, {system})\n# Problematic frame:\n# C  [libdraw.so+0x2c4]  draw+0x24\n#\n\nsiginfo: si_signo: 1 ({}), si_code: 2 (X), si_addr: 0x0000000104a1b2c4\n",
            name.split(' ').next().unwrap()
        )
    };
    let not = ["SIGUSR1", "sent", "mapped", "file", "permissions"];
    let bus = java("SIGBUS (0xa)", "bsd-aarch64");
    check(&bus, Cause::Unknown, &["got SIGBUS in draw", "does not explain"], &not);
    let [segv] = read_log(java("SIGSEGV (0xb)", "bsd-amd64").as_bytes()).try_into().unwrap();
    assert_eq!((segv.signal, segv.code, segv.present), (Some(11), None, None));
    let linux =
        java("SIGBUS (0x7)", "linux-amd64").replace("si_addr: 0x00000001", "si_addr: 0x00000002");
    check(&linux, Cause::PastFile, &["SIGBUS"], &[]);
    let chromium = "Received signal 10 BUS_ADRERR 7000000000018\n [0x000109f2a7c0]\n";
    check(chromium, Cause::Unknown, &["got SIGBUS", "does not explain"], &not);
    let asan = "==7==ERROR: AddressSanitizer: BUS on unknown address 0x603000250000 (pc 0x55d18d0731b6 bp 0x1 sp 0x7fff566a69a8 T0)\n    #0 0x55d18d0731b5 in f a.c:4:3\n    #1 0x7fff2037 in start (/usr/lib/system/libdyld.dylib+0x15f3c)\n";
    check(asan, Cause::Unknown, &["got SIGBUS in f"], &not);
}

/// macOS and Linux give other reasons by the same numbers, and paths may be all that shows it.
#[test]
fn reports_may_come_from_macos() {
    let go = |first: &str, signal: &str, argument: &str, path: &str| {
        format!(
            "{first}\n[signal {signal} pc=0x460000]\n\ngoroutine 1 [running]:\nmain.main({argument})\n\t{path}/main.go:9 +0x24\n"
        )
    };
    let bus = |argument: &str, path: &str| {
        let first = "unexpected fault address 0x104f3c008\nfatal error: fault";
        go(first, "SIGBUS: bus error code=0x1 addr=0x104f3c008", argument, path)
    };
    let not = ["aligned", "mapped", "0x104f3c008 is"];
    for path in ["/Users/me/src/app", "/opt/homebrew/src", "/usr/local/Cellar/go/1.21/src"] {
        check(&bus("", path), Cause::Unknown, &["got SIGBUS in main.main"], &not);
    }
    check(&bus("0x14000102018", "/src"), Cause::Unknown, &["got SIGBUS in main.main"], &not);
    check(&bus("0x140001020180", "/src"), Cause::Misaligned, &["is not aligned"], &[]);
    check(&bus("0xc000102018", "/src"), Cause::Misaligned, &["is not aligned"], &[]);
    let program = bus("", "/src").replace("pc=0x460000", "pc=0x104e2b1d4");
    check(&program, Cause::Unknown, &["got SIGBUS in main.main"], &not);
    // On Linux, nothing is mapped at a null pointer.
    let null = |code: &str, path: &str| {
        let first = "panic: runtime error: invalid memory address or nil pointer dereference";
        let signal = format!("SIGSEGV: segmentation violation code={code} addr=0x18");
        let [crash] = read_log(go(first, &signal, "", path).as_bytes()).try_into().unwrap();
        (crash.signal, crash.code, crash.present, crash.address)
    };
    assert_eq!(null("0x2", "/src"), (Some(11), None, None, Some(0x18)));
    assert_eq!(null("0x1", "/src"), (Some(11), Some(1), None, Some(0x18)));
    let ruby = |platform: &str| {
        format!(
            "/app/a.rb:112: [BUG] Bus Error at 0x0000000102f5c008\nruby 2.7.2p137 (2020-10-01 revision 5445e04352) [{platform}]\n\n"
        )
    };
    check(&ruby("arm64-darwin20"), Cause::Unknown, &["got SIGBUS"], &not);
    check(&ruby("x86_64-linux"), Cause::PastFile, &["got SIGBUS", "mapped"], &[]);
    let crash_report = ruby("?").replace("\n\n", "\n     * /Library/Logs/DiagnosticReports\n");
    check(&crash_report, Cause::Unknown, &["got SIGBUS"], &not);
}

#[test]
fn what_is_aligned_is_not_called_misaligned() {
    let fault = |address: &str| {
        format!(
            "*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***\nBuild fingerprint: 'x'\nABI: 'arm64'\npid: 7, tid: 7, name: app  >>> app <<<\nsignal 7 (SIGBUS), code 1 (BUS_ADRALN), fault addr {address}\nbacktrace:\n      #00 pc 0000000000000f08  /system/lib64/libapp.so (draw+8)\n"
        )
    };
    check(&fault("0x7f00006001"), Cause::Misaligned, &["is not aligned as"], &[]);
    for address in ["0x7f00006000", "0x7f00006040"] {
        let not = &["is not aligned as"];
        check(&fault(address), Cause::Unknown, &["is a multiple of 64"], not);
    }
}

/// Programs log words with which reports begin, and go on.
#[test]
fn words_of_reports_that_programs_log() {
    for log in [
        "Received signal 1 (SIGHUP), reloading configuration\n",
        "Received signal 15, shutting down gracefully\n",
        "Received signal 15\n",
        "Received signal 10\n",
        "Received signal 11 from pid 1234567890\n",
        "  4f2c1d9: [BUG] Login fails when the name has a blank\n  77aa001: [FEAT] Dark mode\n",
        "src/app.rb:12: [BUG] Login fails\nsrc/app.rb:13: [FEAT] Dark mode\n",
        "#1234: [BUG] Segmentation fault at start of the demo (docs only)\n",
        "Process terminated. Exit code: 0\nall done\n",
        "Fatal error. Could not connect to the database: timeout\n",
        "Unhandled exception. Exception in task 12, retrying in 5 s\n",
        "Unhandled exception. ValueException: row 12 skipped, continuing\n",
        "Unhandled exception. java.lang.IllegalStateException: bad\n\tat com.x.Y.f(Y.java:12)\n",
        "terminate called for worker 3, restarting\n",
        "terminating with uncaught errors\n",
    ] {
        assert!(read_log(log.as_bytes()).is_empty(), "{log}");
    }
    let frames = "   at App.Fail(String)\n   at App.Main()\n";
    let net = format!("Process terminated. the cache is broken\n{frames}");
    check(&net, Cause::Abort, &["the cache is broken", "App.Fail(String)"], &["App.Main"]);
    let net = format!("Unhandled exception. ValueException: row 12\n{frames}");
    check(&net, Cause::Abort, &["An exception of .NET was not handled"], &[]);
    let ruby = "app.rb:12: [BUG] object is broken\nruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]\n";
    check(ruby, Cause::Abort, &["object is broken"], &[]);
}

#[test]
fn two_reports_of_one_crash_are_one() {
    let cpp = "terminate called after throwing an instance of 'std::system_error'\n";
    let again = format!("{cpp}terminate called recursively\n  what():  unavailable\n");
    check(&again, Cause::Abort, &["std::system_error", "what():  unavailable"], &[]);
    let glog = format!(
        "{cpp}  what():  x\n*** Aborted at 1522671290 (unix time) try \"date -d @1522671290\" if you are using GNU date ***\nPC: @     0x7f3862057470 gsignal\n*** SIGABRT (@0x5a) received by PID 90 (TID 0x7f3864c7e740) from PID 90; stack trace: ***\n    @     0x7f3862057400 (unknown)\n    @     0x7f3862057470 gsignal\n    @     0x7f3862058470 abort\n    @           0x40441e work()\n"
    );
    check(&glog, Cause::Abort, &["Process 90", "std::system_error", "reached from work()"], &[]);
    let abseil = "*** SIGSEGV received at time=1700000000 on cpu 3 ***\nPC: @     0x55d5c0a1f010  (unknown)  work()\n    @     0x7f3862057470  (unknown)  (unknown)\n    @     0x55d5c0a1f030         32  main\n";
    let repeated: String = abseil
        .lines()
        .map(|line| format!("[2026-11-30 10:00:00,000 E 90 90] logging.cc:361: {line}\n"))
        .collect();
    let python = "Fatal Python error: Segmentation fault\n\nStack (most recent call first):\n  File \"/srv/app/x.py\", line 5 in f\n";
    check(&format!("{abseil}{repeated}{python}"), Cause::Unknown, &["in work()"], &["Python"]);
    let kernel = "kernel: app[21876]: segfault at 7a8 ip 00007fdccdf44277 sp 00007fdcb743c750 error 4 in app[7fdccd7c8000+201c000]\n";
    let dump = |tid: u32, ip: &str| {
        format!(
            "systemd-coredump[21880]: Process 21875 (app) of user 1000 dumped core.\nStack trace of thread {tid}:\n#0  0x{ip} grow (app + 0x77c277)\n#1  0x00007fdccdf40000 main (app + 0x770000)\n"
        )
    };
    let log = format!("{kernel}{}", dump(21876, "00007fdccdf44277"));
    check(&log, Cause::NullPointer, &["Thread 21876 (app) of process 21875", "in grow"], &[]);
    // Another thread, or another place.
    for dump in [dump(21877, "00007fdccdf44277"), dump(21876, "00007fdccdf44278")] {
        assert_eq!(read_log(format!("{kernel}{dump}").as_bytes()).len(), 2);
    }
}

#[test]
fn lines_of_other_programs_do_not_end_a_stack() {
    let head = "pid: 8843, tid: 17348, name: ui  >>> app <<<\nsignal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------\nbacktrace:\n      #00 pc 00000000000518dc  /lib64/libc.so (abort+168)\n";
    let other = "I ActivityManager: Process com.example.b (pid 99) has died\n";
    let rest = "      #01 pc 0000000000017a8c  /libapp.so (cache_drop+20)\n";
    let log = format!("{head}{other}{rest}");
    check(&log, Cause::Abort, &["reached from cache_drop"], &[]);
    let lacks_a_frame = format!("{head}{}", rest.replace("#01", "#02"));
    check(&lacks_a_frame, Cause::Abort, &["reached from cache_drop"], &[]);
    for heading in ["\ndeallocated by thread 4:\n", "\nallocated by thread 4:\nbacktrace:\n"] {
        let second = "      #00 pc 0000000000017a8c  /libapp.so (other+20)\n";
        let log = format!("{head}{heading}{second}{rest}");
        check(&log, Cause::Abort, &["in abort"], &["cache_drop", "other"]);
    }
    let panic = "thread 'main' panicked at 'assertion failed: `(left == right)`\n  left: `1`,\n right: `2`', src/main.rs:2:5\nnote: run with `RUST_BACKTRACE=1`\n";
    let [crash] = read_log(panic.as_bytes()).try_into().unwrap();
    let sources: Vec<_> = crash.frames.iter().map(|frame| frame.source.as_deref()).collect();
    assert_eq!(sources, [Some("src/main.rs:2:5")]);
}

/// Several processes write to logcat at the same time.
#[test]
fn tombstones_in_logcat_may_be_interleaved() {
    let line =
        |pid: u32, text: &str| format!("09-29 22:12:03.403  {pid}  {pid} F DEBUG   : {text}\n");
    let rule = "*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***";
    let log: String = [
        line(11, rule),
        line(11, "ABI: 'arm64'"),
        line(11, "pid: 30, tid: 30, name: first  >>> first <<<"),
        line(12, rule),
        line(12, "ABI: 'arm64'"),
        line(12, "pid: 40, tid: 40, name: second  >>> second <<<"),
        line(11, "signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x10"),
        line(11, "backtrace:"),
        line(11, "      #00 pc 0000000000012a54  /lib/libfoo.so (get+20)"),
        line(12, "signal 6 (SIGABRT), code -1 (SI_QUEUE), fault addr --------"),
        line(12, "backtrace:"),
        line(12, "      #00 pc 00000000000518dc  /lib64/libc.so (abort+168)"),
    ]
    .concat();
    let crashes = read_log(log.as_bytes());
    let of = |at: usize| {
        let crash = &crashes[at];
        let first = crash.frames.first().map(|frame| &*frame.function);
        (crash.pid, crash.signal, crash.address, first)
    };
    assert_eq!(crashes.len(), 2, "{crashes:?}");
    assert_eq!(of(0), (Some(30), Some(11), Some(0x10), Some("get")));
    assert_eq!(of(1), (Some(40), Some(6), None, Some("abort")));
}

#[test]
fn go_reports_other_pointers_as_null() {
    let go = |signal: &str| {
        format!(
            "panic: runtime error: invalid memory address or nil pointer dereference\n[signal SIGSEGV: segmentation violation {signal} pc=0x465911]\n\ngoroutine 1 [running]:\nmain.main()\n\t/srv/m.go:5 +0x51\n"
        )
    };
    check(&go("code=0x1 addr=0x8"), Cause::NullPointer, &["null"], &[]);
    check(&go("code=0x80 addr=0x0"), Cause::NonCanonical, &["not canonical"], &["null"]);
}

#[test]
fn an_address_of_minus_one_may_be_an_index() {
    let line = "app[1]: segfault at ffffffffffffffff ip 000055d0c0000217 sp 00007ffe8c4d6c30 error 5 in app[55d0c0000000+1000]";
    let words = ["negative number, -1", "null less an offset"];
    check(line, Cause::DataAsPointer, &words, &["MAP_FAILED"]);
}

#[test]
fn redis_writes_to_minus_one_on_purpose() {
    for function in ["_serverAssert", "_serverPanic", "_redisAssert", "_redisPanic"] {
        let log = format!(
            "1:M 05 Mar 2020 10:22:31.456 # Redis 5.0.7 crashed by signal: 11\n1:M 05 Mar 2020 10:22:31.456 # Crashed running the instruction at: 0x5581f7a40c7a\n1:M 05 Mar 2020 10:22:31.456 # Accessing address: 0xffffffffffffffff\n\n------ STACK TRACE ------\nEIP:\nredis-server *:6379({function}+0x6a)[0x5581f7a40c7a]\n"
        );
        check(&log, Cause::Abort, &["own checks failed"], &["The pointer is"]);
    }
}

#[test]
fn java_may_lack_more_than_memory() {
    let log = |reason: &str| {
        format!(
            "#\n# There is insufficient memory for the Java Runtime Environment to continue.\n# {reason}\n# Possible reasons:\n#   The system is out of physical RAM or swap space\n#\n#  Out of Memory Error (a.cpp:48), pid=6, tid=6\n#\n# JRE version:  (11.0.4+11) (build )\n"
        )
    };
    let kernel = "could not get memory from the kernel";
    let native = "Native memory allocation (mmap) failed to map 4096 bytes for committing memory.";
    check(&log(native), Cause::OutOfMemory, &[kernel], &[]);
    for reason in [
        "Cannot create GC thread. Out of system resources",
        "CodeCache: no room for StubRoutines (1)",
    ] {
        check(
            &log(reason),
            Cause::OutOfMemory,
            &[reason, "could not get what it needs"],
            &[kernel],
        );
    }
}

#[test]
fn not_all_internal_errors_are_java_s_own() {
    let log = |error: &str| format!("#\n#  Internal Error ({error}\n#\n# JRE version: OpenJDK\n");
    let own = "found an error in itself";
    check(&log("f.cpp:12), pid=1, tid=2"), Cause::Abort, &[own], &[]);
    check(&log("0xe06d7363), pid=1, tid=2"), Cause::Abort, &["exception of Windows"], &[own]);
    let zero = "os_linux_zero.cpp:254), pid=1, tid=2\n#  fatal error: caught unhandled signal 11";
    check(&log(zero), Cause::Unknown, &["A signal came"], &[own]);
}

#[test]
fn memory_may_be_unwritten_because_it_was_freed() {
    let log = "==6==WARNING: MemorySanitizer: use-of-uninitialized-value\n    #0 0x1 in main /src/a.c:7:7\n\n  Uninitialized value was created by a heap deallocation\n    #0 0x2 in free (/src/a+0x2)\n";
    check(log, Cause::Uninitialized, &["never written, or was freed or destroyed since"], &[]);
}

#[test]
fn an_address_that_is_no_block_gives_words_about_the_heap() {
    for (said, words) in [
        ("double free or corruption (out)", "or an address that is no block"),
        ("free(): invalid pointer", "freed or resized that is no block"),
        ("realloc(): invalid pointer", "freed or resized that is no block"),
    ] {
        check(&format!("{said}\n"), Cause::CorruptMemory, &[words], &[]);
    }
}

#[test]
fn a_jump_to_a_frame_that_is_gone_overruns_no_buffer() {
    let log = "*** longjmp causes uninitialized stack frame ***: /usr/bin/app terminated\n======= Backtrace: =========\n/lib/libc.so.6(__fortify_fail+0x37)[0x7f2bd9ebd807]\n/lib/libc.so.6(__longjmp_chk+0x33)[0x7f2bd9ebd703]\n";
    let of_message = log.lines().next().unwrap();
    for log in [log, of_message] {
        check(log, Cause::Abort, &["jump (longjmp)", "returned"], &["buffer"]);
    }
}

#[test]
fn an_exception_that_is_handled_may_be_named_by_std_terminate() {
    for log in [
        "terminate called after throwing an instance of 'std::runtime_error'\n",
        "libc++abi: terminating with uncaught exception of type std::runtime_error: no\n",
    ] {
        let words = ["was not caught", "std::terminate was called while one was handled"];
        check(log, Cause::Abort, &words, &[]);
    }
}

#[test]
fn arrays_that_are_too_long_for_v8_exhaust_no_memory() {
    for what in ["invalid array length", "invalid table size"] {
        let log = format!(
            "FATAL ERROR: {what} Allocation failed - JavaScript heap out of memory\n 1: 0xa18150 node::Abort() [node]\n"
        );
        check(&log, Cause::Abort, &["longer than V8 permits"], &["exhausted"]);
    }
}

#[test]
fn faulthandler_adds_the_stack_of_python_to_the_report_of_another_runtime() {
    let python = "Fatal Python error: Aborted\n\nCurrent thread 0x00007f (most recent call first):\n  File \"/a.py\", line 3 in work\n";
    for (said, cause) in [
        ("terminate called after throwing an instance of 'E'\n  what():  no\n", Cause::Abort),
        ("free(): invalid pointer\n", Cause::CorruptMemory),
    ] {
        check(&format!("{said}{python}"), cause, &["in work (/a.py:3)"], &["who sent"]);
    }
}

#[test]
fn windows_has_no_signals() {
    let log = |what: &str, place: &str| {
        format!("{what}\n   at App.Read(IntPtr)\n   at App.Main(){place}\n")
    };
    let fault = "Fatal error. System.AccessViolationException: Attempted to read memory.";
    let exception = "Unhandled exception. System.Exception: no";
    for what in [fault, exception] {
        let found = |place: &str| read_log(log(what, place).as_bytes())[0].signal;
        assert_eq!(found(" in C:\\src\\App.cs:line 9"), None, "{what}");
        assert!(found(" in /src/App.cs:line 9").is_some(), "{what}");
    }
    let path = "Unhandled exception. System.IO.IOException: Could not find 'C:\\a.json'";
    check(&log(path, ""), Cause::Abort, &["of .NET was not handled"], &["SIGABRT"]);
    let forms = log(exception, "\n   at System.Windows.Forms.Application.Run(Form f)");
    check(&forms, Cause::Abort, &["of .NET was not handled"], &["SIGABRT"]);
    let user = log(fault, "\n   at Interop+User32.DispatchMessageW(MSG ByRef)");
    check(&user, Cause::Unknown, &["Attempted to read memory"], &["SIGSEGV"]);
    let rust = |after: &str| format!("\nthread 'main' has overflowed its stack\n{after}\n");
    for after in [
        "error: process didn't exit successfully: `app` (exit code: 0xc00000fd, STATUS_STACK_OVERFLOW)",
        "error: process didn't exit successfully: `target\\debug\\app.exe`",
        "note: in C:/src/app",
    ] {
        check(&rust(after), Cause::StackOverflow, &["no more room"], &["SIGABRT"]);
    }
    let built = format!("     Running `target\\debug\\app.exe`\n{}", rust(""));
    check(&built, Cause::StackOverflow, &["no more room"], &["SIGABRT"]);
    let end = "fatal runtime error: stack overflow\nsee http://a.b/ or a.execute()";
    check(&rust(end), Cause::StackOverflow, &["ended by SIGABRT"], &[]);
    let smashed = "*** stack smashing detected ***: terminated\n[process exited with code 3221226505 (0xc0000409)]\n";
    check(smashed, Cause::CorruptMemory, &["on the stack was overrun"], &["SIGABRT"]);
    let mingw = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n\nThis application has requested the Runtime to terminate it in an unusual way.\n";
    check(mingw, Cause::Abort, &["exception was not caught"], &["SIGABRT"]);
    let asan = "==7==ERROR: AddressSanitizer: stack-overflow on address 0x10 (pc 0x7 bp 0x1 sp 0x2 T0)\n    #0 0x7ff7 in f C:\\src\\a.c:4\n";
    check(asan, Cause::StackOverflow, &["no more room"], &["SIGSEGV"]);
}
