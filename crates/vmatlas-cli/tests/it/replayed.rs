//! Replays what README.md and docs show of a terminal, and compares the shape of the output.
//!
//! A block of Markdown that begins with ```` ```console ```` holds commands (`$ …`), each with its
//! output. All blocks of a file are replayed in order by one shell, in a directory that has the
//! parts of a clone. The words of the output, their order and the indented and empty lines must be
//! as the file shows them. Numbers, sizes, addresses, directories and the names of file systems may
//! differ, as may the places at which unindented lines are broken. A line `…` stands for any number
//! of lines. An address in a command is the one that stands in the same place of an earlier output.
//!
//! A block that a test cannot replay begins with ```` ```console not replayed: ```` and the reason.
//!
//! To refresh a file, run `cargo test -p vmatlas-cli --test it replayed -- --nocapture`, which
//! prints each command with its output as a file shows it; paste what has changed.

use crate::vmatlas::testdata;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;

#[test]
fn readme() {
    check("README.md");
}

#[test]
fn docs() {
    let docs = fs::read_dir(repository().join("docs")).unwrap();
    let mut names: Vec<String> =
        docs.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in names.iter().filter(|name| name.ends_with(".md")) {
        check(&format!("docs/{name}"));
    }
}

#[test]
fn a_changed_word_is_found() {
    let shown = "1 a: 3 rows, 5M\n\n  bytes  by\n     4K  f a.c:3\n/usr/x/libc.so.6\n";
    let same = "77 a: 31 rows, 512 KiB\n\n bytes by\n  1.5M  f a.c:44\n/lib64/libc.so.7\n";
    assert!(find(shown, same).is_some());
    assert!(find("…\n     4K  f a.c:3\n…\n", same).is_some());
    let long = "It was unmapped by munmap of\n7f0011223344 (c) in trim.\n";
    assert!(find(long, "It was unmapped by munmap of 7e9911223344 (c)\nin trim.\n").is_some());
    for (from, to) in [
        ("rows", "mappings"),
        (" f a.c", " g a.c"),
        ("bytes", "size"),
        ("\n\n", "\n"),
        ("libc", "libm"),
        (" a:", " a (likely):"),
        ("7\n", "7\nmore\n"),
        (" bytes by", "bytes by"),
    ] {
        assert!(find(shown, &same.replacen(from, to, 1)).is_none(), "{from:?} {to:?}");
    }
    assert!(find("…\n     4K  f a.c:3\n", same).is_none());
    assert!(find("", "warning\n").is_none());
}

fn repository() -> PathBuf {
    testdata().parent().unwrap().to_owned()
}

/// A command and the output that a file shows below it.
struct Shown {
    line: usize,
    command: String,
    output: String,
}

fn check(file: &str) {
    let text = fs::read_to_string(repository().join(file)).unwrap();
    let commands = commands(file, &text);
    if commands.is_empty() {
        return;
    }
    let mut shell = Shell::start();
    let mut addresses = HashMap::new();
    let mut wrong = String::new();
    for Shown { line, command, output } in commands {
        let run = shell.run(&with_addresses(&command, &addresses));
        println!("$ {command}\n{run}");
        match find(&output, &run) {
            Some(pairs) => addresses.extend(pairs),
            None => writeln!(
                wrong,
                "{file}:{line}: the output of this command has another shape.\n$ {command}\n\
                 --- {file}\n{output}--- now\n{run}---\n{}\n",
                difference(&output, &run)
            )
            .unwrap(),
        }
    }
    assert!(wrong.is_empty(), "{wrong}How to refresh it: tests/it/replayed.rs");
}

/// The commands of all blocks that can be replayed.
fn commands(file: &str, text: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    let (mut fence, mut replayed) = (None, false);
    for (index, line) in text.lines().enumerate() {
        let at = || format!("{file}:{}", index + 1);
        if let Some(info) = line.trim_start().strip_prefix("```") {
            if fence.take().is_none() {
                fence = Some(info);
                replayed = info == "console";
                let reason = info.strip_prefix("console not replayed: ");
                assert!(
                    replayed || reason.is_some() || !info.starts_with("console"),
                    "{}: why is it not replayed?",
                    at()
                );
                reason.inspect(|reason| println!("{}: not replayed: {reason}", at()));
            }
        } else if replayed && fence.is_some() {
            if let Some(command) = line.strip_prefix("$ ") {
                let (command, output) = (command.to_owned(), String::new());
                commands.push(Shown { line: index + 1, command, output });
            } else {
                let last = commands.last_mut().expect("a block begins with a command");
                writeln!(last.output, "{line}").unwrap();
            }
        } else if line.trim_start().starts_with("$ ") {
            assert!(
                fence.is_some_and(|info| info.starts_with("console")),
                "{}: commands stand in a block ```console",
                at()
            );
        }
    }
    assert!(fence.is_none(), "{file}: a block has no end");
    commands
}

