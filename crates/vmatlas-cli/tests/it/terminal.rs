//! Tests what reaches a terminal of names that a process or a file chooses.

use crate::live::Sleeper;
use crate::vmatlas::{command, vmatlas, vmatlas_with_input};
use std::process::{Command, Stdio};

/// Runs the command on a pseudo terminal. Returns its output, without the carriage returns that the
/// terminal adds.
pub(crate) fn on_terminal(args: &[&str]) -> String {
    let (status, text) = status_on_terminal(args);
    assert_eq!(status, 0, "{args:?}: {text}");
    text
}

/// Like [`on_terminal`], with the exit status.
pub(crate) fn status_on_terminal(args: &[&str]) -> (i32, String) {
    status_on_screen("", args, &[])
}

/// Like [`on_terminal`], after `first`, a line of a shell.
pub(crate) fn on_screen(first: &str, args: &[&str], environment: &[(&str, &str)]) -> String {
    let (status, text) = status_on_screen(first, args, environment);
    assert_eq!(status, 0, "{args:?}: {text}");
    text
}

fn status_on_screen(first: &str, args: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let quoted = args.iter().map(|arg| format!("'{}'", arg.replace('\'', r"'\''")));
    let line = format!(
        "{first}\nexec {} {}",
        env!("CARGO_BIN_EXE_vmatlas"),
        quoted.collect::<Vec<_>>().join(" ")
    );
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &line, "/dev/null"]);
    // A command that `vmatlas` prepares has the directory and the environment of the others.
    let like = command(&[]);
    script.current_dir(like.get_current_dir().unwrap()).env("PAGER", "").stdin(Stdio::null());
    script.envs(environment.iter().copied());
    let output = script.output().expect("needs script(1)");
    let text = String::from_utf8(output.stdout).expect("everything on a terminal is UTF-8");
    (output.status.code().expect("it ends by itself"), text.replace("\r\n", "\n"))
}

/// Whether a character commands a terminal.
fn is_command(c: char) -> bool {
    c != '\n' && c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[track_caller]
fn is_harmless(what: &[&str], text: &str) {
    let bad: Vec<char> = text.chars().filter(|&c| is_command(c)).collect();
    assert!(bad.is_empty(), "{what:?}: {bad:?}");
    assert!(text.len() > 100, "{what:?}: {text}");
}

#[test]
fn what_to_type_next() {
    let text = on_terminal(&[]);
    let lines = ["This is the map of vmatlas itself.", "vmatlas PID --sizes", "everything else"];
    assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    let place = |word: &str| text.find(word).unwrap();
    assert!(place("vmatlas PID") < place("kind ") && place("kind ") < place("address "), "{text}");
}

/// Every character that commands a terminal, and some that do not.
fn names() -> Vec<Vec<u8>> {
    let controls = (1..=0x9f_u32).filter(|code| *code < 0x20 || *code > 0x7e);
    let directions =
        [0x61c, 0x200e, 0x200f].into_iter().chain(0x202a..=0x202e).chain(0x2066..=0x2069);
    let letters = controls.chain(directions).filter_map(char::from_u32).filter(|&c| c != '\n');
    let mut names: Vec<Vec<u8>> = letters.map(|c| format!("/n/a{c}b").into_bytes()).collect();
    names.push(b"/n/\x1b]0;title\x07\x1b[2J".to_vec());
    names.push(b"/n/invalid\x9b\xff".to_vec());
    names.push("/n/plain ünïcode 日本".as_bytes().to_vec());
    names
}

/// A text with a row for each name.
fn listing() -> Vec<u8> {
    let mut text = Vec::new();
    for (number, name) in names().iter().enumerate() {
        let start = 0x10_0000 + number * 0x2000;
        let row = format!("{start:08x}-{:08x} r--p 00000000 08:01 7", start + 0x1000);
        text.extend_from_slice(format!("{row:<73}").as_bytes());
        text.extend_from_slice(name);
        text.push(b'\n');
    }
    text
}

#[test]
fn csv_and_raw_are_escaped_on_a_terminal_only() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), listing()).unwrap();
    let file = file.path().to_str().unwrap();
    let kinds: [&[&str]; 6] = [
        &["--csv"],
        &["--csv", "--columns", "name,path"],
        &["--raw"],
        &["--raw", "--kernel", "2.4"],
        &["--json"],
        &[],
    ];
    for kind in kinds {
        let args = [&["show", file, "--color", "never"], kind].concat();
        let shown = on_terminal(&args);
        is_harmless(kind, &shown);
        assert!(shown.contains("ünïcode 日本"), "{kind:?}: {shown}");
        if kind != ["--json"] {
            assert!(shown.contains(r"\x1b]0;title\x07\x1b[2J"), "{kind:?}: {shown}");
            assert!(shown.contains(r"a\u{9b}b") && shown.contains(r"a\u{202e}b"), "{kind:?}");
        }
    }
    // Exact bytes elsewhere.
    assert!(vmatlas(&["show", file, "--raw"]).stdout == listing());
    let csv = vmatlas(&["show", file, "--csv", "--columns", "name", "--no-header"]).stdout;
    for name in names() {
        assert!(csv.windows(name.len()).any(|window| window == name), "{name:?}");
    }
}

