//! Every cause, crashed for real and recognised from the core alone; with and without frame
//! pointers, debug information and symbols.

use super::{Crashed, compiled, crash_program, explained, functions};
use crate::vmatlas::{testdata, vmatlas_with_input};
use std::path::Path;
use std::process::Command;

/// A way to crash, its cause, and the words that the paragraph must contain.
struct Way(&'static str, &'static str, &'static [&'static str]);

const WAYS: &[Way] = &[
    Way("null_read", "null-pointer", &["tried to read 4 bytes at 0x0", "The pointer is null"]),
    Way("null_field", "null-pointer", &["write 8 bytes at 0x8", "8 bytes into the object"]),
    Way("null_atomic", "null-pointer", &["at 0x8, atomically"]),
    Way(
        "null_call",
        "null-pointer",
        &["execute code at 0x0", "function pointer that is null was called."],
    ),
    Way("write_literal", "write-to-read-only", &["section .rodata", "string literals"]),
    Way("write_code", "write-to-read-only", &["section .text", "This is code"]),
    Way("write_relro", "write-to-relro", &["RELRO", ".data.rel.ro"]),
    Way("execute_data", "execute-non-executable", &["execute code at"]),
    Way("execute_stack", "execute-non-executable", &["stack of"]),
    Way("reserve", "no-access", &["PROT_NONE"]),
    Way("guard", "guard-page", &["went beyond the memory beside it"]),
    Way("overflow", "stack-overflow", &["stack of the first thread", "deeper calls itself"]),
    Way("overflow_thread", "stack-overflow", &["guard was reached", "deeper calls itself"]),
    Way("overflow_frame", "stack-overflow", &["alloca"]),
    Way("past_mapping", "past-mapping", &["just behind the end", "beyond the end of the mapping"]),
    Way("past_file", "past-file", &["offset 0x5000", "0x1064 bytes", "cut-"]),
    // Without a recording the former mapping is unknown.
    Way("after_unmap", "unmapped", &["Nothing is mapped", "vmatlas record"]),
    Way("after_mprotect", "write-to-read-only", &["may not be written"]),
    Way("not_canonical", "non-canonical", &["0x1357a468b953024e is no address at all"]),
    Way("not_canonical_call", "non-canonical", &["execute code at 0x1357a468b9530246"]),
    Way("poison", "poison-value", &["0xdeadbeefdeadbeef is the pattern"]),
    Way("poison32", "poison-value", &["0xdeadbeef is the pattern"]),
    Way("poison_junk", "poison-value", &["jemalloc fills freed memory"]),
    Way("poison_asan", "poison-value", &["AddressSanitizer"]),
    Way("poison_glibc", "poison-value", &["0x9d9d9d9d9d9d9d9d is one byte over and over"]),
    Way("text_pointer", "data-as-pointer", &["text, \" name!!\""]),
    Way("double_pointer", "data-as-pointer", &["floating-point number, 1234.5"]),
    Way("halves", "data-as-pointer", &["two numbers of 32 bits, it seems: 7 and 42"]),
    Way("truncated", "data-as-pointer", &["lost its upper half"]),
    Way("map_failed", "data-as-pointer", &["MAP_FAILED"]),
    Way("kernel", "kernel-address", &["belongs to the kernel"]),
    Way("misaligned", "misaligned", &["multiple of 16", "is 8 more than one"]),
    Way("alignment_check", "misaligned", &["write 4 bytes at 0x", "1 is not aligned"]),
    Way("protection_key", "protection-key", &["protection key"]),
    Way("guard_install", "guard-page", &["MADV_GUARD_INSTALL"]),
    Way("overrun_thread", "guard-page", &["guard below the stack", "beyond the memory beside it"]),
    Way("refused", "illegal-instruction", &["uses no address that is not canonical"]),
    Way("aborted", "abort", &["ended itself by abort(3)"]),
    Way("divide", "divide-by-zero", &["divided by zero"]),
    Way("divide_minimum", "arithmetic", &["divided by -1"]),
    Way("illegal", "illegal-instruction", &["ud2", "__builtin_trap"]),
    Way("privileged", "illegal-instruction", &["Only the kernel may execute"]),
    Way("breakpoint", "trap", &["breakpoint"]),
    Way("seccomp", "forbidden-system-call", &["system call number 140"]),
    Way("sent", "sent-signal", &["sent itself SIGSEGV by kill(2)"]),
    Way("sent_by_child", "sent-signal", &["Process ", "(of uid ", "sent SIGSEGV by kill(2)"]),
    Way("sent_abort", "sent-signal", &["Process ", "(of uid ", "sent SIGABRT by kill(2)"]),
    Way("sent_quit", "sent-signal", &["Process ", "sent SIGQUIT by kill(2)"]),
    Way("abort_kill", "abort", &["ended itself by kill(2)"]),
    Way("abort_raise", "abort", &["ended itself by raise(3)"]),
    Way("abort_call", "abort", &["ended itself by abort(3)"]),
    Way("queued", "sent-signal", &["sent itself SIGSEGV by sigqueue(3)"]),
    Way("file_size", "sent-signal", &["RLIMIT_FSIZE"]),
    Way("cpu_time", "sent-signal", &["RLIMIT_CPU"]),
];