/// The name of the service in demo/, by which commands find it.
const SERVICE: &str = "demo-server";

/// The directory of a clone in what the files show.
const CLONE: &str = "/src/vmatlas";

/// A shell in a directory like a clone in which vmatlas was built.
struct Shell {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    directory: TempDir,
    /// A name of the same length that no other process has.
    service: String,
}

impl Shell {
    fn start() -> Shell {
        let directory = tempfile::tempdir().unwrap();
        for part in ["demo", "docs", "testdata"] {
            symlink(repository().join(part), directory.path().join(part)).unwrap();
        }
        let release = directory.path().join("target/release");
        fs::create_dir_all(&release).unwrap();
        // On a slow processor, a build for tests takes longer than the time that users wait.
        let script = format!(
            "#!/bin/sh\ncase $1 in\n\
             record|save|access|verify) exec {0} \"$@\" ;;\n\
             all|shared|metrics|watch|audit) exec {0} \"$@\" ;;\n\
             *) exec {0} \"$@\" --budget 512M,1000s ;;\nesac\n",
            env!("CARGO_BIN_EXE_vmatlas")
        );
        let vmatlas = release.join("vmatlas");
        fs::write(&vmatlas, script).unwrap();
        fs::set_permissions(&vmatlas, fs::Permissions::from_mode(0o755)).unwrap();
        let mut path = release.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.current_dir(directory.path()).env("PATH", path).env("LC_ALL", "C.UTF-8");
        command.env_remove("NO_COLOR").stdin(Stdio::piped()).stdout(Stdio::piped());
        // A group of its own, so that all it starts can be ended.
        let mut child = command.process_group(0).spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let from = BufReader::new(child.stdout.take().unwrap());
        // No core in the directory, and the usual layout of memory.
        writeln!(to, "ulimit -c 0; ulimit -s 8192 2>/dev/null").unwrap();
        let pid = std::process::id();
        let service = format!("demo-{:06x}", (pid ^ child.id() << 8) & 0xff_ffff);
        assert_eq!(service.len(), SERVICE.len());
        Shell { child, to, from, directory, service }
    }

    /// Runs a command to its end and returns what it printed, as a file shows it.
    fn run(&mut self, command: &str) -> String {
        let output = self.directory.path().join("output");
        let command = command.replace(SERVICE, &self.service);
        let to = output.display();
        writeln!(self.to, "{{ {command}\n}} >'{to}' 2>&1 </dev/null\necho").unwrap();
        let mut end = String::new();
        self.from.read_line(&mut end).unwrap();
        assert_eq!(end, "\n", "{command}: it ended the shell");
        let text = String::from_utf8(fs::read(&output).unwrap()).unwrap();
        text.replace(&self.service, SERVICE)
            .replace(&self.directory.path().display().to_string(), CLONE)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// A part of a text. Pieces are equal if their shapes are.
struct Piece<'a> {
    /// `N` for a number, else the word, with what separates it from the piece before.
    shape: String,
    /// The address, without `0x`.
    address: Option<&'a str>,
}

/// Divides a text into words and numbers.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for line in text.lines() {
        if line.trim().is_empty() {
            pieces.push(Piece { shape: "\n".to_owned(), address: None });
        }
        if line.contains("Segmentation fault") {
            // Shells add their name and the command.
            pieces.push(Piece { shape: "\n Segmentation fault".to_owned(), address: None });
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for (index, word) in words.iter().enumerate() {
            let word = *word;
            let starts_line = index == 0 && line.starts_with(' ');
            let separator = if starts_line { "\n " } else { " " };
            let before = index.checked_sub(1).map_or("", |index| words[index]);
            let is_unit = ["KiB", "MiB", "GiB", "TiB"].iter().find(|unit| {
                word.starts_with(**unit) && before.ends_with(|c: char| c.is_ascii_digit())
            });
            let is_file_system = words.get(index + 1..index + 3) == Some(&["mounted", "at"])
                || index > 1 && words[index - 2..index] == ["mounted", "at"];
            if is_file_system {
                pieces.push(Piece { shape: " ?".to_owned(), address: None });
            } else if let Some(unit) = is_unit {
                push_word(&word[unit.len()..], "", &mut pieces);
            } else {
                push_word(word, separator, &mut pieces);
            }
        }
    }
    pieces
}

