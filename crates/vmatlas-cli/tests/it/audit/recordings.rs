//! The order of calls in recordings.

#![cfg(target_arch = "x86_64")]

use super::{findings, of_rule, program};
use crate::vmatlas::vmatlas;
use std::path::Path;

#[test]
fn sequences_are_found() {
    for (mode, by) in [
        ("w-then-x", "by mprotect at"),
        ("x-then-w", "by mprotect at"),
        ("relro-undone", "by mprotect at"),
        ("exec-unlinked", "by mmap at"),
    ] {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{mode}.vmrec"));
        let file = file.to_str().unwrap();
        let program = program().to_str().unwrap();
        let run = vmatlas(&["record", "-q", "-o", file, "--", program, mode, "end"]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        let found = findings(&[file]);
        let found = of_rule(&found, mode);
        assert_eq!(found[0]["severity"], "high", "{mode}: {found:?}");
        let evidence = found[0]["evidence"].as_str().unwrap();
        assert!(evidence.contains(by) && evidence.contains(" < "), "{evidence}");
        std::fs::remove_file(file).unwrap();
    }
}