/// The ways that need the names of functions of the C library.
const WITH_NAMES: &[Way] = &[
    Way("assertion", "abort", &["assertion of the program failed"]),
    Way("heap_corrupt", "corrupt-memory", &["heap is corrupted"]),
    Way("double_free", "corrupt-memory", &["freed twice"]),
    Way("stack_smash", "corrupt-memory", &["canary"]),
];

/// Crashes a program in a way and explains the core; the stack must name the function.
#[track_caller]
fn check(program: &std::path::Path, way: &Way, named: bool) {
    let Way(name, cause, words) = way;
    let crashed = Crashed::run(program, name);
    let Some(core) = crashed.core() else {
        eprintln!("skipped: this machine cannot crash by {name}");
        return;
    };
    let document = explained(core.to_str().unwrap());
    assert_eq!(document["cause"], *cause, "{name}: {document}");
    assert_eq!(document["source"], "core", "{name}");
    let paragraph = document["paragraph"].as_str().unwrap();
    for word in *words {
        // Without symbols the recursive function has no name.
        if named || !word.starts_with("deeper") {
            assert!(paragraph.contains(word), "{name}: {word:?} is not in {paragraph}");
        }
    }
    let functions = functions(&document);
    let expected = match *name {
        "overflow" | "overflow_thread" => "deeper",
        "overrun_thread" => "overrun",
        name => name,
    };
    if named {
        assert!(functions.contains(&expected), "{name}: {functions:?}");
    }
    // A thread has no main, a recursion is cut off, and an overrun buffer overwrites the return
    // address.
    let cut = name.starts_with("over") || *name == "stack_smash";
    if named && !cut {
        assert_eq!(functions.last(), Some(&"main"), "{name}: {functions:?}");
    } else if !named {
        assert!(functions.len() >= 3, "{name}: the walk goes on without names: {functions:?}");
    }
}

#[test]
fn all_causes_with_frame_pointers_and_debug_information() {
    let program = crash_program("crash-fp-g", "-O1 -g -fno-omit-frame-pointer");
    WAYS.iter().chain(WITH_NAMES).for_each(|way| check(&program, way, true));
}

/// One way of each sort; the others differ only in their values.
fn some() -> impl Iterator<Item = &'static Way> {
    let names = [
        "null_field",
        "null_call",
        "write_relro",
        "execute_stack",
        "guard",
        "overflow",
        "overflow_thread",
        "past_mapping",
        "not_canonical",
        "poison",
        "misaligned",
        "divide",
    ];
    WAYS.iter().filter(move |way| names.contains(&way.0))
}

#[test]
fn without_frame_pointers_and_debug_information() {
    let program = crash_program("crash-no-fp", "-O2 -fomit-frame-pointer");
    some().for_each(|way| check(&program, way, true));
}

#[test]
fn without_frame_pointers_and_optimisation_with_debug_information() {
    let program = crash_program("crash-no-fp-g", "-O0 -g -fomit-frame-pointer");
    some().for_each(|way| check(&program, way, true));
}

#[test]
fn without_any_names() {
    let program = crash_program("crash-stripped", "-O2 -fno-omit-frame-pointer -s -static-pie");
    some().for_each(|way| check(&program, way, false));
}

/// Compiles a Rust program of testdata/programs.
fn rust_program(name: &str, options: &[&str]) -> std::path::PathBuf {
    compiled(name, |path| {
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "--crate-name=crash"]).args(options);
        rustc.arg("-o").arg(path).arg(testdata().join("programs/crash.rs"));
        rustc
    })
}