fn push_word<'a>(word: &'a str, separator: &str, pieces: &mut Vec<Piece<'a>>) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut separator = separator.to_owned();
    let mut push = |shape: &str, address: Option<&'a str>| {
        let shape = format!("{}{shape}", std::mem::take(&mut separator));
        pieces.push(Piece { shape, address });
    };
    let mut rest = word;
    let mut relative = false;
    while let Some(first) = rest.chars().next() {
        let run = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        let taken = if first == '/' && !relative {
            // A path without its directories.
            let end = rest.find([':', ',', ';', ')', '+']).unwrap_or(rest.len());
            rest[..end].rfind('/').unwrap() + 1
        } else if let Some(address) = address(run) {
            push("N", Some(address));
            run.len()
        } else if first == '<' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            1
        } else if first.is_ascii_digit() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',');
            let number = rest[..digits.unwrap_or(rest.len())].trim_end_matches(['.', ',']).len();
            let unit = usize::from(rest[number..].starts_with(['K', 'M', 'G', 'T', '%']));
            push("N", None);
            // Hexadecimal numbers.
            (number + unit).max(run.len())
        } else {
            let length = if run.is_empty() { first.len_utf8() } else { run.len() };
            push(&rest[..length], None);
            length
        };
        relative = rest[..taken].ends_with(is_name);
        rest = &rest[taken..];
    }
}

/// The address that a word is, without `0x`.
fn address(word: &str) -> Option<&str> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    (digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

/// Compares an output with what a file shows of it. If both have the same shape, returns the
/// addresses of the file with those of the output; otherwise `None`.
fn find(shown: &str, output: &str) -> Option<Vec<(String, String)>> {
    let output = pieces(output);
    let parts: Vec<Vec<Piece<'_>>> = parts(shown).into_iter().map(pieces).collect();
    let mut addresses = Vec::new();
    let mut from = 0;
    for (number, part) in parts.iter().enumerate() {
        let is_here = |start: usize| {
            let there = output.get(start..start + part.len());
            there.is_some_and(|there| there.iter().zip(part).all(|(a, b)| a.shape == b.shape))
        };
        let last = output.len().checked_sub(part.len()).filter(|last| *last >= from)?;
        let start = match (number, number + 1 == parts.len()) {
            (0, true) if last > 0 => None,
            (0, _) => Some(0).filter(|start| is_here(*start)),
            (_, true) => Some(last).filter(|start| is_here(*start)),
            _ => (from..=last).find(|start| is_here(*start)),
        }?;
        from = start + part.len();
        for (shown, now) in part.iter().zip(&output[start..]) {
            let pair = shown.address.zip(now.address);
            addresses.extend(pair.map(|(shown, now)| (shown.to_owned(), now.to_owned())));
        }
    }
    Some(addresses)
}

/// Divides what a file shows of an output at the lines `…`.
fn parts(shown: &str) -> Vec<&str> {
    let (mut parts, mut start, mut end) = (Vec::new(), 0, 0);
    for line in shown.split_inclusive('\n') {
        if line.trim() == "…" {
            parts.push(&shown[start..end]);
            start = end + line.len();
        }
        end += line.len();
    }
    parts.push(&shown[start..]);
    parts
}

/// The first place from which nothing fits.
fn difference(shown: &str, output: &str) -> String {
    let shape =
        |text: &str| -> Vec<String> { pieces(text).into_iter().map(|piece| piece.shape).collect() };
    let output = shape(output);
    for part in parts(shown) {
        let part = shape(part);
        let fits =
            |start: usize| output[start..].iter().zip(&part).take_while(|(a, b)| a == b).count();
        let Some(start) = (0..output.len()).max_by_key(|start| (fits(*start), usize::MAX - start))
        else {
            return "it prints nothing".to_owned();
        };
        let fit = fits(start);
        if fit < part.len() {
            let near = |all: &[String], at: usize| {
                all[at.saturating_sub(6)..(at + 6).min(all.len())].concat()
            };
            return format!(
                "shown: …{}…\nnow:   …{}…",
                near(&part, fit).replace('\n', "⏎"),
                near(&output, start + fit).replace('\n', "⏎")
            );
        }
    }
    "all that is shown is there, but more stands before, between or after it".to_owned()
}

/// The command with addresses of this run in the place of those that earlier outputs show.
fn with_addresses(command: &str, addresses: &HashMap<String, String>) -> String {
    let mut command = command.to_owned();
    let words: Vec<String> = command
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(address)
        .map(str::to_owned)
        .collect();
    for word in words {
        if let Some(now) = addresses.get(&word) {
            command = command.replace(&word, now);
        }
    }
    command
}
