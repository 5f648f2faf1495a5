//! A second process that reports if the recorder is killed.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// A helper process for a program that cannot run on without its recorder. If the recorder is
/// killed, the kernel kills the program, too, but does not report the reason; the helper does.
#[derive(Debug)]
pub struct Guard(Option<Child>);

impl Guard {
    /// Starts the helper process, which calls [`recorder_was_killed`].
    pub fn start(mut command: Command) -> Guard {
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        // A separate process group: keys typed for the program send the helper no signals.
        Guard(vmatlas_linux::record::in_own_group(&mut command).spawn().ok())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // A byte before the end of the pipe reports a normal end.
            if let Some(mut pipe) = child.stdin.take() {
                let _ = pipe.write_all(b".");
            }
            let _ = child.wait();
        }
    }
}

/// Waits, in the process that a [`Guard`] started, for the end of the recorder. Returns whether the
/// recorder was killed.
pub fn recorder_was_killed() -> bool {
    let mut word = Vec::new();
    let read = std::io::stdin().read_to_end(&mut word);
    read.is_ok() && word.is_empty()
}
