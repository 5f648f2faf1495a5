//! CPython, with and without numpy.

use super::{Output, Seen, address, check_share, source};
use crate::child::Child;
use std::path::Path;
use std::process::{Command, Stdio};
use vmatlas_explain::label::Confidence;

#[test]
fn python() {
    check(Path::new("python3"), None);
}

#[test]
fn numpy() {
    // Another python3 without numpy may come first in PATH.
    let python = Path::new("/usr/bin/python3");
    let mut command = Command::new(python);
    let has_numpy = command.args(["-c", "import numpy"]).stderr(Stdio::null()).status();
    if !has_numpy.is_ok_and(|status| status.success()) {
        return crate::child::lacks("numpy of /usr/bin/python3");
    }
    check(python, Some("numpy"));
}

fn check(python: &Path, argument: Option<&str>) {
    let mut command = Command::new(python);
    let mut child =
        Child::start(command.arg(source("heaps.py")).args(argument).stderr(Stdio::null()));
    let output = Output(child.until_ready());
    let small: Vec<u64> = output.lines("small").map(|line| address(line[0])).collect();
    assert_eq!(small.len(), 20);
    let arrays: Vec<u64> = output.lines("array").map(|line| address(line[0])).collect();
    assert_eq!(arrays.len(), if argument.is_some() { 2 } else { 0 });
    for deep in [false, true] {
        let seen = Seen::of(&child, deep);
        check_share(&seen, deep);
        for at in &small {
            let label = &seen.at(*at).label;
            match deep {
                true => {
                    assert_eq!(label.group, "CPython arena", "{at:x}: {label:?}\n{}", seen.text());
                    assert_eq!(label.confidence, Confidence::Certain);
                }
                // They may share a row with malloc blocks.
                false => assert!(["CPython arena", "large blocks"].contains(&&*label.group)),
            }
        }
        for at in &arrays {
            let label = &seen.at(*at).label;
            let expected = if deep { "large malloc block" } else { "large blocks" };
            assert_eq!(label.group, expected, "{at:x}\n{}", seen.text());
        }
    }
    // `25 arenas * 1048576 bytes/arena`, of sys._debugmallocstats.
    let line = output.0.iter().find(|line| line.contains(" bytes/arena")).unwrap();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let seen = Seen::of(&child, true);
    let arenas = seen.group("CPython arena");
    assert_eq!(arenas.len() as u64, numbers[0], "{line}\n{}", seen.text());
    assert!(arenas.iter().all(|arena| arena.range.size() == numbers[1]), "{line}");
}