/// JSON is harmless everywhere, and its readers get the same names.
#[test]
fn json_has_no_command_to_a_terminal() {
    let input = listing();
    for args in [&["show", "-", "--json"][..], &["at", "-", "100000", "105000", "--json"]] {
        let run = vmatlas_with_input(args, &input);
        is_harmless(args, &run.text());
    }
    let run = vmatlas_with_input(&["show", "-", "--json"], &input);
    let mappings = run.json()["mappings"].as_array().unwrap().clone();
    let read: Vec<&str> = mappings.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let names = names();
    let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    assert_eq!(read, names);
    for escape in [r"\u007f", r"\u009b", r"\u202e", r"\u2066", r"\u061c", r"\u200f"] {
        assert!(run.text().contains(escape), "{escape}");
    }
}

#[test]
fn smaps_are_escaped_with_their_fields() {
    let input = b"00100000-00101000 r--p 00000000 08:01 7        /n/\x1b[2Ja\nSize:\t\t4 kB\nOdd:  \x1b[31m\xc2\x9b\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), input).unwrap();
    let args = ["show", "-q", file.path().to_str().unwrap(), "--raw"];
    let shown = on_terminal(&args);
    assert!(shown.chars().all(|c| !is_command(c)), "{shown:?}");
    assert!(shown.contains("/n/\\x1b[2Ja\nSize:  "), "{shown}");
    let piped = vmatlas(&args);
    assert!(piped.stdout.windows(4).any(|window| window == b"\x1b[2J"));
}

/// The name of a thread, with a line feed, quotes and commas.
const NAME: &str = "a\x1b[2J\",\n'b\r";

/// A process with such a thread.
fn named() -> Sleeper {
    let program = "import threading
def name():
    open('/proc/thread-self/comm', 'w', newline='').write(sys.argv[1])
    ready.set()
    threading.Event().wait()
ready = threading.Event()
threading.Thread(target=name, daemon=True).start()
ready.wait()";
    Sleeper::python(program, NAME)
}

#[test]
fn a_line_feed_in_the_name_of_a_thread() {
    let named = named();
    let pid = named.pid();
    let csv = vmatlas(&["show", "-q", &pid, "--csv"]);
    assert!(csv.text().contains(&NAME[..5]), "{}", csv.text());
    // Another reader of RFC 4180.
    let reader = "import csv, json, sys
rows = list(csv.reader(open(sys.argv[1], newline=''), strict=True))
print(json.dumps(rows))";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &csv.stdout).unwrap();
    let read = Command::new("python3").args(["-c", reader]).arg(file.path()).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let rows: Vec<Vec<String>> = serde_json::from_slice(&read.stdout).unwrap();
    let json = vmatlas(&["show", "-q", &pid, "--json"]).json();
    let mappings = json["mappings"].as_array().unwrap();
    assert_eq!(rows.len(), mappings.len() + 1);
    let label = rows[0].iter().position(|name| name == "label").unwrap();
    let named_rows = rows.iter().filter(|row| row[label].contains(NAME)).count();
    assert!(named_rows > 0, "{rows:?}");
    for (row, mapping) in rows[1..].iter().zip(mappings) {
        assert_eq!(row.len(), rows[0].len());
        assert_eq!(row[0], mapping["start"].as_str().unwrap());
        // JSON has the labels of parts of a row on their own.
        let text = mapping["label"]["text"].as_str().unwrap_or_default();
        assert!(row[label].starts_with(text), "{row:?} {text}");
    }
    for kind in ["--csv", "--json", "--raw"] {
        is_harmless(&[kind], &on_terminal(&["show", "-q", &pid, kind]));
    }
}

/// The names of sections are bytes of a file, and may be empty.
#[test]
fn a_section_without_a_name() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    let source = directory.path().join("a.c");
    std::fs::write(&source, "#include <unistd.h>\nint main(void) { pause(); }\n").unwrap();
    let mut cc = Command::new("cc");
    assert!(cc.arg("-s").arg("-o").arg(&program).arg(&source).status().unwrap().success());
    // All names are made empty: sh_name, the first word of each entry of the table.
    let mut bytes = std::fs::read(&program).unwrap();
    let number = |bytes: &[u8], at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (table, size, count) =
        (number(&bytes, 40, 8), number(&bytes, 58, 2), number(&bytes, 60, 2));
    for entry in 0..count {
        bytes[table + entry * size..][..4].fill(0);
    }
    let nameless = directory.path().join("nameless");
    std::fs::write(&nameless, &bytes).unwrap();
    assert!(Command::new("chmod").arg("755").arg(&nameless).status().unwrap().success());
    let mut child = Sleeper(Command::new(&nameless).spawn().unwrap());
    let pid = child.0.id().to_string();
    let rows = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    while !rows(&pid).contains("nameless") {
        assert!(child.0.try_wait().unwrap().is_none(), "it has ended");
    }
    let maps = rows(&pid);
    let starts = maps.lines().filter(|row| row.contains("nameless"));
    for start in starts.map(|row| row.split('-').next().unwrap()) {
        let at = vmatlas(&["at", &pid, start]);
        assert_eq!(at.status, 0, "{}", at.stderr);
        assert!(!at.text().contains("section"), "{}", at.text());
        let json = vmatlas(&["at", &pid, start, "--json"]).json();
        assert_eq!(json["addresses"][0]["elf"].get("section"), None, "{json}");
    }
    let shown = vmatlas(&["show", "-q", &pid]).text();
    let mut rows = shown.lines().filter(|line| line.contains("/nameless"));
    assert!(
        rows.all(|row| row.ends_with("/nameless") || row.ends_with("/nameless RELRO")),
        "{shown}"
    );
}
