//! Tests `vmatlas record`: the program must not notice it, and recorded events must not be lost.

use crate::vmatlas::{command, is_root, testdata, vmatlas};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Compiles testdata/programs/patient.c, which executes the orders that it reads.
fn patient() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("patient-of-cli");
        // Another run of the tests may be executing the former file.
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-O1", "-o"]).arg(&new).arg(testdata().join("programs/patient.c"));
        assert!(cc.status().expect("needs a C compiler").success());
        fs::rename(new, &path).unwrap();
        path
    })
}

#[test]
fn the_list_of_processes_is_of_the_whole_recording() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("F").into_os_string().into_string().unwrap();
    assert_eq!(vmatlas(&["record", "-q", "-o", &output, "--", "true"]).status, 0);
    let json = vmatlas(&["show", &output, "--processes", "--json"]).json();
    assert_eq!(json["processes"][0]["comm"], "true");
    let of_moment = vmatlas(&["show", &format!("{output}@0.001"), "--processes"]);
    assert_eq!(of_moment.status, 2);
    assert!(of_moment.stderr.contains("leave out the moment"), "{}", of_moment.stderr);
}

/// A handler of cores that is a pipe would get a core of vmatlas too.
#[test]
fn the_signal_of_the_program_leaves_no_core_of_vmatlas() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let mut strace = Command::new("strace");
    strace
        .args(["-e", "trace=prctl,kill,tgkill", "-o"])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_vmatlas"));
    strace.args(["record", "-q", "-o"]).arg(directory.path().join("F"));
    let status =
        strace.args(["--", "sh", "-c", "kill -SEGV $$"]).status().expect("needs strace(1)");
    assert_eq!(status.signal(), Some(11));
    let log = fs::read_to_string(&log).unwrap();
    let place = |call: &str| log.lines().position(|line| line.contains(call));
    let prevented = place("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE");
    assert!(prevented.is_some() && prevented < place("SIGSEGV"), "{log}");
}

/// A vmatlas that records the program `patient`. Both run in one process group, as a shell starts
/// them.
struct Session {
    vmatlas: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    pid: u32,
    directory: TempDir,
}

impl Session {
    fn start(options: &[&str]) -> Session {
        let directory = tempfile::tempdir().unwrap();
        let mut command = command(&["record", "-o"]);
        command.arg(directory.path().join("F")).args(options).arg("--").arg(patient());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut vmatlas = command.process_group(0).spawn().unwrap();
        let to = vmatlas.stdin.take();
        let from = BufReader::new(vmatlas.stdout.take().unwrap());
        let mut session = Session { vmatlas, to, from, pid: 0, directory };
        let pid = session.line();
        session.pid = pid.strip_prefix("pid ").unwrap().parse().unwrap();
        session
    }

    /// Reads the next line that the program prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the program has ended: {line:?}");
        line.trim_end().to_owned()
    }

    /// Sends the program an order that it does not answer.
    fn send(&mut self, order: &str) {
        writeln!(self.to.as_mut().unwrap(), "{order}").unwrap();
    }

    /// Sends the program an order and waits until it is done.
    fn ask(&mut self, order: &str) {
        self.send(order);
        assert_eq!(self.line(), format!("{order} done"));
    }

    /// Sends a signal to vmatlas and the program, as a terminal does.
    fn signal_group(&self, name: &str) {
        kill(name, &format!("-{}", self.vmatlas.id()));
    }

    fn recording(&self) -> String {
        self.directory.path().join("F").into_os_string().into_string().unwrap()
    }

    /// Waits until vmatlas reports the end of the recording. Returns the pipe of its messages, so
    /// that vmatlas can still write to it.
    fn until_recording_ends(&mut self) -> BufReader<ChildStderr> {
        let mut errors = BufReader::new(self.vmatlas.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("the recording has ended") {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "vmatlas has ended");
        }
        errors
    }

    /// Waits for vmatlas. Returns its exit status, the rest of the program's output, and vmatlas's
    /// messages.
    fn end(&mut self) -> (ExitStatus, String, String) {
        self.to = None;
        let (mut output, mut errors) = (String::new(), String::new());
        // This read ends when the last process closes the program's end of the pipe.
        self.from.read_to_string(&mut output).unwrap();
        self.vmatlas.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.vmatlas.wait().unwrap(), output, errors)
    }

    /// Whether the recording shows a mapping of `pages` pages at its end.
    fn shows(&self, pages: u64) -> bool {
        let run = vmatlas(&["show", "--raw", "--quiet", &self.recording()]);
        run.status == 0 && has_mapping(&run.text(), pages)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.vmatlas.kill();
        let _ = self.vmatlas.wait();
    }
}

