//! Ordinary programs. Target: 1.1 times the bare program, five times as fast as `strace -k`.

use super::{Bench, Workload, found, recorder, source, strace, words};
use crate::measure::{Contender, race};
use crate::report::{Section, Target};
use std::fmt::Write as _;
use std::path::Path;

pub(super) fn run(bench: &Bench) -> Section {
    let mut section = Section::new("ordinary programs, recorded");
    for workload in workloads(bench) {
        match workload {
            Ok(workload) => measure(bench, &workload, &mut section),
            Err((name, why)) => section.count(name, &why, "", None),
        }
    }
    section.note(
        "`strace` is `strace -f -k -e trace=%memory -o /dev/null`. Each program must print under a \
         recorder what it prints alone, and each recording must be whole, with a stack for each \
         call.",
    );
    section
}

fn measure(bench: &Bench, workload: &Workload, section: &mut Section) {
    let file = bench.dir.join("program.vmrec");
    let under = |tool: &str| format!("{}, {tool}", workload.name);
    let series = race(
        bench.scale.rounds(5),
        vec![
            Contender::timed(&under("bare"), || workload.time(&[], &bench.dir)),
            Contender::timed(&under("vmatlas record"), || {
                let nanos = workload.time(&recorder(bench, &file), &bench.dir)?;
                let found = found(&file)?;
                if found.calls < 20 {
                    return Err(format!("wrong answer: {found:?}"));
                }
                Ok(nanos)
            }),
            Contender::timed(&under("strace"), || {
                workload.time(&strace(true, "/dev/null"), &bench.dir)
            }),
        ],
    );
    let [bare, ours, strace] = &series[..] else { unreachable!("three ran") };
    section.times(bare, bare, &[]);
    section.times(ours, bare, &[Target::AtMost(1.1, bare), Target::Faster(5.0, strace)]);
    section.times(strace, bare, &[]);
}

type Prepared = Result<Workload, (&'static str, String)>;

/// The workloads that run on this machine; only two in a quick run.
fn workloads(bench: &Bench) -> Vec<Prepared> {
    let dir = &bench.dir;
    let make = |name, command: Result<Vec<String>, String>| {
        command.and_then(|command| Workload::new(name, command, dir)).map_err(|why| (name, why))
    };
    let mut all = vec![make("gcc -O2", gcc(bench)), make("rust, 8 threads", threads(dir))];
    if !bench.scale.quick {
        all.push(make("python3", Ok(python(&[]))));
        all.push(make("python3 with numpy", Ok(python(&["numpy"]))));
        all.push(make("java, 8 tasks", java(dir)));
        all.push(make("rustc -O", Ok(rustc(dir, "compiled", &source("threads.rs")))));
    }
    all
}

fn python(arguments: &[&str]) -> Vec<String> {
    let script = source("imports.py").display().to_string();
    // Use the interpreter itself, not a script that chooses among several Pythons.
    let found = super::output(
        &words(&["python3", "-c", "import sys; print(sys.executable)"]),
        Path::new("/"),
    );
    let program = found.map_or("python3".to_owned(), |(path, _)| path.trim().to_owned());
    [&words(&[&program, &script])[..], &words(arguments)].concat()
}

/// A C file with many functions.
fn gcc(bench: &Bench) -> Result<Vec<String>, String> {
    let functions = if bench.scale.quick { 100 } else { 400 };
    let mut text = String::from("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n");
    for number in 0..functions {
        let _ = writeln!(
            text,
            "int f{number}(int n, const char *s) {{ int i, sum = {number}; for (i = 0; i < n; i++) \
             {{ if (s[i] == 'a' + {number} % 26) sum += atoi(s + i); else sum ^= (int)strlen(s) * i; \
             }} printf(\"%d\\n\", sum); return sum; }}"
        );
    }
    let path = bench.dir.join("generated.c");
    std::fs::write(&path, text).map_err(|error| error.to_string())?;
    Ok(words(&["gcc", "-O2", "-c", "-o", "generated.o", &path.display().to_string()]))
}

fn java(dir: &Path) -> Result<Vec<String>, String> {
    let source = source("Tasks.java").display().to_string();
    let dir = dir.display().to_string();
    super::output(&words(&["javac", "-d", &dir, &source]), Path::new("/"))?;
    Ok(words(&["java", "-cp", &dir, "Tasks"]))
}

fn rustc(dir: &Path, name: &str, source: &Path) -> Vec<String> {
    let [out, source] = [&*dir.join(name), source].map(|path| path.display().to_string());
    // Use the compiler itself, not the proxy that chooses among several.
    let found = super::output(&words(&["rustc", "--print=sysroot"]), Path::new("/"));
    let program =
        found.map_or("rustc".to_owned(), |(root, _)| format!("{}/bin/rustc", root.trim()));
    words(&[&program, "--edition=2024", "-O", "-o", &out, &source])
}

fn threads(dir: &Path) -> Result<Vec<String>, String> {
    super::output(&rustc(dir, "threads", &source("threads.rs")), dir)?;
    Ok(vec![dir.join("threads").display().to_string()])
}
