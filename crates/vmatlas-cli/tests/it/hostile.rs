//! Tests beside processes and file systems that try to stop the command.

use crate::vmatlas::{PATIENCE, command, is_root, testdata};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A process with a library on a file system that stops answering.
struct Silent {
    program: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pid: String,
}

impl Silent {
    /// `None` without root or FUSE.
    fn start(dir: &Path) -> Option<Silent> {
        if !is_root() {
            return None;
        }
        if !Path::new("/dev/fuse").exists() {
            eprintln!("skipped: the kernel has no FUSE");
            return None;
        }
        let compile = |source: &Path, flags: &[&str], to: &str| {
            let mut gcc = Command::new("gcc");
            gcc.args(flags).arg("-g").arg(source).arg("-o").arg(dir.join(to));
            assert!(gcc.status().unwrap().success(), "{gcc:?}");
        };
        compile(&testdata().join("programs/silent_fuse.c"), &[], "silent_fuse");
        std::fs::write(dir.join("library.c"), "int double_it(int x) { return 2 * x; }\n").unwrap();
        compile(&dir.join("library.c"), &["-shared", "-fPIC"], "backing.so");
        // The end of it is not read ahead.
        let backing = std::fs::File::options().append(true).open(dir.join("backing.so"));
        backing.unwrap().write_all(&vec![0; 4 << 20]).unwrap();
        std::fs::create_dir(dir.join("mount")).unwrap();
        let mut program = Command::new(dir.join("silent_fuse"));
        program.args([dir.join("mount"), dir.join("backing.so")]);
        let mut program = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = program.stdin.take();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let pid = line.split(' ').next().unwrap().to_owned();
        Some(Silent { program, input, output, pid })
    }

    /// Answers so many requests from now on.
    fn answer(&mut self, requests: u32) {
        writeln!(self.input.as_mut().unwrap(), "{requests}").unwrap();
        self.output.read_line(&mut String::new()).unwrap();
    }

    /// Runs the command, which must end; returns its output and its messages.
    #[track_caller]
    fn run(&self, args: &[&str]) -> (String, String) {
        let mut command = command(args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.wait(child, args)
    }

    /// Waits for the command.
    #[track_caller]
    fn wait(&self, mut child: Child, args: &[&str]) -> (String, String) {
        let end = Instant::now() + PATIENCE;
        let mut outputs = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                None => panic!("{args:?} does not end"),
            }
        };
        let (mut text, mut messages) = (String::new(), String::new());
        outputs.0.read_to_string(&mut text).unwrap();
        outputs.1.read_to_string(&mut messages).unwrap();
        assert!(status.success(), "{args:?}: {messages}");
        (text, messages)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.program.wait();
    }
}

#[test]
fn a_file_system_that_never_answers_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut silent) = Silent::start(dir.path()) else { return };
    let pid = silent.pid.clone();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let code = maps.lines().find(|row| row.contains("/library.so") && row.contains("r-xp"));
    let address = format!("0x{}", code.unwrap().split('-').next().unwrap());
    let library = format!("{}/library.so", dir.path().join("mount").display());
    let silence = "(fuse.silent) did not answer: facts of 1 file there are left out";

    silent.answer(1_000_000);
    let (text, messages) = silent.run(&[&pid, "--wide"]);
    assert!(text.contains(".text") && messages.is_empty(), "{messages}{text}");
    let (text, messages) = silent.run(&["at", &pid, &address]);
    assert!(text.contains(&library) && text.contains(".plt") || text.contains(".init"), "{text}");
    assert!(messages.is_empty(), "{messages}");

    // It is silent at its first request, and at later ones.
    for requests in [0, 1, 3, 7, 15] {
        silent.answer(requests);
        let (text, messages) = silent.run(&[&pid, "--json"]);
        assert!(messages.contains(silence), "{requests}: {messages}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["mappings"].as_array().unwrap().len(), maps.lines().count(), "{text}");
    }
    silent.answer(0);
    for args in [
        &["show", &pid, "--deep"][..],
        &["show", &pid, "--sizes", "--json"],
        &["at", &pid, &address],
        &["explain", &pid, &address],
        &["diff", &pid, &pid],
        &["access", &pid],
    ] {
        let (_, messages) = silent.run(args);
        let reads_files = !matches!(args[0], "diff" | "access");
        assert_eq!(messages.contains(silence), reads_files, "{args:?}: {messages}");
    }
    // A reader that was left behind does not hold the lock of its address space.
    assert!(Command::new("kill").args(["-USR1", &pid]).status().unwrap().success());
    let mut line = String::new();
    silent.output.read_line(&mut line).unwrap();
    assert_eq!(line, "mapped\n");
}