fn has_mapping(maps: &str, pages: u64) -> bool {
    let size = |line: &str| {
        let (start, end) = line.split(' ').next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some(number(end)? - number(start)?)
    };
    maps.lines().any(|line| size(line) == Some(pages * 4096))
}

fn kill(name: &str, target: &str) {
    let status = Command::new("kill").args(["-s", name, "--", target]).status();
    assert!(status.unwrap().success());
}

/// Polls a condition that no process reports.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(300);
    while !is() {
        assert!(Instant::now() < end, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z ") && !stat.contains(") X "))
}

#[test]
fn exit_statuses() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).into_os_string().into_string().unwrap();
    let output = path("F");
    let record =
        |words: &[&str]| vmatlas(&[&["record", "-q", "-o", &output, "--"], words].concat());
    assert_eq!(record(&["true"]).status, 0);
    assert_eq!(record(&["sh", "-c", "exit 77"]).status, 77);
    assert!(Path::new(&output).exists());
    let missing = record(&["/no/such/program"]);
    assert_eq!(missing.status, 127);
    assert!(missing.stderr.contains("/no/such/program"), "{}", missing.stderr);
    fs::write(path("data"), "no program").unwrap();
    assert_eq!(record(&[&path("data")]).status, 126);
    assert_eq!(record(&["/"]).status, 126);
    // No file is created if nothing was recorded, and none is removed.
    let shown = vmatlas(&["show", "-q", "--processes", &output]);
    assert!(shown.text().contains("exit 77"), "{}", shown.text());
    // The status of a signal is passed on to the parent.
    for number in [6, 9, 11, 15] {
        let mut command = command(&["record", "-q", "-o", &output, "sh", "-c"]);
        let status = command.arg(format!("kill -{number} $$")).status().unwrap();
        assert_eq!(status.signal(), Some(number));
        assert!(!status.core_dumped());
    }
}

#[test]
fn input_and_output_are_the_programs_own() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("F");
    let mut command = command(&["record", "-q", "-o"]);
    command.arg(&output).args(["--", "sh", "-c", "cat; echo error >&2"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let input = vec![b'x'; 1 << 20];
    let mut to = child.stdin.take().unwrap();
    let sent = input.clone();
    let writer = std::thread::spawn(move || to.write_all(&sent).unwrap());
    let result = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(result.stdout == input);
    assert_eq!(String::from_utf8_lossy(&result.stderr), "error\n");
    assert!(result.status.success());
}

/// The recording must not reuse the descriptor number that the program writes to.
#[test]
fn closed_output() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("F");
    for closed in [">&-", "2>&-", "<&- >&- 2>&-"] {
        let mut shell = Command::new("sh");
        let record =
            "\"$0\" record -o \"$1\" -- sh -c 'echo to stdout; echo to stderr >&2; exit 4'";
        shell.arg("-c").arg(format!("{record} {closed}"));
        shell.arg(env!("CARGO_BIN_EXE_vmatlas")).arg(&output);
        let status = shell.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(4), "{closed}");
        let bytes = fs::read(&output).unwrap();
        for text in [&b"to stdout\n"[..], b"to stderr\n"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text), "{closed}");
        }
        let shown = vmatlas(&["show", output.to_str().unwrap()]);
        assert_eq!((shown.status, shown.stderr.as_str()), (0, ""), "{closed}");
    }
}

