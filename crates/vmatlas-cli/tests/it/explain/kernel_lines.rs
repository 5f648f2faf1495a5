//! The same crashes, explained from the kernel's line alone as far as possible.

use super::{Crashed, crash_program};
use crate::vmatlas::{testdata, vmatlas, vmatlas_with_input};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// The name of the thread, and the cause.
const CAUSES: [(&str, &str); 30] = [
    ("null_read", "null-pointer"),
    ("null_field", "null-pointer"),
    ("null_atomic", "null-pointer"),
    ("null_call", "null-pointer"),
    ("write_literal", "write-to-read-only"),
    ("write_code", "write-to-read-only"),
    ("write_relro", "write-to-read-only"),
    ("execute_data", "execute-non-executable"),
    ("execute_stack", "execute-non-executable"),
    // The line does not show whether an inaccessible page is forbidden or unmapped.
    ("reserve", "unmapped"),
    ("guard", "unmapped"),
    ("overflow", "stack-overflow"),
    ("deep", "stack-overflow"),
    ("past_mapping", "unmapped"),
    ("after_unmap", "unmapped"),
    ("after_mprotect", "write-to-read-only"),
    // The kernel logs no address for general protection faults.
    ("not_canonical", "non-canonical"),
    ("poison", "non-canonical"),
    ("poison_junk", "non-canonical"),
    ("text_pointer", "non-canonical"),
    ("halves", "data-as-pointer"),
    ("truncated", "kernel-address"),
    ("map_failed", "data-as-pointer"),
    ("kernel", "kernel-address"),
    ("misaligned", "non-canonical"),
    ("alignment_check", "misaligned"),
    ("divide", "divide-by-zero"),
    ("illegal", "illegal-instruction"),
    ("breakpoint", "trap"),
    ("privileged", "non-canonical"),
];

#[test]
fn lines_of_the_gallery() {
    let run = vmatlas(&["explain", "--json", "-q", "crashes/gallery-x86_64-6.18.log"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let mut document = run.json();
    let more = document["more"].take();
    let cases: Vec<&Value> = std::iter::once(&document).chain(more.as_array().unwrap()).collect();
    assert_eq!(cases.len(), CAUSES.len());
    for (case, (comm, cause)) in cases.iter().zip(CAUSES) {
        assert_eq!((&case["comm"], &case["cause"]), (&comm.into(), &cause.into()), "{case}");
        assert_eq!(case["source"], "kernel-log");
        // An unknowable cause is never certain.
        if cause == "unmapped" {
            assert_eq!(case["confidence"], "guess");
        }
    }
    // The register follows from the address and from the instruction in the line `Code:`.
    let field = cases[1];
    assert_eq!(field["facts"]["by"], "rax = 0x0");
    assert_eq!(field["instruction"], "mov qword ptr [rax+8], 1");
}

/// Tests the line that this kernel logs now. The kernel logs at most ten lines in five seconds, so
/// several attempts may be needed.
#[test]
fn a_line_of_this_kernel() {
    let lines = || Command::new("dmesg").output().ok().filter(|output| output.status.success());
    let traced = std::fs::read_to_string("/proc/sys/debug/exception-trace").unwrap_or_default();
    if lines().is_none() || traced.trim() != "1" {
        eprintln!("skipped: dmesg may not be read, or debug.exception-trace is off");
        return;
    }
    // The log may hold a crash of another program with the same PID; the program's name differs.
    let program = crash_program("crash-line", "-O1 -g -fno-omit-frame-pointer");
    let end = Instant::now() + Duration::from_secs(300);
    while Instant::now() < end {
        let mut child = Command::new(&program).arg("null_field").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let log = lines().unwrap().stdout;
        let log = String::from_utf8_lossy(&log).into_owned();
        let Some(at) = log.rfind(&format!("crash-line[{pid}]: segfault")) else {
            std::thread::sleep(Duration::from_millis(500));
            continue;
        };
        let log = &log[log[..at].rfind('\n').map_or(0, |end| end + 1)..];
        let pid = pid.to_string();
        let run = vmatlas_with_input(&["explain", "-", "--json", "--pid", &pid], log.as_bytes());
        let document = run.json();
        assert_eq!(document["cause"], "null-pointer", "{document}");
        assert_eq!(document["confidence"], "certain", "{document}");
        return;
    }
    panic!("the kernel logged no crash of ours in 30 s");
}

#[test]
fn a_core_says_more_than_a_line() {
    // The core of a crash for which the line allows only a guess.
    let program = crash_program("crash-fp-g", "-O1 -g -fno-omit-frame-pointer");
    let core = Crashed::run(&program, "reserve").core().map(|_| ());
    assert_eq!(core, Some(()));
    let log = std::fs::read(testdata().join("crashes/gallery-x86_64-6.18.log")).unwrap();
    let run = vmatlas_with_input(&["explain", "-"], &log);
    assert_eq!(run.status, 0);
    assert!(run.text().contains("page"), "{}", run.text());
    assert!(run.stderr.contains("30 crashes"), "{}", run.stderr);
}
