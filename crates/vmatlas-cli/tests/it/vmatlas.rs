//! Runs the command.

use serde_json::Value;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// The longest time to wait for what must happen on the slowest machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// The results of a run.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.text(), self.stderr))
    }

    /// Formats status, output and errors for a snapshot.
    pub(crate) fn all(&self) -> String {
        format!("{}{}exit {}", self.text(), self.stderr, self.status)
    }
}

/// The commands that read files within a budget.
const READERS: [&str; 5] = ["show", "at", "blame", "diff", "explain"];

pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmatlas"));
    command.args(args);
    // On a slow processor, a build for tests takes longer than the time that users wait.
    let reads = args.first().is_some_and(|command| READERS.contains(command));
    if reads && !args.contains(&"--budget") {
        command.args(["--budget", "512M,1000s"]);
    }
    command.current_dir(testdata()).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

pub(crate) fn vmatlas(args: &[&str]) -> Run {
    finished(command(args).output().unwrap())
}

pub(crate) fn vmatlas_with_input(args: &[&str], input: &[u8]) -> Run {
    run_with_input(command(args), input)
}

pub(crate) fn run_with_input(mut command: Command, input: &[u8]) -> Run {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    finished(child.wait_with_output().unwrap())
}

pub(crate) fn finished(output: Output) -> Run {
    Run {
        status: output.status.code().expect("it ends by itself"),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("messages are text"),
    }
}

/// Whether the test runs as root, as it must under CI.
pub(crate) fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI must run this test as root");
        eprintln!("skipped: needs root");
    }
    root
}

pub(crate) fn testdata() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata")
}
