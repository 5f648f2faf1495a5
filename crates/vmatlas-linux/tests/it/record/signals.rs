//! A recorder in a host program leaves its signals as they were.

use crate::child::root;
use std::fs;
use std::process::Command;
use std::time::Duration;
use vmatlas_linux::record::{Limits, Options, attach, launch};

/// The signals that this process ignores and catches, and those that this thread blocks.
fn signals() -> Vec<String> {
    let lines = |file: &str, keys: &[&str]| {
        let text = fs::read_to_string(file).unwrap();
        let wanted = |line: &&str| keys.iter().any(|key| line.starts_with(key));
        text.lines().filter(wanted).map(str::to_owned).collect::<Vec<_>>()
    };
    let process = lines("/proc/self/status", &["SigIgn:", "SigCgt:"]);
    [process, lines("/proc/thread-self/status", &["SigBlk:"])].concat()
}

#[test]
fn dispositions_are_the_same_before_and_after() {
    const HERE: &str = "VMATLAS_TEST_SIGNALS";
    if std::env::var_os(HERE).is_none() {
        // In a process of its own, which records nothing else.
        let name = "record::signals::dispositions_are_the_same_before_and_after";
        let mut again = Command::new(std::env::current_exe().unwrap());
        let again = again.args(["--exact", name, "--nocapture"]).env(HERE, "1");
        assert!(again.status().unwrap().success());
        return;
    }
    let before = signals();
    let dir = tempfile::tempdir().unwrap();
    // Twice, and two at once: the recordings share the signal.
    for round in 0..2 {
        std::thread::scope(|scope| {
            for number in 0..2 {
                let output = dir.path().join(format!("{round}-{number}.vmrec"));
                scope.spawn(move || {
                    let report = launch(Command::new("true"), Options::new(output)).unwrap();
                    assert!(report.status.unwrap().success());
                });
            }
        });
        assert_eq!(signals(), before);
    }
    if !root() {
        return;
    }
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = child.id();
    let output = dir.path().join("attached.vmrec");
    let mut options = Options::new(output);
    options.limits = Limits::new(Some(Duration::from_millis(200)), None);
    let during = before.clone();
    options.news = Some(Box::new(move |_| assert_eq!(signals()[..2], during[..2])));
    // Perf events may be refused.
    if let Err(error) = attach(pid, options) {
        eprintln!("skipped: {error}");
    }
    assert_eq!(signals(), before);
    child.kill().unwrap();
    child.wait().unwrap();
}
