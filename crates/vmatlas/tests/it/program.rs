//! A process built for the tests to read.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// A program with the mappings that the examples need. It prints two addresses, one of its memory
/// and one of a function of libc, and grows by 8 MiB for each byte that it reads; it ends at the
/// end of its input.
pub(crate) struct Program {
    child: Child,
    pub(crate) pid: String,
    pub(crate) memory: String,
    pub(crate) function: String,
}

fn built() -> &'static Path {
    static BUILT: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = BUILT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grows");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/programs/grows.c");
        let built = Command::new("cc").args(["-O1", "-o"]).arg(&path).arg(source).status().unwrap();
        assert!(built.success(), "cc {source}");
        (dir, path)
    });
    path
}

impl Program {
    pub(crate) fn start() -> Program {
        let mut command = Command::new(built());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (memory, function) = line.trim().split_once(' ').unwrap();
        let (memory, function) = (memory.to_owned(), function.to_owned());
        Program { pid: child.id().to_string(), memory, function, child }
    }

    /// Makes the program grow by 8 MiB and waits until it has.
    pub(crate) fn grow(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b".").unwrap();
        let mut byte = [0];
        std::io::Read::read_exact(self.child.stdout.as_mut().unwrap(), &mut byte).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
