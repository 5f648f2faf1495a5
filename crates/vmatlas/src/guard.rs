//! A second process that says so when the recorder is killed.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// Stands by while a program runs that cannot go on without its recorder: the kernel ends the program
/// with it, but does not say why.
#[derive(Debug)]
pub struct Guard(Option<Child>);

impl Guard {
    /// Starts the process, which calls [`recorder_was_killed`].
    pub fn start(mut command: Command) -> Guard {
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        // In a group of its own, it does not get what is typed for the program.
        Guard(vmatlas_linux::record::in_own_group(&mut command).spawn().ok())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // A byte before the end says that all is well.
            if let Some(mut pipe) = child.stdin.take() {
                let _ = pipe.write_all(b".");
            }
            let _ = child.wait();
        }
    }
}

/// In the process that a [`Guard`] starts: waits for the end of the recorder, and gives whether it was
/// killed.
pub fn recorder_was_killed() -> bool {
    let mut word = Vec::new();
    let read = std::io::stdin().read_to_end(&mut word);
    read.is_ok() && word.is_empty()
}
