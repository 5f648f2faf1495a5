//! Tests addresses that are written as ranges, as symbols, or that come from standard input.

use crate::vmatlas::{command, vmatlas, vmatlas_with_input};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const ZOO: &str = "captures/zoo-x86_64-6.18.maps";

/// A program with two functions `twice` and one of C++, which prints the addresses of some.
struct Program {
    child: Child,
    pid: String,
    main: u64,
    bar: u64,
    _directory: TempDir,
}

impl Program {
    fn start() -> Program {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let other = "static int twice(void) { return 1; }\nint (*other)(void) = twice;\n";
        let program = "#include <stdio.h>\n#include <unistd.h>\n\
            static int twice(void) { return 2; }\nextern int (*other)(void);\nint (*own)(void) = twice;\n\
            int bar(void) __asm__(\"_ZN3foo3barEi\");\nint bar(void) { return own() + other(); }\n\
            int main(void) { printf(\"%p %p\\n\", (void *)main, (void *)bar); fflush(stdout); pause(); }\n";
        fs::write(at("other.c"), other).unwrap();
        fs::write(at("program.c"), program).unwrap();
        let mut cc = Command::new("cc");
        cc.arg("-o").arg(at("lookup")).arg(at("program.c")).arg(at("other.c"));
        assert!(cc.status().expect("needs a C compiler").success());
        let mut child = Command::new(at("lookup")).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let numbers: Vec<u64> = line
            .split_whitespace()
            .map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap())
            .collect();
        let pid = child.id().to_string();
        Program { child, pid, main: numbers[0], bar: numbers[1], _directory: directory }
    }

    /// The first line of the answer.
    #[track_caller]
    fn at(&self, location: &str) -> String {
        let run = vmatlas(&["at", &self.pid, location]);
        assert_eq!(run.status, 0, "{location}: {}", run.stderr);
        run.text().lines().next().unwrap_or_default().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn symbols_of_a_process() {
    let program = Program::start();
    let main = format!("{:#x} lies in code of ", program.main);
    for location in ["main", "lookup:main", "main+0"] {
        let said = program.at(location);
        assert!(said.starts_with(&main) && said.contains("0 bytes into main"), "{said}");
    }
    let said = program.at("main+0x2");
    assert!(said.starts_with(&format!("{:#x} lies", program.main + 2)), "{said}");
    for location in ["foo::bar", "lookup:foo::bar", "_ZN3foo3barEi"] {
        let said = program.at(location);
        assert!(said.starts_with(&format!("{:#x} lies", program.bar)), "{location}: {said}");
    }
    for location in ["libc.so.6:malloc", "libc:malloc"] {
        assert!(program.at(location).contains("0 bytes into malloc"));
    }
    let refused = |args: &[&str]| {
        let run = vmatlas(args);
        assert_eq!((run.status, run.text().as_str()), (2, ""), "{args:?}");
        run.stderr
    };
    let twice = refused(&["at", &program.pid, "twice"]);
    assert!(twice.contains("2 symbols are called twice: 0x"), "{twice}");
    assert_eq!(twice.matches(" lookup:twice").count(), 2, "{twice}");
    assert!(refused(&["at", &program.pid, "no_such"]).contains("no symbol no_such is in "));
    let unknown = refused(&["at", &program.pid, "libnone:main"]);
    assert!(unknown.contains("no mapped program or library that can be read is called libnone"));
    let text = refused(&["at", ZOO, "main"]);
    assert!(text.contains("does not hold the files, so it takes no symbols"), "{text}");
    let explained = vmatlas(&["explain", &program.pid, "main"]);
    assert!(explained.text().starts_with(&format!("{:#x} lies", program.main)));
}

#[test]
fn ranges_are_answered_by_their_parts() {
    let rows = b"1000-3000 rw-p 00000000 00:00 0\n3000-4000 r--p 00000000 00:00 0\n6000-7000 rw-p 00000000 00:00 0\n";
    let first_words = |args: &[&str]| -> (i32, Vec<String>) {
        let run = vmatlas_with_input(&[&["at", "-"], args].concat(), rows);
        let text = run.text();
        let lines = text.lines().filter(|line| line.starts_with("0x"));
        let word = |line: &str| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        (run.status, lines.map(word).collect())
    };
    let parts = ["0x2000 lies in", "0x3000 lies in", "0x4000 is in", "0x6000 lies in"];
    for range in ["2000-6001", "0X2000-0x6001", "2000+0x4001"] {
        assert_eq!(first_words(&[range]), (1, parts.map(str::to_owned).to_vec()), "{range}");
    }
    assert_eq!(first_words(&["1000+8K"]), (0, vec!["0x1000 lies in".to_owned()]));
    for (range, why) in [("2000-1000", "a range without a byte"), ("1000+", "is no address")] {
        let run = vmatlas(&["at", ZOO, range]);
        assert!(run.status == 2 && run.stderr.contains(why), "{}", run.stderr);
    }
    let explained = vmatlas(&["explain", ZOO, "1-2"]);
    assert!(explained.stderr.contains("one access is explained"), "{}", explained.stderr);
}

#[test]
fn a_long_range_is_cut_with_a_note() {
    let row = |number: u64| {
        format!("{:x}-{:x} rw-p 00000000 00:00 0\n", number << 13, (number << 13) + 4096)
    };
    let rows: String = (1..400).map(row).collect();
    let run = vmatlas_with_input(&["at", "-", "0-1000000"], rows.as_bytes());
    assert!(run.stderr.contains("only the first 256 mappings and gaps"), "{}", run.stderr);
    assert_eq!(run.text().lines().filter(|line| line.starts_with("0x")).count(), 256);
}

#[test]
fn addresses_from_standard_input() {
    let run =
        vmatlas_with_input(&["at", ZOO, "-"], b"7f0fc2bde010 0x7f0fc2a5c000\n\n+ 10\n7f0fc2bde010");
    let sentences: Vec<String> =
        run.text().lines().filter(|line| line.starts_with("0x")).map(str::to_owned).collect();
    assert_eq!((run.status, sentences.len()), (1, 4), "{}", run.all());
    assert!(run.stderr.contains("standard input: line 3: `+` is no address"), "{}", run.stderr);
    // The same text as for addresses on the command line.
    let together = vmatlas(&["at", ZOO, "7f0fc2bde010", "0x7f0fc2a5c000", "10", "7f0fc2bde010"]);
    assert_eq!(run.text(), together.text());
    let json = vmatlas_with_input(&["at", ZOO, "-", "--json"], b"7f0fc2bde010\n10\n");
    assert_eq!(json.json(), vmatlas(&["at", ZOO, "7f0fc2bde010", "10", "--json"]).json());
    let both = vmatlas(&["at", "-", "-"]);
    assert!(both.status == 2 && both.stderr.contains("cannot be both"), "{}", both.stderr);
}

/// A program that writes an address can wait for the answer.
#[test]
fn each_line_of_standard_input_is_answered_before_the_next() {
    let mut command = command(&["at", ZOO, "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
    for address in ["7f0fc2bde010", "7f0fc2a5c000", "10"] {
        writeln!(to, "{address}").unwrap();
        let start = format!("0x{address} ");
        assert!(from.by_ref().any(|line| line.unwrap().starts_with(&start)));
    }
    drop(to);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
