//! Copies programs that a test executes.

use std::path::Path;
use std::process::Command;

/// Copies a program with its permissions.
///
/// A child process writes the file. If this process did, a child that another test forks meanwhile
/// would inherit the descriptor, and execve(2) of the program would fail with `ETXTBSY`.
pub(crate) fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let (from, to) = (from.as_ref(), to.as_ref());
    let status = Command::new("cp").arg("--preserve=mode").arg("--").arg(from).arg(to).status();
    assert!(status.expect("needs cp").success(), "{} to {}", from.display(), to.display());
}
