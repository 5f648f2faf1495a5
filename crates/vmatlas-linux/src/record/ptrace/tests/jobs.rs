//! Job control, for which this program is run once more: it is stopped.

use super::super::{Options, run};
use super::collect::{Collect, program};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::process::{Command, Stdio};

const RECORDER: &str = "record::ptrace::tests::jobs::recorder";

/// Not a test of its own.
#[test]
#[ignore = "run by another test"]
fn recorder() {
    let mut command = Command::new(program());
    command.args(["suspend", "19"]);
    let outcome = run(command, &mut Collect::default(), Options { job: true }).unwrap();
    assert_eq!(outcome.status.code(), Some(6));
}

#[test]
fn the_recorder_stops_with_the_program() {
    let mut recorder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", RECORDER, "--ignored"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&recorder);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert_eq!(status.stopping_signal(), Some(libc::SIGSTOP), "{status:?}");
    // Only the recorder: it must continue the program.
    kill_process(pid, Signal::CONT).unwrap();
    assert!(recorder.wait().unwrap().success());
}
