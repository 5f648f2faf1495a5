//! Runs each program of examples/ on a process or file built for it and checks its output.

use crate::program::Program;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

/// Runs an example to its end and returns its output.
fn run(name: &str, args: &[&str]) -> String {
    let output = command(name).args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn command(name: &str) -> Command {
    // `cargo test` builds examples beside the directory of its tests.
    let test = std::env::current_exe().unwrap();
    Command::new(test.parent().unwrap().parent().unwrap().join("examples").join(name))
}

#[test]
fn libc_base() {
    let program = Program::start();
    let text = run("libc_base", &[&program.pid]);
    assert!(text.contains("/libc.so.6 at 0x7"), "{text}");
    let id = text.lines().find_map(|line| line.strip_prefix("build id ")).unwrap();
    assert!(id.len() == 40 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{text}");
}

#[test]
fn writable_code() {
    let program = Program::start();
    let text = run("writable_code", &[]);
    let memory = format!("{} grows: {}-", program.pid, program.memory);
    let row = text.lines().find(|line| line.starts_with(&memory));
    assert!(row.is_some_and(|row| row.contains(" rwxp ")), "{memory} in {text}");
}

#[test]
fn rss_by_file() {
    let _program = Program::start();
    let text = run("rss_by_file", &[]);
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let shares: Vec<u64> = rows.iter().map(|row| row[1].parse().unwrap()).collect();
    assert!(shares.is_sorted_by(|a, b| a >= b) && shares[0] > 0, "{text}");
}

#[test]
fn symbol() {
    let program = Program::start();
    assert_eq!(run("symbol", &[&program.pid, &program.function]), "qsort+0x0\n");
    assert_eq!(run("symbol", &[&program.pid, "0"]), "?\n");
}

#[test]
fn report_rows() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let row = format!("{:<73}/usr/bin/c\u{1b}at", "55d0c000-55d0d000 r-xp 00001000 fe:00 42");
    writeln!(file, "It crashed!\n| {row}\nWhat now?").unwrap();
    let shown = row.replace('\u{1b}', r"\x1b");
    assert_eq!(run("report_rows", &[file.path().to_str().unwrap()]), shown + "\n");
    let wrong = command("report_rows").arg("/proc/self/numa_maps").output().unwrap();
    let errors = String::from_utf8_lossy(&wrong.stderr);
    assert!(!wrong.status.success() && errors.contains("numa_maps"), "{errors}");
}

#[test]
fn grew() {
    let mut program = Program::start();
    let mut grew = command("grew");
    grew.args([&program.pid, "3"]).stdout(Stdio::piped());
    let grew = grew.spawn().unwrap();
    // The program grows repeatedly, so some growth falls between the two readings whenever they
    // start.
    std::thread::scope(|scope| {
        let output = scope.spawn(|| grew.wait_with_output().unwrap());
        while !output.is_finished() {
            program.grow();
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let text = String::from_utf8(output.join().unwrap().stdout).unwrap();
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with('+') && first.contains('M'), "{text}");
    });
}

#[test]
fn by_label() {
    let mut program = Program::start();
    program.grow();
    let text = run("by_label", &[&program.pid]);
    let sum = |line: &str| line.split_whitespace().nth(1).and_then(|rss| rss.parse::<u64>().ok());
    let malloc = text.lines().find(|line| line.contains("large malloc block")).and_then(sum);
    assert!(malloc.is_some_and(|rss| rss >= 8 << 20), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("unexplained: ")), "{text}");
}

#[test]
fn watch() {
    let mut program = Program::start();
    let mut watch = command("watch");
    let mut watch = watch.arg(&program.pid).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| lines.map(Result::unwrap).find(|line| line.contains(" +")));
        while !first.is_finished() {
            program.grow();
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let first = first.join().unwrap();
        assert!(first.is_some_and(|line| line.contains('M')));
    });
    drop(program);
    assert!(watch.wait().unwrap().code().is_some());
}

#[test]
fn simulate() {
    let text = run("simulate", &[]);
    let perms: Vec<&str> = text.lines().filter_map(|row| row.split(' ').nth(1)).collect();
    assert_eq!(perms[..3], ["rw-p", "r--p", "rw-p"], "{text}");
}

#[test]
fn origins() {
    // testdata/strace/child.log records call stacks, so no recorder is needed.
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/strace/child.log");
    let text = run("origins", &[log]);
    let first = text.lines().next().unwrap();
    assert!(first.contains(" bytes by ") && first.contains(" calls of "), "{text}");
}