/// Crashes a program in a way that no machine lacks, and explains the core.
#[track_caller]
fn check_words(program: &std::path::Path, Way(name, cause, words): &Way) {
    let crashed = Crashed::run(program, name);
    let document = explained(crashed.core().unwrap().to_str().unwrap());
    assert_eq!(document["cause"], *cause, "{name}: {document}");
    let paragraph = document["paragraph"].as_str().unwrap();
    for word in *words {
        assert!(paragraph.contains(word), "{name}: {word:?} is not in {paragraph}");
    }
}

#[test]
fn rust_programs() {
    const RUST: &[Way] = &[
        Way("null_field", "null-pointer", &["write 8 bytes at 0x18"]),
        Way("write_static", "write-to-read-only", &["may not be written"]),
        // The runtime's handler of SIGSEGV reports an overflow and calls abort(3).
        Way("overflow", "stack-overflow", &["got SIGSEGV", "crash::deeper calls itself"]),
        Way(
            "overflow_thread",
            "stack-overflow",
            &["crash::deeper calls itself", "handler ran then, and ended the program by SIGABRT"],
        ),
        Way("panic", "abort", &["Rust program panicked"]),
        Way("text_pointer", "data-as-pointer", &["text, \"overlong\""]),
    ];
    let frames = "-Cforce-frame-pointers=yes";
    let debug =
        rust_program("crash-rust-g", &["-g", frames, "-Cpanic=abort", "-Cdebug-assertions=off"]);
    let plain = rust_program("crash-rust", &["-O", "-Cpanic=abort"]);
    for way in RUST {
        check_words(&debug, way);
        check_words(&plain, way);
    }
}

#[test]
fn cpp_programs() {
    const CPP: &[Way] = &[
        Way("pure_virtual", "abort", &["A pure virtual function was called"]),
        Way("joinable", "abort", &["C++ thread was destroyed"]),
        Way("uncaught", "abort", &["exception was not caught"]),
        Way("forbidden", "abort", &["exception was not caught, or was thrown where none may be"]),
        Way("called", "abort", &["std::terminate ended the program"]),
    ];
    let program = compiled("crash-cpp", |path| {
        let mut cc = Command::new("c++");
        cc.args(["-Wall", "-g", "-O1", "-fno-omit-frame-pointer", "-pthread", "-o"]).arg(path);
        cc.arg(testdata().join("programs/crash.cc"));
        cc
    });
    CPP.iter().for_each(|way| check_words(&program, way));
}

/// 32-bit programs have other registers and no libraries on this machine.
#[test]
fn a_program_of_32_bits() {
    let program = compiled("crash-32", |path| {
        let mut cc = Command::new("cc");
        let options =
            "-m32 -O1 -nostdlib -static -ffreestanding -fno-stack-protector -fno-pie -no-pie";
        cc.args(options.split(' ')).arg("-o").arg(path);
        cc.arg(testdata().join("programs/crash32.c"));
        cc
    });
    let crashed = Crashed::run(&program, "");
    let document = explained(crashed.core().unwrap().to_str().unwrap());
    assert_eq!(document["cause"], "null-pointer", "{document}");
    let paragraph = document["paragraph"].as_str().unwrap();
    assert!(paragraph.contains("write 4 bytes at 0xc"), "{paragraph}");
    assert!(document["because"].as_str().unwrap().contains("12 was added"), "{document}");
}