/// The program is killed with its recorder, because it could not run on without it. The recorded
/// events stay.
#[test]
fn a_recorder_that_is_killed() {
    let mut session = Session::start(&[]);
    session.ask("map 50");
    // Events are written after 100 ms at the latest, unless the machine is busy.
    wait_until("the event is written", || session.shows(50));
    session.vmatlas.kill().unwrap();
    // Closing its input would end the program, so check before that.
    wait_until("the program is gone", || !alive(session.pid));
    let (status, output, _) = session.end();
    assert_eq!(status.signal(), Some(9));
    assert_eq!(output, "");
    let shown = vmatlas(&["show", "--raw", &session.recording()]);
    assert_eq!(shown.status, 0);
    assert!(has_mapping(&shown.text(), 50));
    assert!(shown.stderr.contains("has no end"), "{}", shown.stderr);
    let listed = vmatlas(&["show", "--processes", &session.recording()]);
    assert!(listed.text().contains(" no "), "{}", listed.text());
}

#[test]
fn a_full_disk() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (small, copy) = (directory.path().join("small"), directory.path().join("copy"));
    fs::create_dir(&small).unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args(["-m", "sh", "-c"]).arg(
        "mount -t tmpfs -o size=16k tmpfs \"$1\" || exit 99\n\
         \"$0\" record -o \"$1/F\" -- \"$3\"; status=$?\n\
         cp \"$1/F\" \"$2\" && exit $status",
    );
    unshare.arg(env!("CARGO_BIN_EXE_vmatlas")).arg(&small).arg(&copy).arg(patient());
    unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = unshare.spawn().unwrap();
    let orders = b"map 50\nfork 300\nflip 20000\nmap 51\nexit 7\n";
    child.stdin.take().unwrap().write_all(orders).unwrap();
    let result = child.wait_with_output().unwrap();
    let (output, errors) =
        (String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    assert_eq!(result.status.code(), Some(7), "{errors}");
    assert!(output.ends_with("flip 20000 done\nmap 51 done\n"), "{output}");
    assert!(errors.contains("No space left on device"), "{errors}");
    assert!(errors.contains("the recording has ended"), "{errors}");
    // The written file can be read up to its last complete block.
    let shown = vmatlas(&["show", "--raw", copy.to_str().unwrap()]);
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    assert!(has_mapping(&shown.text(), 50), "{}", shown.text());
    assert!(!shown.stderr.contains("no whole block"), "{}", shown.stderr);
}

/// A Ctrl-C is meant for the program. If it ends the program, the recording ends complete.
#[test]
fn ctrl_c_that_ends_the_program() {
    let mut session = Session::start(&[]);
    session.ask("map 50");
    session.signal_group("INT");
    wait_until("the program is gone", || !alive(session.pid));
    let (status, _, errors) = session.end();
    assert_eq!(status.signal(), Some(2), "{errors}");
    assert!(session.shows(50));
    let shown = vmatlas(&["show", "--processes", &session.recording()]);
    assert_eq!(shown.stderr, "");
    assert!(!shown.text().contains("lives"), "{}", shown.text());
}

/// If the program survives the Ctrl-C, it runs on unrecorded; another one ends both.
#[test]
fn ctrl_c_that_the_program_survives() {
    for again in [false, true] {
        let mut session = Session::start(&[]);
        session.ask("handle 2");
        session.signal_group("INT");
        let errors = session.until_recording_ends();
        session.send("signal");
        assert_eq!(session.line(), "signal 2");
        assert_eq!(session.line(), "signal done");
        session.ask("map 53");
        session.ask("fork 2");
        if again {
            kill("INT", &session.vmatlas.id().to_string());
            let status = session.vmatlas.wait().unwrap();
            assert_eq!(status.signal(), Some(2));
            wait_until("the program is gone", || !alive(session.pid));
        } else {
            session.send("exit 5");
            let status = session.vmatlas.wait().unwrap();
            assert_eq!(status.code(), Some(5));
        }
        let shown = vmatlas(&["show", "--raw", &session.recording()]);
        assert_eq!((shown.status, shown.stderr.as_str()), (0, ""));
        assert!(!has_mapping(&shown.text(), 53));
        drop(errors);
    }
}

