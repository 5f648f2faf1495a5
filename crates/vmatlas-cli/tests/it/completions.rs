//! Completions, in the shells themselves.

mod terminal_shell;

use crate::live::Sleeper;
use crate::vmatlas::{PATIENCE, command, testdata};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use terminal_shell::TerminalShell;

/// Whether a program is there, as it must be under CI.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).exists());
    if !found {
        assert!(std::env::var_os("CI").is_none(), "CI must have {program}");
        eprintln!("skipped: there is no {program}");
    }
    found
}

/// A directory with a log, a program, and processes of its own.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(testdata().join("strace/child.log"), dir.path().join("child.log")).unwrap();
    std::fs::write(dir.path().join("run-me"), "#!/bin/sh\n").unwrap();
    assert!(
        Command::new("chmod").arg("+x").arg(dir.path().join("run-me")).status().unwrap().success()
    );
    let harmful = "qa\u{1b}[31m%F{r}`";
    for (pid, comm, flags) in [
        ("4321", "worker", "4194304"),
        ("77", "kworker/0:1", "2129984"),
        ("91", harmful, "4194304"),
        ("92", harmful, "4194304"),
    ] {
        let process = dir.path().join("proc").join(pid);
        std::fs::create_dir_all(&process).unwrap();
        std::fs::write(process.join("comm"), format!("{comm}\n")).unwrap();
        let stat = format!("{pid} ({comm}) S 1 1 1 0 -1 {flags} 0 0\n");
        std::fs::write(process.join("stat"), stat).unwrap();
        std::fs::write(process.join("cgroup"), "0::/system.slice/web.service\n").unwrap();
    }
    dir
}

