//! Real programs: each row at exit equals the kernel's, and each byte has an origin.

use super::end::Share;
use super::makers::unlike;
use super::recorded::{Recorded, record};
use crate::child::{once, program_as};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Minimum percentage of the rows at exit that follow from the events alone. The events do not
/// determine whether untouched neighbours merged, and how far stacks grew.
const SHARE: f64 = 99.0;

/// Checks all processes of a recording.
fn check(what: &str, recorded: &mut Recorded) {
    let truth = recorded.report.truth.clone();
    let mut share = Share::default();
    let mut unexplained = Vec::new();
    let ends = recorded.ends();
    for end in &ends {
        end.check_origins();
        share.add(end.share());
        unexplained.extend(end.unexplained());
    }
    println!(
        "{what}: {} processes, {} events of {:.1} bytes; at exit {} of {} rows as the kernel's \
         before the last check, {} ({:.2} %) without any check; not implied by calls: {unexplained:?}",
        ends.len(),
        truth.events,
        recorded.report.size as f64 / truth.events as f64,
        truth.rows_at_exit - truth.rows_wrong_at_exit,
        truth.rows_at_exit,
        share.same,
        share.percent(),
    );
    assert!(!ends.is_empty());
    assert_eq!(truth.lost, 0);
    let implied = Share { rows: share.rows, same: share.rows - unexplained.len() };
    assert!(implied.percent() >= SHARE, "{unexplained:?}");
}

/// Records a program that copies its maps when it ends, through a library, and compares.
fn with_its_own_maps(what: &str, mut command: Command) {
    let library = program_as("maps_at_exit", "maps_at_exit.so", &["-shared", "-fPIC"]);
    let copies = tempfile::tempdir().unwrap();
    command.env("LD_PRELOAD", library).env("MAPS_DIR", copies.path());
    let mut recorded = record(command).succeeded();
    check(what, &mut recorded);
    let mut compared = 0;
    for end in recorded.ends() {
        let copy = copies.path().join(format!("{}.maps", end.process.pid));
        let Ok(copy) = fs::read_to_string(copy) else { continue };
        let text = String::from_utf8_lossy(&end.space.memory.render()).into_owned();
        assert!(text == copy, "{what}: {}", unlike(&text, &copy));
        compared += 1;
    }
    assert!(compared > 0, "no process of {what} has copied its maps");
}

#[test]
fn bash() {
    let mut command = Command::new("bash");
    command.args(["-c", "a=$(echo {1..2000}); for i in 1 2 3; do (echo $i; /bin/true); done; cat /dev/null | wc -c; b=${a//1/22}"]);
    with_its_own_maps("bash", command);
}

#[test]
fn python() {
    let mut command = Command::new("python3");
    command.arg("-c").arg(
        "import json, threading, decimal, sqlite3, ctypes, re, subprocess\n\
         def work():\n    x = [bytes(200000) for _ in range(20)]; y = {i: str(i) for i in range(20000)}\n\
         threads = [threading.Thread(target=work) for _ in range(4)]\n\
         [t.start() for t in threads]; [t.join() for t in threads]\n\
         subprocess.run(['true'])\n",
    );
    with_its_own_maps("python3", command);
}

#[test]
fn gcc() {
    let source = format!("{}/../../testdata/programs/makers.c", env!("CARGO_MANIFEST_DIR"));
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("gcc");
    command.args(["-O2", "-o"]).arg(directory.path().join("program")).arg(source);
    with_its_own_maps("gcc", command);
}

#[test]
fn java() {
    let class = once("java/Program.class", |class| {
        let directory = tempfile::tempdir().unwrap();
        let source = directory.path().join("Program.java");
        fs::write(&source, JAVA).unwrap();
        let status = Command::new("javac").arg("-d").arg(directory.path()).arg(&source).status();
        assert!(status.expect("needs a Java compiler").success());
        fs::create_dir_all(class.parent().unwrap()).unwrap();
        fs::copy(directory.path().join("Program.class"), class).unwrap();
    });
    let mut command = Command::new("java");
    command.args(["-Xmx64m", "-cp"]).arg(class.parent().unwrap()).arg("Program");
    let mut recorded = record(command).succeeded();
    assert_eq!(recorded.output, "done\n");
    check("java", &mut recorded);
}

const JAVA: &str = "
import java.util.*;
public class Program {
    public static void main(String[] words) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            Thread thread = new Thread(() -> {
                Map<Integer, byte[]> map = new HashMap<>();
                for (int i = 0; i < 20000; i++) map.put(i % 500, new byte[i % 3000]);
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) thread.join();
        System.out.println(\"done\");
    }
}
";

#[test]
fn node() {
    let mut command = Command::new("node");
    command.arg("-e").arg(
        "const a = []; for (let i = 0; i < 20000; i++) a.push({i, s: 'x'.repeat(i % 100)});\n\
         require('zlib').deflateSync(Buffer.alloc(1 << 20)); console.log('done')",
    );
    let mut recorded = record(command).succeeded();
    assert_eq!(recorded.output, "done\n");
    check("node", &mut recorded);
}

#[test]
fn go() {
    let program = once("go-program", |path| {
        let source = path.with_extension("go");
        fs::write(&source, GO).unwrap();
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(path).arg(&source).env("CGO_ENABLED", "0");
        go.env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"));
        go.env("GO111MODULE", "off").env("GOFLAGS", "-p=1");
        assert!(go.status().expect("needs Go").success());
        fs::remove_file(source).unwrap();
    });
    let mut recorded = record(Command::new(program)).succeeded();
    assert_eq!(recorded.output, "done\n");
    check("go", &mut recorded);
}

const GO: &str = "
package main

import (
\t\"fmt\"
\t\"sync\"
)

func main() {
\tvar all sync.WaitGroup
\tfor t := 0; t < 8; t++ {
\t\tall.Add(1)
\t\tgo func() {
\t\t\tdefer all.Done()
\t\t\tkept := make(map[int][]byte)
\t\t\tfor i := 0; i < 5000; i++ {
\t\t\t\tkept[i%100] = make([]byte, i*7)
\t\t\t}
\t\t}()
\t}
\tall.Wait()
\tfmt.Println(\"done\")
}
";
