//! Job control; these tests execute this program again, because it is stopped.

use super::super::{Options, run};
use super::collect::{Collect, program};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RECORDER: &str = "record::ptrace::tests::jobs::recorder";

/// The variable that names the signal for the program to raise.
const SIGNAL: &str = "VMATLAS_TEST_SIGNAL";

/// A helper process of the other tests.
#[test]
#[ignore = "run by another test"]
fn recorder() {
    let mut command = Command::new(program());
    command.args(["suspend", &std::env::var(SIGNAL).unwrap()]);
    let outcome = run(command, &mut Collect::default(), Options { job: true }).unwrap();
    assert_eq!(outcome.status.code(), Some(6));
}

#[test]
fn the_recorder_stops_with_the_program() {
    let mut recorder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", RECORDER, "--ignored"])
        .env(SIGNAL, libc::SIGSTOP.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&recorder);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert_eq!(status.stopping_signal(), Some(libc::SIGSTOP), "{status:?}");
    // Continues only the recorder, which must continue the program.
    kill_process(pid, Signal::CONT).unwrap();
    assert!(recorder.wait().unwrap().success());
}

#[test]
fn the_program_dies_with_the_recorder() {
    let mut recorder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", RECORDER, "--ignored"])
        .env(SIGNAL, "0")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(300);
    let program = loop {
        assert!(Instant::now() < end);
        if let Some(pid) = child_of(recorder.id()) {
            break pid;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    recorder.kill().unwrap();
    recorder.wait().unwrap();
    // A dead process is a zombie of its adoptive parent, if it exists at all.
    let dead = || {
        let stat = std::fs::read_to_string(format!("/proc/{program}/stat"));
        stat.is_ok_and(|stat| stat.contains(") Z ")) || !exists(program)
    };
    while !dead() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// A child of `parent` that has executed another program.
fn child_of(parent: u32) -> Option<u32> {
    for task in std::fs::read_dir(format!("/proc/{parent}/task")).ok()? {
        let children = std::fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        let child = children.split_whitespace().next().and_then(|pid| pid.parse().ok());
        let executed = |pid: &u32| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program())
        };
        if let Some(pid) = child.filter(executed) {
            return Some(pid);
        }
    }
    None
}