/// The lines that a script of a shell gets for words.
fn answer(dir: &Path, shell: &str, words: &[&str]) -> String {
    let args = [&["completions", shell, "--", "vmatlas"], words].concat();
    let output = command(&args).current_dir(dir).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{words:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Lines before the key is pressed, and after it; bash and zsh insert the same.
const LINES: [(&str, &str); 29] = [
    ("vmatlas --proc proc compl", "vmatlas --proc proc completions "),
    ("vmatlas completions elv", "vmatlas completions elvish "),
    ("vmatlas man bla", "vmatlas man blame "),
    ("vmatlas show --no-h", "vmatlas show --no-header "),
    ("vmatlas --by=ki", "vmatlas --by=kind "),
    ("vmatlas show 'ü b' --by=ki", "vmatlas show 'ü b' --by=kind "),
    ("vmatlas show child.log --by per", "vmatlas show child.log --by perms "),
    ("vmatlas show --sort bec", "vmatlas show --sort because "),
    ("vmatlas show --columns inod", "vmatlas show --columns inode "),
    ("vmatlas show --columns start,inod", "vmatlas show --columns start,inode "),
    ("vmatlas show --columns inode,inod", "vmatlas show --columns inode,inod"),
    ("vmatlas show --where 'inod", "vmatlas show --where 'inode "),
    ("vmatlas diff a b --where 'not (perms h", "vmatlas diff a b --where 'not (perms has "),
    ("vmatlas show --where 'inode > 4 o", "vmatlas show --where 'inode > 4 or "),
    ("vmatlas show --where \"kind = huge", "vmatlas show --where \"kind = huge-anonymous"),
    ("vmatlas show child.log@e", "vmatlas show child.log@end "),
    ("vmatlas show ~/child.log@e", "vmatlas show ~/child.log@end "),
    ("vmatlas diff child.log@0.003", "vmatlas diff child.log@0.0030 "),
    ("vmatlas at --proc proc work", "vmatlas at --proc proc worker "),
    ("vmatlas at --proc proc @newest:w", "vmatlas at --proc proc @newest:worker "),
    ("vmatlas all --proc proc wor", "vmatlas all --proc proc worker "),
    ("vmatlas all --proc proc 4321 wor", "vmatlas all --proc proc 4321 worker "),
    ("vmatlas all --proc proc @unit:w", "vmatlas all --proc proc @unit:web.service "),
    ("vmatlas shared --proc proc @cg", "vmatlas shared --proc proc @cgroup:"),
    ("vmatlas all --by cgr", "vmatlas all --by cgroup "),
    ("vmatlas --proc proc -p 4", "vmatlas --proc proc -p 4321 "),
    ("vmatlas explain --proc ./pro", "vmatlas explain --proc ./proc/"),
    ("vmatlas verify chil", "vmatlas verify child.log "),
    ("vmatlas record -q -- ./run", "vmatlas record -q -- ./run-me "),
];

fn completes(shell: &mut TerminalShell) {
    for (typed, completed) in LINES {
        shell.completes(typed, completed);
    }
    shell.lists("vmatlas show --proc proc ", &["4321", "worker", "self", "child.log"]);
    shell.lists("vmatlas show child.log@", &["0.0003", "end", "#59"]);
}

#[test]
fn bash_completes() {
    if has("bash") {
        let dir = directory();
        completes(&mut TerminalShell::bash(dir.path(), None));
    }
}

/// The script is loaded by bash-completion from the directory of the user.
#[test]
fn bash_completes_with_the_package_bash_completion() {
    let package = Path::new("/usr/share/bash-completion/bash_completion");
    if !package.exists() {
        assert!(std::env::var_os("CI").is_none(), "CI must have bash-completion");
        eprintln!("skipped: there is no bash-completion");
        return;
    }
    let dir = directory();
    let mut shell = TerminalShell::bash(dir.path(), Some(package));
    completes(&mut shell);
    // The completions of the program that is recorded.
    shell.completes("vmatlas record -- vmatlas --by=ki", "vmatlas record -- vmatlas --by=kind ");
}

#[test]
fn zsh_completes() {
    if has("zsh") {
        let dir = directory();
        let mut shell = TerminalShell::zsh(dir.path());
        completes(&mut shell);
        shell
            .completes("vmatlas record -- vmatlas --by=ki", "vmatlas record -- vmatlas --by=kind ");
    }
}

/// fish and the file of completions that a user installs.
fn fish(dir: &Path, line: &str, escape: &str) -> String {
    let completions = dir.join(".config/fish/completions");
    std::fs::create_dir_all(&completions).unwrap();
    let script = command(&["completions", "fish"]).output().unwrap().stdout;
    std::fs::write(completions.join("vmatlas.fish"), script).unwrap();
    let mut fish = Command::new("fish");
    fish.args(["-c", &format!("complete {escape} -C \"$LINE\"")]).env("LINE", line);
    fish.env("HOME", dir)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("XDG_CONFIG_HOME")
        .env("XDG_DATA_HOME", dir);
    fish.env("PATH", terminal_shell::path()).current_dir(dir).stdin(Stdio::null());
    let output = fish.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn fish_completes() {
    if !has("fish") {
        return;
    }
    let dir = directory();
    for (typed, completed) in LINES {
        // fish shows the last word without quotes, and does not add a blank.
        let word = completed.trim_end().rsplit_once(['\'', '"', ' ']).unwrap().1;
        let word = match completed.split_once(['\'', '"']) {
            Some((_, quoted)) if !quoted.contains('\'') => quoted.trim_end(),
            _ => word,
        };
        let candidates = fish(dir.path(), typed, "");
        match typed.len() == completed.len() {
            true => assert_eq!(candidates, "", "{typed}"),
            false => assert!(
                !candidates.is_empty() && candidates.lines().all(|line| line.starts_with(word)),
                "{typed}: {candidates}"
            ),
        }
    }
    let all = fish(dir.path(), "vmatlas show --proc proc ", "");
    for line in ["4321\tworker", "worker\tprocess 4321", "self\tvmatlas itself", "child.log"] {
        assert!(all.lines().any(|found| found == line), "{line}: {all}");
    }
    assert!(
        !all.lines().any(|line| line.starts_with("77")),
        "a kernel thread has no memory: {all}"
    );
    let recorded = fish(dir.path(), "vmatlas record -- vmatlas --by=ki", "");
    assert_eq!(recorded.trim_end(), "--by=kind");
}

/// The name of two of the processes, as it is shown.
const MEANING: &str = "qa\\x1b[31m%F{r}`";

/// A process whose name is chosen to harm.
fn named(name: &str) -> Sleeper {
    Sleeper::python("open('/proc/self/comm', 'w', newline='').write(sys.argv[1])", name)
}

/// Names of at most 15 bytes; the first three letters of each are its own.
const HARMFUL: [&str; 7] = [
    "qa1$(>made)",
    "qa2'`>made`\"",
    "qa3';>made;'",
    "qa4 a:b\\c\t",
    "qa5!!%F{red}*~",
    "qa6\n=x\nfiles",
    "qa7\u{1b}[31m",
];

/// The names that can be typed; the others command a terminal, or have a line feed or a tab.
const TYPED: [&str; 4] = ["qa1$(>made)", "qa2'`>made`\"", "qa3';>made;'", "qa5!!%F{red}*~"];

/// The name of a file.
const FILE: &str = "qa8 $(>made)'";

/// Names of processes reach the program as they are, whatever is typed before, and nothing in them
/// is run.
#[test]
fn names_that_a_process_chooses() {
    let dir = directory();
    std::fs::write(dir.path().join(FILE), "").unwrap();
    let processes = HARMFUL.map(named);
    let pid = processes[6].0.id().to_string();
    let mut shells = Vec::new();
    if has("bash") {
        shells.push(TerminalShell::bash(dir.path(), None));
    }
    if has("zsh") {
        shells.push(TerminalShell::zsh(dir.path()));
    }
    for shell in &mut shells {
        for name in TYPED {
            for quote in ["", "'", "\""] {
                shell.runs(&format!("vmatlas show {quote}{}", &name[..3]), &["show", name]);
            }
        }
        shell.runs("vmatlas show @newest:qa1", &["show", &format!("@newest:{}", TYPED[0])]);
        shell.runs("vmatlas show qa8", &["show", FILE]);
        // Not offered by name.
        for name in ["qa4", "qa6", "qa7"] {
            let typed = format!("vmatlas show {name}");
            shell.completes(&typed, &typed);
        }
        let listed = shell.lists("vmatlas show qa", &TYPED);
        assert!(!listed.contains("31m") && !listed.contains("=x"), "{listed:?}");
        // Their numbers are, with the names as text.
        let listed = shell.lists("vmatlas show --proc proc 9", &["91", "92", MEANING]);
        assert!(!listed.contains("[31m") || listed.contains("\\x1b[31m"), "{listed:?}");
    }
    if has("fish") {
        let candidates = fish(dir.path(), "vmatlas show qa", "");
        let names: Vec<&str> =
            candidates.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(names, [&TYPED[..], &[FILE]].concat());
        for name in TYPED {
            let escaped = fish(dir.path(), &format!("vmatlas show {}", &name[..3]), "--escape");
            let word = escaped.trim_end().split('\t').next().unwrap();
            let mut echo = Command::new("fish");
            let echo = echo.args(["-c", &format!("printf %s {word}")]).current_dir(dir.path());
            assert_eq!(String::from_utf8_lossy(&echo.output().unwrap().stdout), name);
        }
        let numbers = fish(dir.path(), &format!("vmatlas show {pid}"), "");
        assert!(numbers.contains(&format!("{pid}\tqa7\\x1b[31m")), "{numbers}");
    }
    assert!(!dir.path().join("made").exists(), "a name was run");
}

/// What does not answer, is not there or may not be read gives no candidates, no error and no end
/// of the shell.
#[test]
fn what_cannot_be_read() {
    let dir = directory();
    let fifo = |path: &str| {
        assert!(Command::new("mkfifo").arg(dir.path().join(path)).status().unwrap().success());
    };
    fifo("fifo");
    std::fs::create_dir_all(dir.path().join("silent/9")).unwrap();
    fifo("silent/9/comm");
    let begun = Instant::now();
    let answer = |shell, words: &[&str]| answer(dir.path(), shell, words);
    assert_eq!(answer("zsh", &["show", "fifo@"]), "files\n");
    assert_eq!(answer("fish", &["show", "fifo", "--pid", "x"]), "");
    assert_eq!(answer("zsh", &["show", "--proc", "fifo", "x"]), "files\n");
    assert_eq!(answer("zsh", &["show", "--proc", "nothing", "x"]), "files\n");
    assert_eq!(answer("zsh", &["show", "--proc", "silent", ""]), "");
    assert_eq!(
        answer("zsh", &["show", "fifo", "--at", "e"]),
        "+end\tend\tthe last moment before it exits\n"
    );
    assert_eq!(answer("zsh", &["nonsense", "--nonsense", "x", "--x"]), "");
    assert_eq!(answer("elvish", &["show", ""]), "");
    assert_eq!(answer("zsh", &["access", "1", "--as", "x"]), "users\n");
    assert_eq!(answer("bash", &["show"]), "");
    assert!(begun.elapsed() < PATIENCE);
}

#[test]
fn of_many_processes_the_newest_are_offered() {
    let dir = tempfile::tempdir().unwrap();
    for pid in 1..=1500 {
        let process = dir.path().join(format!("proc/{pid}"));
        std::fs::create_dir_all(&process).unwrap();
        std::fs::write(process.join("comm"), "worker\n").unwrap();
    }
    let all = answer(dir.path(), "zsh", &["access", "--proc", "proc", ""]);
    assert!(all.starts_with("+worker\tworker\t1000 processes\n+501\t501\tworker\n"), "{all}");
    assert!(all.ends_with("+1500\t1500\tworker\n+self\tself\tvmatlas itself\n"), "{all}");
    let some = answer(dir.path(), "fish", &["access", "--proc", "proc", "149"]);
    assert_eq!(some.lines().count(), 11, "{some}");
}

#[cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]
#[test]
fn moments_and_processes_of_a_recording() {
    let dir = directory();
    let record = ["record", "-q", "-o", "a.vmrec", "--", "sh", "-c", "/bin/true; exit 0"];
    assert!(command(&record).current_dir(dir.path()).status().unwrap().success());
    let values = |words: &[&str]| -> Vec<String> {
        let text = answer(dir.path(), "zsh", words);
        let value = |line: &str| line[1..].split('\t').next().unwrap().to_owned();
        text.lines().filter(|line| line.starts_with('+')).map(value).collect()
    };
    let mut moments = values(&["show", "a.vmrec@"]);
    assert!(moments.contains(&"a.vmrec@end".to_owned()) && moments.len() > 8, "{moments:?}");
    let processes = values(&["diff", "a.vmrec:"]);
    assert_eq!(processes.len(), 2, "{processes:?}");
    let pid = |process: &String| process.strip_prefix("a.vmrec:").unwrap().to_owned();
    let pids: Vec<String> = processes.iter().map(pid).collect();
    assert_eq!(values(&["show", "a.vmrec", "--pid", ""]), pids);
    assert_eq!(values(&["show", "a.vmrec", "--at", ""]).len(), moments.len());
    moments.extend(values(&["show", &format!("{}@", processes[1])]));
    // Each is a moment of the recording.
    for target in moments.iter().chain(&processes) {
        let shown = command(&["show", "-q", target]).current_dir(dir.path()).output().unwrap();
        assert_eq!(shown.status.code(), Some(0), "{target}");
    }
}
