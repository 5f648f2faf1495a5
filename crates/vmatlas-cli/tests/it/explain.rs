//! Tests `vmatlas explain` on programs that really crash.

mod gallery;
mod inputs;
mod kernel_lines;
mod recordings;

use crate::vmatlas::{testdata, vmatlas};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Compiles testdata/programs/crash.c with these options, once for each run of the tests.
fn crash_program(name: &str, options: &str) -> PathBuf {
    compiled(name, |path| {
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-pthread", "-fstack-protector-strong"]).args(options.split(' '));
        cc.arg("-o").arg(path).arg(testdata().join("programs/crash.c"));
        cc
    })
}

fn compiled(name: &str, command: impl FnOnce(&Path) -> Command) -> PathBuf {
    static MADE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // Another run of the tests may be executing the former file.
        let new = path.with_extension(format!("new-{}", std::process::id()));
        assert!(command(&new).status().expect("needs a compiler").success());
        fs::rename(new, &path).unwrap();
        path
    };
    made.get_or_insert_default().entry(name.to_owned()).or_insert_with(make).clone()
}

/// A crashed program, in a directory of its own.
struct Crashed {
    directory: TempDir,
    output: Output,
}

/// The exit status of the program if the machine cannot crash in the requested way.
const NOT_HERE: i32 = 77;

impl Crashed {
    /// Crashes a program in one of its ways, so that the kernel writes a core.
    fn run(program: &Path, way: &str) -> Crashed {
        let directory = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-c").arg("ulimit -c unlimited; exec \"$0\" \"$1\"").arg(program).arg(way);
        // The C library fills freed memory with this byte.
        shell.env("GLIBC_TUNABLES", "glibc.malloc.perturb=157");
        let output = shell.current_dir(directory.path()).output().unwrap();
        Crashed { directory, output }
    }

    /// The core that the kernel wrote; `None` if the machine cannot crash in this way.
    fn core(&self) -> Option<PathBuf> {
        if self.output.status.code() == Some(NOT_HERE) {
            return None;
        }
        let files = fs::read_dir(self.directory.path()).unwrap();
        let mut files = files.map(|entry| entry.unwrap().path());
        let core = files.find(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"))
        });
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
        Some(core.unwrap_or_else(|| {
            panic!("no core of {:?}: kernel.core_pattern must be core, not {pattern}", self.output)
        }))
    }
}

/// The document of `explain --json` for an input that must be explained.
#[track_caller]
fn explained(input: &str) -> Value {
    let run = vmatlas(&["explain", "--json", "-q", input]);
    assert_eq!(run.status, 0, "{input}: {}{}", run.text(), run.stderr);
    let document = run.json();
    assert_eq!(document["schema"], "vmatlas/1");
    for field in ["paragraph", "because", "conclusion"] {
        assert!(!document[field].as_str().unwrap().is_empty(), "{field}: {document}");
    }
    document
}

/// The functions on the stack.
fn functions(document: &Value) -> Vec<&str> {
    let frames = document["stack"].as_array().unwrap().iter();
    frames.map(|frame| frame["function"].as_str().unwrap()).collect()
}