#[test]
fn signals_to_vmatlas_are_passed_on() {
    for (name, number) in [("TERM", 15), ("HUP", 1)] {
        let mut session = Session::start(&[]);
        session.ask(&format!("handle {number}"));
        kill(name, &session.vmatlas.id().to_string());
        // The signal reaches the program with a delay.
        wait_until("the program has got it", || {
            session.send("signal");
            let line = session.line();
            assert_eq!(session.line(), "signal done");
            line == format!("signal {number}")
        });
        session.send("exit 6");
        let (status, ..) = session.end();
        assert_eq!(status.code(), Some(6));
        // A signal that the program does not handle ends it.
        let mut session = Session::start(&[]);
        kill(name, &session.vmatlas.id().to_string());
        wait_until("the program is gone", || !alive(session.pid));
        let (status, ..) = session.end();
        assert_eq!(status.signal(), Some(number));
    }
}

/// Who ends with the recorder, and whether anything was compared with the kernel.
#[test]
fn messages_of_a_recording_that_ends_first() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("R").display().to_string();
    let record = ["record", "--force", "-o", &file, "--duration", "0.05"];
    let launched = vmatlas(&[&record[..], &["--", "sleep", "0.5"]].concat()).stderr;
    assert!(launched.contains("Ctrl-C ends both"), "{launched}");
    assert!(launched.contains("not compared with the kernel's rows"), "{launched}");
    if !is_root() {
        return;
    }
    let mut sleep = Command::new("sleep").arg("600").spawn().unwrap();
    let attached = vmatlas(&[&record[..], &["-p", &sleep.id().to_string()]].concat()).stderr;
    sleep.kill().unwrap();
    sleep.wait().unwrap();
    assert!(attached.contains("the program runs on\n"), "{attached}");
    assert!(!attached.contains("Ctrl-C"), "{attached}");
}

#[test]
fn limits() {
    for limit in [["--duration", "0.01"], ["--max-size", "500"]] {
        let mut session = Session::start(&limit);
        session.ask("flip 100");
        let errors = session.until_recording_ends();
        session.ask("map 53");
        session.send("exit 9");
        assert_eq!(session.vmatlas.wait().unwrap().code(), Some(9));
        let shown = vmatlas(&["show", "--raw", &session.recording()]);
        assert_eq!((shown.status, shown.stderr.as_str()), (0, ""));
        assert!(!has_mapping(&shown.text(), 53));
        drop(errors);
    }
}

/// Compiles testdata/programs/thread_exec.c.
fn thread_exec() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("thread_exec");
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let mut cc = Command::new("cc");
        cc.args(["-Wall", "-O1", "-pthread", "-o"]).arg(&new);
        cc.arg(testdata().join("programs/thread_exec.c"));
        assert!(cc.status().expect("needs a C compiler").success());
        fs::rename(new, &path).unwrap();
        path
    })
}

/// A child that is killed if a test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Killed {
    /// Waits until it ends by itself.
    #[track_caller]
    fn ended(&mut self, what: &str) -> ExitStatus {
        let mut status = None;
        wait_until(what, || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

/// Asserts that a recording of `thread_exec` is that of a process that has ended.
fn assert_ended(file: &Path, what: &str) {
    let shown = vmatlas(&["show", "-q", "--processes", file.to_str().unwrap()]);
    let text = shown.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(words[1], if what == "last" { "thread_exec" } else { "true" }, "{text}");
    assert!(words.iter().any(|word| word.starts_with('#')), "{text}");
    // The kernel's events have no exit status.
    let is_perf = lines[2].contains("by perf");
    assert_eq!(lines[1].ends_with(" unknown"), is_perf, "{text}");
    assert_eq!(lines[1].ends_with(" exit 0"), !is_perf, "{text}");
}

/// A thread that executes a program gets the id of the first thread.
#[test]
fn the_first_thread_ends_before_the_others() {
    let backends = if is_root() { &["ptrace", "perf"][..] } else { &["ptrace"] };
    let record_launched = |backend: &str, what: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("F");
        let mut record = command(&["record", "-q", "--backend", backend, "-o"]);
        record.arg(&file).arg("--").arg(thread_exec()).arg(what).stdout(Stdio::null());
        let mut recorder = Killed(record.spawn().unwrap());
        assert!(recorder.ended(what).success());
        assert_ended(&file, what);
    };
    let record_attached = |what: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("F");
        let mut program = Command::new(thread_exec());
        program.arg(what).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Killed(program.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut record = command(&["record", "-o"]);
        record.arg(&file).args(["-p", line.trim()]).stderr(Stdio::piped());
        let mut recorder = Killed(record.spawn().unwrap());
        let mut errors = BufReader::new(recorder.0.stderr.take().unwrap());
        line.clear();
        while !line.contains("recording by perf events") {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "the recorder has ended");
        }
        drop(program.0.stdin.take());
        assert!(recorder.ended(what).success());
        assert_ended(&file, what);
    };
    // Several at once, so that the events come in many orders.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for what in ["lives", "ended", "last"] {
                    backends.iter().for_each(|backend| record_launched(backend, what));
                    if backends.len() > 1 {
                        record_attached(what);
                    }
                }
            });
        }
    });
}

