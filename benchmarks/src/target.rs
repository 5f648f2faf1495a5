//! A live process to read, and the C programs of the measures.

use crate::answer::Answer;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A child with many mappings, which waits until it is dropped.
pub struct Many {
    child: Child,
    /// The directory of its files.
    _dir: tempfile::TempDir,
    /// The text of its maps.
    pub text: Vec<u8>,
    /// The right answer for its maps.
    pub answer: Answer,
}

impl Many {
    /// Builds and starts it.
    ///
    /// # Errors
    /// Fails without a compiler, or on a kernel that does not allow that many mappings.
    pub fn start(rows: u64) -> Result<Many, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let source = repository().join("testdata/programs/many_mappings.c");
        let program = compile(&source, dir.path())?;
        let files = dir.path().join("files");
        fs::create_dir(&files).map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .arg(&files)
            .arg(rows.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut said = String::new();
        let output = child.stdout.take().map(BufReader::new);
        output.map(|mut output| output.read_line(&mut said));
        let mut many = Many { child, _dir: dir, text: Vec::new(), answer: Answer::default() };
        if said != "ready\n" {
            return Err(format!("many_mappings could not map {rows} times"));
        }
        many.text = fs::read(format!("/proc/{}/maps", many.pid())).map_err(|e| e.to_string())?;
        many.answer = Answer::naive(&many.text);
        Ok(many)
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Many {
    fn drop(&mut self) {
        // The child may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A child with an ordinary number of mappings, which waits until it is dropped.
pub struct Small(Child);

impl Small {
    /// Starts a program.
    ///
    /// # Errors
    /// Fails if it is not installed.
    pub fn start(program: &str, arguments: &[&str]) -> Result<Small, String> {
        Small::spawn(program, arguments, Stdio::null())
    }

    /// Starts a program, and waits until it prints `ready`.
    ///
    /// # Errors
    /// Fails if it is not installed, or ends without that line.
    pub fn ready(program: &str, arguments: &[&str]) -> Result<Small, String> {
        let mut small = Small::spawn(program, arguments, Stdio::piped())?;
        let mut said = String::new();
        let output = small.0.stdout.take().map(BufReader::new);
        output.map(|mut output| output.read_line(&mut said));
        if said == "ready\n" { Ok(small) } else { Err(format!("failed: {program} said {said:?}")) }
    }

    fn spawn(program: &str, arguments: &[&str], output: Stdio) -> Result<Small, String> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("missing: {program}: {error}"))?;
        Ok(Small(child))
    }

    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The child may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Builds a C file in `dir` and returns the program's path.
///
/// # Errors
/// Fails without a compiler, or with the compiler's message.
pub fn compile(source: &Path, dir: &Path) -> Result<PathBuf, String> {
    let program = dir.join(source.file_stem().unwrap_or_default());
    let output = Command::new("cc")
        .args(["-O2", "-o"])
        .args([&program, source])
        .output()
        .map_err(|error| format!("missing: cc: {error}"))?;
    if !output.status.success() {
        return Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(program)
}

/// The root directory of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned()
}