/// Whatever exceeds the budget is left out and named; the rows stay.
#[test]
fn files_that_exceed_the_budget_are_named() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = child.id().to_string();
    // The program is executed when its own rows are there.
    let maps = || std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let end = Instant::now() + PATIENCE;
    while !maps().contains("/libc") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let run = |budget: &[&str]| {
        let output = command(&[&["show", &pid, "--json"], budget].concat()).output().unwrap();
        assert!(output.status.success());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = json["mappings"].as_array().unwrap().len();
        (rows, String::from_utf8(output.stderr).unwrap())
    };
    let (rows, messages) = run(&[]);
    assert!(!messages.contains("left out"), "{messages}");
    for (budget, limits) in [
        ("1K", "more than 1K or 10 s of CPU"),
        ("0s", "more than 512M or 0 s of CPU"),
        ("1K,7s", "more than 1K or 7 s of CPU"),
    ] {
        let (left, messages) = run(&["--budget", budget]);
        assert_eq!(left, rows, "{budget}");
        let is_named = messages.contains("facts of /") && messages.contains("--budget");
        assert!(is_named && messages.contains(limits), "{budget}: {messages}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The names of compiled code, the memory that `--deep` reads, and logs share the budget with
/// files.
#[test]
fn the_budget_is_one_for_all_readers() {
    let mut child = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = child.id().to_string();
    let perf_map = format!("/tmp/perf-{pid}.map");
    let line = |n: u64| format!("{:x} 10 code\n", 0x7000_0000_0000 + (n << 8));
    std::fs::write(&perf_map, (0..100_000).map(line).collect::<String>()).unwrap();
    let messages = |args: &[&str]| {
        let output = command(args).output().unwrap();
        assert!(!output.stdout.is_empty(), "the rows are shown: {args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let all = messages(&["show", &pid]);
    assert!(!all.contains("left out"), "{all}");
    let few = messages(&["show", &pid, "--budget", "1M"]);
    assert!(few.contains(&format!("facts of {perf_map} are left out")), "{few}");
    assert!(few.contains("more than 1M or 10 s of CPU") && few.contains("--budget"), "{few}");
    let deep = messages(&["show", &pid, "--deep", "--budget", "0s"]);
    assert!(deep.contains("its memory was read for 0 s of CPU only"), "{deep}");
    std::fs::remove_file(perf_map).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let dir = tempfile::tempdir().unwrap();
    let recording = dir.path().join("R").display().to_string();
    assert!(command(&["record", "-q", "-o", &recording, "--", "true"]).status().unwrap().success());
    let shown = messages(&["show", &recording, "--budget", "0s"]);
    assert!(shown.contains("facts of /") && shown.contains("0 s of CPU"), "{shown}");
    let blamed = messages(&["blame", &recording, "--budget", "1K"]);
    assert!(blamed.contains("bytes of memory, and"), "{blamed}");

    let log = "no crash\n".repeat(200_000);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(log.as_bytes()).unwrap();
    let path = file.path().display().to_string();
    let output = command(&["explain", &path, "--budget", "1M"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("no crash") && text.contains("only the first 819"), "{text}");
}

/// The stack of a recorded program, and arguments of its calls, lie in a file whose pages never
/// come.
#[test]
fn memory_that_cannot_be_read_stops_no_recorder() {
    // In a file; moved there by another thread; of a userfaultfd.
    let cases = ["file", "thread", "userfaultfd"];
    let backends = ["ptrace", "perf"].into_iter();
    for (backend, case) in backends.flat_map(|backend| cases.map(|case| (backend, case))) {
        let dir = tempfile::tempdir().unwrap();
        // One for each: what it did not answer once is never answered.
        let Some(mut silent) = Silent::start(dir.path()) else { return };
        let program = dir.path().join("unread_memory");
        let mut gcc = Command::new("gcc");
        gcc.args(["-O1", "-pthread"]).arg(testdata().join("programs/unread_memory.c"));
        assert!(gcc.arg("-o").arg(&program).status().unwrap().success());
        let path = |name: &str| dir.path().join(name).display().to_string();
        let (recording, program, library) =
            (path("recording"), path("unread_memory"), path("mount/library.so"));
        let words = match case {
            "file" => vec![&*program, &library],
            "thread" => vec![&*program, "-t", &library],
            _ => vec![&*program],
        };
        let record = ["record", "-q", "--backend", backend, "-o", &recording, "--"];
        let args = [&record as &[&str], &words].concat();
        let mut command = command(&args);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        // One byte at a time: the rest of the output is read later.
        let output = child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while byte != *b"\n" {
            output.read_exact(&mut byte).unwrap();
        }
        silent.answer(0);
        child.stdin.take().unwrap().write_all(b"\n").unwrap();
        silent.wait(child, &args);
        let (text, _) = silent.run(&["blame", &recording]);
        assert!(text.contains("mmap"), "{text}");
    }
}
