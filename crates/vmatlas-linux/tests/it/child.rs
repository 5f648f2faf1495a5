//! Processes built to be looked at, from testdata/programs.

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

/// A program of testdata/programs, compiled once for each run of the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    program_as(name, name, &[])
}

/// The same, compiled with other options and put under a name of its own.
pub(crate) fn program_as(name: &str, compiled_as: &str, options: &[&str]) -> PathBuf {
    once(compiled_as, |path| {
        let source = format!("{}/../../testdata/programs/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-O1", "-pthread"]).args(options).arg("-o").arg(path).arg(source);
        assert!(cc.status().expect("needs a C compiler").success());
    })
}

/// A file that `make` makes, once for each run of the tests.
pub(crate) fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    static MADE: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let make = || {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // Another run of the tests may be executing the last one.
        let new = path.with_extension(format!("new-{}", std::process::id()));
        make(&new);
        fs::rename(new, &path).unwrap();
        path
    };
    made.get_or_insert_default().entry(name.to_owned()).or_insert_with(make).clone()
}

/// Whether this is root; if not, says that the test is skipped. In CI it has to be.
pub(crate) fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI must run this test as root");
        eprintln!("skipped: needs root");
    }
    root
}

/// What this machine lacks for a test. In CI it has to be there.
pub(crate) fn lacks(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI must provide what is missing here: {what}");
    eprintln!("skipped: {what}");
}

/// What a test goes without, in CI as well: what the kernel lacks, or one of several programs.
pub(crate) fn skipped(what: &str) {
    eprintln!("skipped: {what}");
}

/// A process that is killed when this is dropped.
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

    /// odd_process in one of its modes, and the first line that it prints.
    pub(crate) fn odd(mode: &str) -> (Child, String) {
        let mut child = Child::start(Command::new(program("odd_process")).arg(mode));
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

    /// Gives it a line.
    pub(crate) fn say(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(line.as_bytes()).unwrap();
        input.write_all(b"\n").unwrap();
        input.flush().unwrap();
    }

    /// What it prints up to `ready`.
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

/// A file_child, which does what it is told.
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

    /// Gives a command that is not answered.
    pub(crate) fn tell(&mut self, verb: &str, words: &[&OsStr]) {
        let words = std::iter::once(OsStr::new(verb)).chain(words.iter().copied());
        let mut command: Vec<u8> =
            words.flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
        command.push(0);
        self.0.input.as_mut().unwrap().write_all(&command).unwrap();
    }

    fn ask(&mut self, verb: &str, words: &[&OsStr]) -> String {
        self.tell(verb, words);
        self.0.line()
    }

    pub(crate) fn map(&mut self, path: impl AsRef<OsStr>) -> AddressRange {
        range(&self.ask("map", &[path.as_ref()]))
    }

    /// Maps a new file of a directory that has no name.
    pub(crate) fn map_unnamed(&mut self, dir: &Path) -> AddressRange {
        range(&self.ask("tmpfile", &[dir.as_os_str()]))
    }

    /// Gives it a mount namespace of its own, of which nothing gets out.
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

    /// Mounts a file system with a file, `file`, that a child of its own serves, whose pid is
    /// given.
    pub(crate) fn mount_fuse(&mut self, dir: &Path) -> u32 {
        self.ask("fuse", &[dir.as_os_str()]).parse().unwrap()
    }

    /// A path as the process sees it, for this test.
    pub(crate) fn seen(&self, path: impl AsRef<Path>) -> PathBuf {
        seen(self.pid(), path)
    }
}

/// A path as a process sees it, for this test.
pub(crate) fn seen(pid: u32, path: impl AsRef<Path>) -> PathBuf {
    let mut seen = OsString::from(format!("/proc/{pid}/root"));
    seen.push(path.as_ref());
    PathBuf::from(seen)
}

pub(crate) fn process(pid: u32) -> Process {
    Process::open(Path::new("/proc"), ProcessId { pid, tid: None }).unwrap()
}

/// `7f00-7f01`.
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

pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < end, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
