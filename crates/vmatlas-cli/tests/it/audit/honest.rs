//! Honest programs: clean, or explained and less severe.

use super::{findings, is_at_least_medium, of_rule, program, start};
use crate::live::Sleeper;
use crate::vmatlas::{is_root, vmatlas, vmatlas_with_input};
use std::process::{Command, Stdio};

#[test]
fn usual_programs_have_no_finding_of_medium() {
    let sleep = Sleeper::start();
    let python = Sleeper::python("import ctypes, json, sqlite3, threading", "");
    let mut bash = Command::new("bash");
    let bash = bash.args(["-c", "read; exit"]).stdin(Stdio::piped());
    let bash = Sleeper(bash.spawn().unwrap());
    while std::fs::read(format!("/proc/{}/comm", bash.pid())).unwrap() != b"bash\n" {
        std::thread::yield_now();
    }
    let found = findings(&[&sleep.pid(), &python.pid(), &bash.pid()]);
    let found: Vec<_> = found.iter().filter(|found| is_at_least_medium(found)).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Starts a program of a runtime until it has printed a line; `None` if it is not installed.
fn runtime(program: &str, args: &[&str]) -> Option<Sleeper> {
    let mut command = Command::new(program);
    command.args(args).stdout(Stdio::piped()).stdin(Stdio::piped());
    let Ok(child) = command.spawn() else {
        eprintln!("skipped: needs {program}");
        return None;
    };
    let mut sleeper = Sleeper(child);
    let mut line = String::new();
    let out = sleeper.0.stdout.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    assert_eq!(line, "ready\n");
    Some(sleeper)
}

const LOOP: &str = "let s = 0; for (let i = 0; i < 1e7; i++) s += i % 7; \
    console.log('ready'); setInterval(() => {}, 1000)";

#[test]
fn jit_compilers_are_explained() {
    let Some(node) = runtime("node", &["-e", LOOP]) else { return };
    let rules = ["wx", "anon-x", "anon-x-island"];
    for (options, most) in [(&[][..], "low"), (&["--deep"], "info")] {
        let found = findings(&[options, &[&*node.pid()]].concat());
        for found in found.iter().filter(|found| rules.contains(&found["rule"].as_str().unwrap())) {
            assert!(["info", most].contains(&found["severity"].as_str().unwrap()), "{found}");
            assert!(found["explanation"].as_str().unwrap().contains("JavaScript"), "{found}");
        }
    }
}

#[test]
fn a_debugger_is_explained() {
    let sleeper = Sleeper::start();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-p", &sleeper.pid()]).stderr(Stdio::piped());
    let Ok(strace) = strace.spawn() else {
        eprintln!("skipped: needs strace");
        return;
    };
    let _strace = Sleeper(strace);
    let is_traced = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", sleeper.pid())).unwrap();
        !status.contains("TracerPid:\t0")
    };
    while !is_traced() {
        std::thread::yield_now();
    }
    let found = findings(&[&sleeper.pid()]);
    let found = of_rule(&found, "ptrace-window");
    assert_eq!(found[0]["severity"], "low", "{found:?}");
    assert!(found[0]["explanation"].as_str().unwrap().contains("strace"));
}

#[test]
fn a_sealed_copy_of_a_file_of_root_is_explained() {
    use std::os::unix::fs::MetadataExt as _;
    if !is_root() {
        return;
    }
    if std::fs::metadata(program()).unwrap().uid() != 0 {
        eprintln!("skipped: the program belongs to another user");
        return;
    }
    let (sleeper, _) = start(program(), &["memfd-exe-sealed"]).unwrap();
    let found = findings(&[&sleeper.pid()]);
    let found = of_rule(&found, "memfd-exe");
    assert_eq!(found[0]["severity"], "low", "{found:?}");
    assert!(found[0]["explanation"].as_str().unwrap().contains("sealed copy"));
}

/// The vdso, vsyscalls and uprobes are the kernel's; names that programs choose excuse nothing.
#[test]
fn only_names_of_the_kernel_excuse() {
    let rows = "\
        7f0000000000-7f0000001000 r-xp 00000000 00:00 0                  [uprobes]\n\
        7f0000100000-7f0000200000 r-xp 00000000 00:00 0                  [anon:v8]\n\
        7f0000200000-7f0000300000 rwxp 00000000 00:00 0                  [anon:[vdso]]\n\
        7f0000300000-7f0000400000 r-xs 00000000 00:05 7                  /memfd:doublemapper (deleted)\n\
        7ffe00000000-7ffe00002000 r-xp 00000000 00:00 0                  [vdso]\n\
        ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]\n";
    let run = vmatlas_with_input(&["audit", "-", "--json"], rows.as_bytes());
    assert_eq!(run.status, 1, "{}", run.stderr);
    let document = run.json();
    let found = document["findings"].as_array().unwrap();
    let starts = |rule: &str| -> Vec<&str> {
        let found = of_rule(found, rule).into_iter();
        found
            .inspect(|found| assert_eq!(found["severity"], "high", "{found}"))
            .map(|found| found["start"].as_str().unwrap())
            .collect()
    };
    assert_eq!(starts("anon-x"), ["0x7f0000100000"]);
    assert_eq!(starts("wx"), ["0x7f0000200000"]);
    assert_eq!(found.len(), 2, "{document}");
}

#[test]
fn all_processes_are_audited() {
    let _sleep = Sleeper::start();
    let run = vmatlas(&["audit", "--all", "--fail-on", "critical", "--json"]);
    assert!(run.status < 2, "{}", run.stderr);
    let document = run.json();
    crate::schema::Schema::of("audit").check(&document);
    assert!(document["processes"].as_u64().unwrap() > 0);
}

#[test]
fn a_hostile_process_has_a_bounded_number_of_findings() {
    let row = |at: u64| {
        let perms = if at == 2999 { "rwxs" } else { "rwxp" };
        let start = 0x7f00_0000_0000 + at * 0x2000;
        format!("{start:x}-{:x} {perms} 00000000 00:00 0\n", start + 0x1000)
    };
    let rows: String = (0..3000).map(row).collect();
    let document = vmatlas_with_input(&["audit", "-", "--json"], rows.as_bytes()).json();
    let found = document["findings"].as_array().unwrap();
    assert_eq!(of_rule(found, "wx-shared").len(), 1);
    let wx = of_rule(found, "wx");
    assert_eq!(wx.len(), 256);
    let left_out = "; 2743 findings of this rule are left out";
    assert!(wx.iter().any(|found| found["evidence"].as_str().unwrap().ends_with(left_out)));
}
