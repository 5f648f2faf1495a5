//! Child processes for tests, from testdata/programs.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use vmatlas_linux::{Process, ProcessId};
use vmatlas_maps::AddressRange;

/// A program of testdata/programs, compiled once per test run.
pub(crate) fn program(name: &str) -> PathBuf {
    program_as(name, name, &[])
}

/// The same, compiled with other options under another name.
pub(crate) fn program_as(name: &str, compiled_as: &str, options: &[&str]) -> PathBuf {
    once(compiled_as, |path| {
        let source = format!("{}/../../testdata/programs/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-O1", "-pthread"]).args(options).arg("-o").arg(path).arg(source);
        assert!(cc.status().expect("needs a C compiler").success());
    })
}

/// A file that `make` creates once per test run.
pub(crate) fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static MADE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // Another test run may be executing the existing file.
        let new = path.with_extension(format!("new-{}", std::process::id()));
        make(&new);
        fs::rename(new, &path).unwrap();
        path
    };
    made.get_or_insert_default().entry(name.to_owned()).or_insert_with(make).clone()
}

/// Whether this is root; otherwise reports the test as skipped, which CI does not allow.
pub(crate) fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI must run this test as root");
        eprintln!("skipped: needs root");
    }
    root
}

/// Reports a feature that this machine lacks for a test. CI does not allow this.
pub(crate) fn lacks(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must provide what is missing here: {what}");
    eprintln!("skipped: {what}");
}

/// Reports a feature that a test skips, also in CI: a missing kernel feature, or one of several
/// programs.
pub(crate) fn skipped(what: &str) {
    eprintln!("skipped: {what}");
}

/// A process that is killed on drop.
pub(crate) struct Child {
    child: std::process::Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(command: &mut Command) -> Child {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Child { child, input, output }
    }

    /// Starts odd_process in a mode, and returns the first line that it prints.
    pub(crate) fn odd(mode: &str) -> (Child, String) {
        let words = mode.split(' ');
        let mut child = Child::start(Command::new(program("odd_process")).args(words));
        let line = child.line();
        (child, line)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn process(&self) -> Process {
        process(self.pid())
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the process has ended: {line:?}");
        line.trim_end().to_owned()
    }

    /// Sends it a line.
    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
        input.flush().unwrap();
    }

    /// The lines that it prints up to `ready`.
    pub(crate) fn until_ready(&mut self) -> Vec<String> {
        std::iter::from_fn(|| Some(self.line()).filter(|line| line != "ready")).collect()
    }

    /// Stops all its threads.
    pub(crate) fn stop(&self) {
        stop(self.pid());
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A file_child process, which executes commands.
pub(crate) struct FileChild(Child);

impl FileChild {
    pub(crate) fn start() -> FileChild {
        FileChild(Child::start(&mut Command::new(program("file_child"))))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    pub(crate) fn process(&self) -> Process {
        self.0.process()
    }

    /// Sends a command without waiting for an answer.
    pub(crate) fn send(&mut self, verb: &str, words: &[&OsStr]) {
        let words = std::iter::once(OsStr::new(verb)).chain(words.iter().copied());
        let mut command: Vec<u8> =
            words.flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        command.push(0);
        self.0.input.as_mut().unwrap().write_all(&command).unwrap();
    }

    fn ask(&mut self, verb: &str, words: &[&OsStr]) -> String {
        self.send(verb, words);
        self.0.line()
    }

    pub(crate) fn map(&mut self, path: impl AsRef<OsStr>) -> AddressRange {
        range(&self.ask("map", &[path.as_ref()]))
    }

    /// Maps a new unnamed file of a directory.
    pub(crate) fn map_unnamed(&mut self, dir: &Path) -> AddressRange {
        range(&self.ask("tmpfile", &[dir.as_os_str()]))
    }

    /// Moves it to a new private mount namespace.
    pub(crate) fn unshare_mounts(&mut self) {
        self.ask("mountns", &[]);
    }

    pub(crate) fn chroot(&mut self, dir: &Path) {
        self.ask("chroot", &[dir.as_os_str()]);
    }

    pub(crate) fn become_user(&mut self, uid: u32) {
        self.ask("user", &[OsStr::new(&uid.to_string())]);
    }

    /// Runs a program as its child.
    pub(crate) fn run<const N: usize>(&mut self, words: [&dyn AsRef<OsStr>; N]) {
        let words: Vec<&OsStr> = words.iter().map(|word| (*word).as_ref()).collect();
        assert_eq!(self.ask("run", &words), "done");
    }

    /// Mounts a file system with one file, `file`, served by its own child, and returns the child's
    /// pid.
    pub(crate) fn mount_fuse(&mut self, dir: &Path) -> u32 {
        self.ask("fuse", &[dir.as_os_str()]).parse().unwrap()
    }

    /// The path for this test of a path that the process sees.
    pub(crate) fn seen(&self, path: impl AsRef<Path>) -> PathBuf {
        seen(self.pid(), path)
    }
}

/// The path for this test of a path that a process sees.
pub(crate) fn seen(pid: u32, path: impl AsRef<Path>) -> PathBuf {
    let mut seen = OsString::from(format!("/proc/{pid}/root"));
    seen.push(path.as_ref());
    PathBuf::from(seen)
}

pub(crate) fn process(pid: u32) -> Process {
    Process::open(Path::new("/proc"), ProcessId { pid, tid: None }).unwrap()
}

/// Parses `7f00-7f01`.
pub(crate) fn range(text: &str) -> AddressRange {
    let (start, end) = text.split_once('-').unwrap_or_else(|| panic!("no range: {text:?}"));
    let address = |text| u64::from_str_radix(text, 16).unwrap();
    AddressRange::new(address(start), address(end))
}

/// Stops all threads of a process.
pub(crate) fn stop(pid: u32) {
    signal(pid, "STOP");
    until_stopped(pid);
}

/// Waits until all threads of a process are stopped.
pub(crate) fn until_stopped(pid: u32) {
    let threads = process(pid).threads().unwrap();
    let stat = |tid| fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat"));
    wait_until("it has stopped", || {
        threads.iter().all(|tid| stat(tid).is_ok_and(|stat| stat.contains(") T ")))
    });
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The processor time of this thread, which does not depend on what else runs.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(300);
    while !is() {
        assert!(Instant::now() < end, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
