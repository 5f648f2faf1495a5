//! Tests crashes of recorded programs.

use super::gallery::handlers;
use super::{crash_program, functions};
use crate::vmatlas::{Run, command, vmatlas};
use serde_json::Value;
use std::path::Path;

/// Records a program that crashes in a way, and explains the recording.
fn recorded(way: &str) -> Value {
    let program = crash_program("crash-fp-g", "-O1 -g -fno-omit-frame-pointer");
    let run = explained_recording(&program, way);
    assert_eq!(run.status, 0, "{}{}", run.text(), run.stderr);
    run.json()
}

fn explained_recording(program: &Path, way: &str) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("crash.vmrec");
    let mut record = command(&["record", "-q", "-o", path.to_str().unwrap(), "--"]);
    record.arg(program).arg(way).current_dir(directory.path());
    let output = record.output().unwrap();
    assert!(path.is_file(), "{output:?}");
    vmatlas(&["explain", "--json", "-q", path.to_str().unwrap()])
}

#[track_caller]
fn check(way: &str, cause: &str, words: &[&str]) {
    let document = recorded(way);
    assert_eq!(document["cause"], cause, "{document}");
    assert_eq!(document["source"], "recording");
    let paragraph = document["paragraph"].as_str().unwrap();
    for word in words {
        assert!(paragraph.contains(word), "{way}: {word:?} is not in {paragraph}");
    }
    let expected = if way.starts_with("overflow") { "deeper" } else { way };
    assert!(functions(&document).contains(&expected), "{document}");
}

#[test]
fn who_took_the_memory_away() {
    let unmapped = ["rw-p of 2M", "unmapped by munmap", "in after_unmap < main"];
    check("after_unmap", "use-after-unmap", &unmapped);
    let half = ["rw-p of 2M", "unmapped by munmap", "in after_unmap_half < main"];
    check("after_unmap_half", "use-after-unmap", &half);
    let protected = ["was rw-p until", "changed by mprotect", "in after_mprotect < main"];
    check("after_mprotect", "protection-changed", &protected);
    check("guard", "protection-changed", &["changed by mprotect"]);
}

#[test]
fn what_no_event_explains_is_explained_as_ever() {
    check("null_field", "null-pointer", &["write 8 bytes at 0x8"]);
    check("write_relro", "write-to-relro", &["RELRO"]);
    check("overflow", "stack-overflow", &["deeper calls itself"]);
    check("overflow_thread", "stack-overflow", &["deeper calls itself", "guard was reached"]);
    // The former mapping did not permit the access either.
    check("past_mapping", "past-mapping", &["beyond the end of the mapping"]);
    check("past_file", "past-file", &["offset 0x5000"]);
    check("not_canonical", "non-canonical", &["0x1357a468b953024e"]);
    check("misaligned", "misaligned", &["multiple of 16"]);
    check("poison", "poison-value", &["0xdeadbeefdeadbeef"]);
    check("divide", "divide-by-zero", &[]);
    check("reserve", "no-access", &["PROT_NONE"]);
    check("execute_data", "execute-non-executable", &[]);
}

#[test]
fn a_program_that_did_not_crash() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fine.vmrec");
    let path = path.to_str().unwrap();
    assert_eq!(vmatlas(&["record", "-q", "-o", path, "--", "true"]).status, 0);
    let run = vmatlas(&["explain", path]);
    assert_eq!(run.status, 1, "{}", run.text());
    assert!(run.stderr.contains("no crash"), "{}", run.stderr);
}

/// A recording holds the last signal only: of a handler that calls abort(3), nothing is claimed.
#[test]
fn faults_before_signal_handlers() {
    let program = handlers("handlers", &[]);
    let document = explained_recording(&program, "field,raise").json();
    assert_eq!((&document["cause"], &document["ended_by"]), (&"null-pointer".into(), &11.into()));
    let document = explained_recording(&program, "field,abort").json();
    let paragraph = document["paragraph"].as_str().unwrap();
    assert!(paragraph.starts_with("A signal came in field"), "{document}");
    assert!(!paragraph.contains("ended itself"), "{document}");
}
