//! Tests recordings that are being written: what is in them from the first block on, and whom
//! `blame PID` believes.

use crate::copy_program::copy_program;
use crate::record::wait_until;
use crate::vmatlas::{Run, command, is_root, vmatlas};
use std::fs::{self, File, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const NOBODY: u32 = 65534;

/// A child that ends with the test.
struct Running(Child);

impl Running {
    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

fn shared_directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    directory
}

/// A process that waits, and that maps memory when it reads a line.
fn target() -> Running {
    let program = "import mmap, sys; print('ready', flush=True); sys.stdin.readline(); \
                   kept = [mmap.mmap(-1, 77 << 12)]; print('mapped', flush=True); sys.stdin.read()";
    let mut python = Command::new("python3");
    python.args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().expect("needs python3");
    assert_eq!(line(&mut child), "ready\n");
    Running(child)
}

fn line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

fn record(pid: &str, file: &Path) -> Running {
    let mut record = command(&["record", "-p", pid, "-o"]);
    let record = record.arg(file).stderr(Stdio::piped()).spawn().unwrap();
    Running(record)
}

/// Waits until the recorder has events, and leaves its messages open.
fn wait_for_events(recorder: &mut Running) -> BufReader<std::process::ChildStderr> {
    let mut errors = BufReader::new(recorder.0.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.contains("recording by"), "{line}");
    errors
}

/// The kernel's rows of a process.
fn rows(pid: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap()
}

/// A recorder that is killed at its first byte leaves the rows of the process.
#[test]
fn the_first_bytes_hold_all_rows() {
    if !is_root() {
        return;
    }
    let target = target();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("F");
    for _ in 0..5 {
        let mut recorder = record(&target.pid(), &file);
        wait_until("the first bytes", || size(&file) > 0);
        recorder.kill();
        let shown = vmatlas(&["show", "--raw", "-q", file.to_str().unwrap()]);
        assert!(shown.text() == rows(&target.pid()), "{}{}", shown.text(), shown.stderr);
        fs::remove_file(&file).unwrap();
    }
    for backend in ["ptrace", "perf"] {
        let mut record = command(&["record", "-q", "--backend", backend, "-o"]);
        record.arg(&file).args(["--", "sleep", "1000"]).stderr(Stdio::null());
        let mut recorder = Running(record.spawn().unwrap());
        wait_until("the first bytes", || size(&file) > 0);
        recorder.kill();
        let shown = vmatlas(&["show", "-q", "--processes", file.to_str().unwrap()]);
        assert_eq!(shown.status, 0, "{}", shown.stderr);
        assert!(shown.text().contains("sleep"), "{}", shown.text());
        let killed = shown.text().split_whitespace().find_map(|word| word.parse::<u32>().ok());
        // The target of perf events outlives its recorder.
        if let Some(pid) = killed.filter(|_| backend == "perf") {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        fs::remove_file(&file).unwrap();
    }
}

/// A program that is executed, or memory that is mapped, while the recorder attaches.
#[test]
fn changes_while_attaching() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("F");
    // Executes itself again and again, with more memory each time.
    let steps = "i=${1:-0}; [ $i -lt 400 ] && exec sh -c \"$0\" \"$0\" $((i+1)); exec sleep 1000";
    for _ in 0..3 {
        let mut target = Command::new("sh");
        target.args(["-c", steps, steps, "0"]).stdin(Stdio::null());
        let target = Running(target.spawn().unwrap());
        let mut recorder = record(&target.pid(), &file);
        let errors = wait_for_events(&mut recorder);
        let comm = || fs::read_to_string(format!("/proc/{}/comm", target.pid())).unwrap();
        wait_until("the last program", || comm() == "sleep\n");
        // Also those that libraries map.
        wait_until("the rows are those of the process", || {
            let shown = vmatlas(&["show", "--raw", "-q", file.to_str().unwrap()]);
            shown.status == 0 && shown.text() == rows(&target.pid())
        });
        recorder.kill();
        drop(errors);
        fs::remove_file(&file).unwrap();
    }
}

/// `vmatlas blame PID`, which must end soon.
fn blame(pid: &str) -> Run {
    vmatlas(&["blame", pid])
}

/// A directory with an unfinished recording of a living process, whose recorder is gone.
struct Left {
    target: Running,
    directory: TempDir,
}

impl Left {
    fn new() -> Left {
        let (target, directory) = (target(), shared_directory());
        let left = Left { target, directory };
        let mut recorder = record(&left.target.pid(), &left.file());
        drop(wait_for_events(&mut recorder));
        recorder.kill();
        // A program of this name, which keeps open what it is given.
        let sleep = fs::canonicalize("/bin/sleep").unwrap();
        copy_program(sleep, left.directory.path().join("vmatlas"));
        left
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("F")
    }

    /// Sets the owner and the permissions of the recording.
    fn owned_by(&self, uid: u32, mode: u32) {
        chown(self.file(), Some(uid), Some(uid)).unwrap();
        fs::set_permissions(self.file(), Permissions::from_mode(mode)).unwrap();
    }

    /// A process called vmatlas that has the recording open; `setpriv` gives it its user.
    fn holder(&self, setpriv: &[&str]) -> Running {
        let mut holder = Command::new("setpriv");
        holder.args(setpriv).arg(self.directory.path().join("vmatlas")).arg("1000");
        holder.stdin(File::open(self.file()).unwrap()).stdout(Stdio::null());
        let holder = Running(holder.spawn().unwrap());
        let comm = || fs::read(format!("/proc/{}/comm", holder.pid())).unwrap_or_default();
        wait_until("it has its name", || comm() == b"vmatlas\n");
        holder
    }

    #[track_caller]
    fn is_refused(&self, holder: &Running) {
        let run = blame(&self.target.pid());
        assert_eq!((run.status, run.text().as_str()), (2, ""), "{}", run.stderr);
        assert!(run.stderr.contains("no visible vmatlas"), "{}: {}", holder.pid(), run.stderr);
    }

    #[track_caller]
    fn is_believed(&self, holder: &Running) -> String {
        let run = blame(&self.target.pid());
        assert_eq!(run.status, 0, "{}", run.stderr);
        let (file, pid) = (self.file(), holder.pid());
        let note = format!("read from {}, which process {pid} is writing", file.display());
        assert!(run.stderr.contains(&note), "{}", run.stderr);
        run.stderr
    }
}

#[test]
fn only_recorders_of_root_and_the_same_user_are_believed() {
    if !is_root() {
        return;
    }
    let left = Left::new();
    let nobody = [&format!("--reuid={NOBODY}"), "--regid=65534", "--clear-groups"];
    left.owned_by(0, 0o600);
    {
        let holder = left.holder(&["--reuid=0"]);
        left.is_believed(&holder);
        let rows = rows(&left.target.pid());
        let address = rows.split('-').next().unwrap().to_owned();
        let life = vmatlas(&["blame", &left.target.pid(), &address]);
        assert!(life.stderr.contains("is writing"), "{}", life.stderr);
        // Who owns the file, and who may write to it.
        for (uid, mode) in [(NOBODY, 0o600), (0, 0o666), (0, 0o602), (0, 0o620), (1, 0o400)] {
            left.owned_by(uid, mode);
            left.is_refused(&holder);
        }
        left.owned_by(0, 0o644);
        left.is_believed(&holder);
    }
    let real = [&format!("--ruid={NOBODY}"), "--clear-groups"];
    let effective = [&format!("--euid={NOBODY}"), "--clear-groups"];
    left.owned_by(0, 0o604);
    for user in [&nobody[..], &real, &effective] {
        let user: Vec<&str> = user.iter().map(|word| word.as_ref()).collect();
        let holder = left.holder(&user);
        left.is_refused(&holder);
    }
    left.owned_by(NOBODY, 0o600);
    let nobody: Vec<&str> = nobody.iter().map(|word| word.as_ref()).collect();
    let holder = left.holder(&nobody);
    left.is_refused(&holder);
}

#[test]
fn rows_that_differ_from_those_of_the_process_are_counted() {
    if !is_root() {
        return;
    }
    let mut left = Left::new();
    let holder = left.holder(&["--reuid=0"]);
    let errors = left.is_believed(&holder);
    assert!(!errors.contains("differ"), "{errors}");
    let quiet = vmatlas(&["blame", "-q", &left.target.pid()]);
    assert_eq!((quiet.status, quiet.stderr.as_str()), (0, ""));
    // Nobody records this.
    use std::io::Write as _;
    left.target.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    assert_eq!(line(&mut left.target.0), "mapped\n");
    let errors = left.is_believed(&holder);
    let count = errors.lines().find(|line| line.contains("are not in both")).expect(&errors);
    let count: u32 = count.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!((1..=8).contains(&count), "{errors}");
    let json = vmatlas(&["blame", &left.target.pid(), "--json"]).json();
    assert!(json["warnings"].as_array().is_none_or(|all| !all.is_empty()), "{json}");
}

/// Descriptors that are no recordings are not opened, and those that change are not waited for.
#[test]
fn a_descriptor_that_becomes_a_fifo() {
    if !is_root() {
        return;
    }
    let directory = shared_directory();
    let target = target();
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let file = directory.path().join("file");
    fs::write(&file, b"\x89vmatlas\r\n\x1a\nrec\x01 and no more").unwrap();
    let program = "import os, sys
open('/proc/self/comm', 'w').write('vmatlas')
a, b = os.open(sys.argv[1], os.O_RDWR), os.open(sys.argv[2], os.O_RDONLY)
print('ready', flush=True)
while True: os.dup2(a, 9); os.dup2(b, 9)";
    let mut python = Command::new("python3");
    python.args(["-c", program]).arg(&fifo).arg(&file).stdout(Stdio::piped());
    let mut child = Running(python.spawn().unwrap());
    assert_eq!(line(&mut child.0), "ready\n");
    for _ in 0..20 {
        let mut blame = Running(
            command(&["blame", &target.pid()])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        wait_until("blame ends", || blame.0.try_wait().unwrap().is_some());
        assert_eq!(blame.0.wait().unwrap().code(), Some(2));
    }
}

/// An unprivileged user's own recording is believed.
#[test]
fn the_recording_of_the_same_user() {
    let directory = shared_directory();
    copy_program(env!("CARGO_BIN_EXE_vmatlas"), directory.path().join("vmatlas"));
    let mut command = match is_root() {
        true => Command::new("setpriv"),
        false => Command::new("env"),
    };
    if is_root() {
        command.args([&format!("--reuid={NOBODY}"), "--regid=65534", "--clear-groups"]);
    }
    let script = "./vmatlas record -q -o F -- sh -c 'i=0; until ./vmatlas blame $$ > out 2> errors; do \
                  i=$((i+1)); [ $i -lt 100 ] || exit 9; sleep 0.05; done'; cat errors";
    let output = command.args(["sh", "-c", script]).current_dir(directory.path()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        errors.contains("/F, which process "),
        "{errors}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(fs::read_to_string(directory.path().join("out")).unwrap().contains("execve"));
}