#[test]
fn a_recording_by_perf_events_has_no_crash() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("F").into_os_string().into_string().unwrap();
    let mut record = command(&["record", "-q", "--backend", "perf", "-o", &file, "--"]);
    let status = record.args(["sh", "-c", "kill -SEGV $$"]).status().unwrap();
    assert_eq!(status.signal(), Some(11));
    let run = vmatlas(&["explain", &file]);
    assert_eq!(run.status, 2, "{}", run.all());
    assert!(run.stderr.contains("perf events report no signals"), "{}", run.stderr);
}

/// The recorder waits for processes that its program left behind.
#[test]
fn signals_end_a_recording_without_its_program() {
    let backends = if is_root() { &["ptrace", "perf"][..] } else { &["ptrace"] };
    for (backend, name) in backends.iter().flat_map(|of| [(of, "TERM"), (of, "INT")]) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("F");
        let mut record = command(&["record", "--backend", backend, "-o"]);
        record.arg(&file).args(["--", "sh", "-c", "sleep 1000 & echo $! $$"]);
        record.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut recorder = Killed(record.spawn().unwrap());
        let mut line = String::new();
        BufReader::new(recorder.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pids: Vec<u32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
        wait_until("the program is waited for", || {
            !Path::new(&format!("/proc/{}", pids[1])).exists()
        });
        kill(name, &recorder.0.id().to_string());
        let mut errors = BufReader::new(recorder.0.stderr.take().unwrap());
        line.clear();
        while !line.contains("the recording has ended") && *backend == "ptrace" {
            line.clear();
            assert!(errors.read_line(&mut line).unwrap() > 0, "vmatlas has ended");
        }
        // The filter of a program that ptrace records makes its children need the recorder.
        if *backend == "perf" {
            assert!(recorder.ended(name).success());
        }
        kill("KILL", &pids[0].to_string());
        assert!(recorder.ended(name).success());
        let shown = vmatlas(&["show", "--processes", file.to_str().unwrap()]);
        assert_eq!((shown.status, shown.stderr.as_str()), (0, ""));
    }
}

/// A program that was not launched by the recorder gets no signal from it.
#[test]
fn a_signal_ends_the_recording_of_a_running_process() {
    if !is_root() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("F");
    let mut program = Killed(Command::new("sleep").arg("1000").spawn().unwrap());
    for name in ["TERM", "HUP", "INT"] {
        let mut record = command(&["record", "--force", "-o"]);
        record.arg(&file).args(["-p", &program.0.id().to_string()]).stderr(Stdio::piped());
        let mut recorder = Killed(record.spawn().unwrap());
        let mut errors = BufReader::new(recorder.0.stderr.take().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert!(line.contains("recording by perf events"), "{line}");
        // Twice at once, as by timeout(1).
        let twice = format!("kill -s {name} {0}; kill -s {name} {0}", recorder.0.id());
        assert!(Command::new("sh").args(["-c", &twice]).status().unwrap().success());
        assert!(recorder.ended(name).success(), "{name}");
        let shown = vmatlas(&["show", "--processes", file.to_str().unwrap()]);
        assert_eq!((shown.status, shown.stderr.as_str()), (0, ""));
        assert!(shown.text().contains(" no"), "{}", shown.text());
    }
    assert!(program.0.try_wait().unwrap().is_none());
}