/// Faults that a signal handler gets, which then ends the program.
const HANDLED: &[Way] = &[
    Way("field,none", "null-pointer", &["was ended by SIGSEGV", "read 4 bytes at 0x18"]),
    Way("field,raise", "null-pointer", &["got SIGSEGV", "read 4 bytes at 0x18", "by SIGSEGV"]),
    Way("field,kill", "null-pointer", &["read 4 bytes at 0x18", "handler ran then"]),
    Way("field,abort", "null-pointer", &["read 4 bytes at 0x18", "the program by SIGABRT"]),
    Way("field,siginfo", "null-pointer", &["read 4 bytes at 0x18", "the program by SIGSEGV"]),
    Way("field,alt-raise", "null-pointer", &["read 4 bytes at 0x18", "the program by SIGSEGV"]),
    Way("field,alt-abort", "null-pointer", &["read 4 bytes at 0x18", "the program by SIGABRT"]),
    Way("field,fail", "null-pointer", &["write 4 bytes at 0x8", "in a handler of SIGSEGV"]),
    Way("call,abort", "null-pointer", &["execute code at 0x0", "the program by SIGABRT"]),
    Way("call,raise", "null-pointer", &["execute code at 0x0", "the program by SIGSEGV"]),
    Way("constant,abort", "write-to-read-only", &["write 1 byte", "may not be written"]),
    Way("divide,abort", "divide-by-zero", &["got SIGFPE", "the program by SIGABRT"]),
    Way("divide,siginfo", "divide-by-zero", &["got SIGFPE", "the program by SIGFPE"]),
    Way("trap,abort", "illegal-instruction", &["got SIGILL", "ud2"]),
    Way("cut,abort", "past-file", &["got SIGBUS", "0 bytes now", "the program by SIGABRT"]),
    // A handler got a fault before and has left.
    Way(
        "returned,none",
        "abort",
        &["was ended by SIGABRT", "ended itself by abort(3) in end_deep"],
    ),
    Way("sent,abort", "abort", &["was ended by SIGABRT", "The program ended itself by abort(3)"]),
];

pub(super) fn handlers(name: &str, options: &[&str]) -> std::path::PathBuf {
    compiled(name, |path| {
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-g", "-O1"]).args(options).arg("-o").arg(path);
        cc.arg(testdata().join("programs/handlers.c"));
        cc
    })
}

#[test]
fn faults_before_signal_handlers() {
    let program = handlers("handlers", &[]);
    HANDLED.iter().for_each(|way| check_words(&program, way));
}

/// The frame of a handler that is on the stack of a 32-bit program.
#[test]
fn faults_before_signal_handlers_of_i386() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handlers-can-32");
    let source = testdata().join("programs/handlers.c");
    let cc = Command::new("cc").arg("-m32").arg(&source).arg("-o").arg(program).output().unwrap();
    if !cc.status.success() {
        return eprintln!("skipped: needs a C library for -m32");
    }
    let program = handlers("handlers-32", &["-m32"]);
    // Stacks of i386 are not unwound: abort(3) is not told from raise(3), nor a frame that was left
    // from others, unless the handler has returned.
    let stays = |way: &&Way| way.0.ends_with("abort") || way.0.ends_with("fail");
    let known = HANDLED.iter().filter(|way| way.1 != "abort" && !stays(way));
    known.for_each(|way| check_words(&program, way));
    let perhaps = &["was ended by", "Perhaps it happened in a handler of SIGSEGV"];
    for way in [Way("field,abort", "abort", perhaps), Way("field,fail", "null-pointer", perhaps)] {
        check_words(&program, &way);
    }
}

/// The walk through code without tables guesses, and a frame that a handler left may be a guess.
#[test]
fn frames_of_handlers_that_are_not_reached_are_guesses() {
    let options = ["-g0", "-fno-asynchronous-unwind-tables", "-fomit-frame-pointer"];
    let program = handlers("handlers-without-tables", &options);
    let left = &["was ended by SIGABRT", "Perhaps it happened in a handler of SIGSEGV"];
    check_words(&program, &Way("returned-near,none", "abort", left));
}

/// Cores of old kernels and of QEMU have no siginfo: the registers and the map show the access.
#[test]
fn cores_without_siginfo() {
    const NAME: &[u8] = b"IGIS";
    let program = handlers("handlers", &[]);
    for (way, cause, words) in [
        ("field,none", "null-pointer", "read 4 bytes at 0x18"),
        ("call,none", "null-pointer", "execute code at 0x0"),
        ("constant,none", "write-to-read-only", "may not be written"),
        ("field,kill", "null-pointer", "read 4 bytes at 0x18"),
    ] {
        let core = Crashed::run(&program, way).core().map(|path| std::fs::read(path).unwrap());
        let mut core = core.unwrap();
        let at = core.windows(NAME.len()).position(|bytes| bytes == NAME).unwrap();
        core[at] = b'X';
        let run = vmatlas_with_input(&["explain", "-", "--json"], &core);
        let document = run.json();
        assert_eq!(document["cause"], cause, "{way}: {document}");
        assert!(document["paragraph"].as_str().unwrap().contains(words), "{way}: {document}");
    }
}
