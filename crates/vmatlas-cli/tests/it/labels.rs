//! Tests that the command shows labels. Tests of vmatlas-linux check that labels are right.

use crate::vmatlas::vmatlas;
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// A Python program with a thread that sleeps and a block of 8 MiB.
struct Program {
    child: Child,
    block: u64,
}

const PYTHON: &str = "
import ctypes, threading, time
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
block = libc.malloc(ctypes.c_size_t(8 << 20))
while len(threading.enumerate()) < 2: time.sleep(0.01)
print(hex(block), flush=True)
time.sleep(1000)
";

impl Program {
    fn start() -> Program {
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", PYTHON])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let block = u64::from_str_radix(line.trim().trim_start_matches("0x"), 16).unwrap();
        Program { child, block }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The mapping that holds an address.
fn mapping(document: &Value, address: u64) -> &Value {
    let number = |value: &Value| {
        u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    };
    let holds = |row: &&Value| (number(&row["start"])..number(&row["end"])).contains(&address);
    document["mappings"].as_array().unwrap().iter().find(holds).unwrap()
}

#[test]
fn labels_have_reason_and_confidence() {
    let program = Program::start();
    let shown = vmatlas(&[&program.pid(), "--json", "--deep", "--sizes"]).json();
    let row = mapping(&shown, program.block);
    let label = &row["label"];
    assert_eq!(label["group"], "large malloc block", "{row}");
    assert_eq!(label["confidence"], "certain", "{row}");
    assert!(!label["because"].as_str().unwrap().is_empty(), "{row}");
    // `at` and the totals report the same label.
    let at = vmatlas(&["at", &program.pid(), &format!("{:x}", program.block), "--deep", "--json"]);
    assert_eq!(at.json()["addresses"][0]["label"]["text"], label["text"]);
    let totals = shown["totals"].as_array().unwrap();
    let anonymous = totals.iter().find(|total| total["kind"] == "anonymous").unwrap();
    let labels = anonymous["labels"].as_array().unwrap();
    let labelled: u64 = labels.iter().map(|total| total["size"].as_u64().unwrap()).sum();
    let (all, unexplained) = (&anonymous["size"], &anonymous["unexplained"]);
    assert_eq!(labelled + unexplained.as_u64().unwrap(), all.as_u64().unwrap());
    let files = totals.iter().find(|total| total["kind"] == "file").unwrap();
    assert!(files["images"].as_u64().unwrap() >= 3, "python3, libc and ld.so at least: {files}");
}

#[test]
fn what_memory_is_for_can_be_asked_for() {
    let program = Program::start();
    let pid = program.pid();
    let stacks = vmatlas(&[
        &pid,
        "--where",
        "label ~ '^stack of thread'",
        "--columns",
        "perms,label",
        "--no-header",
    ]);
    let stacks = stacks.text();
    let lines: Vec<&str> = stacks.lines().collect();
    assert_eq!(lines.len(), 2, "of the first thread and of the other: {stacks}");
    assert!(lines.iter().all(|line| line.starts_with("rw-p")), "{stacks}");
    let counts = vmatlas(&[&pid, "--where", "label = '' and kind = anonymous", "--json"]).json();
    for row in counts["mappings"].as_array().unwrap() {
        assert!(row.get("label").is_none(), "{row}");
    }
    let refused = vmatlas(&["diff", &pid, &pid, "--where", "label = x"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.contains("not labels"), "{}", refused.stderr);
}

#[test]
fn without_deep_no_memory_is_read() {
    let program = Program::start();
    let trace = tempfile::NamedTempFile::new().unwrap();
    let run = |deep: &[&str]| {
        let status = Command::new("strace")
            .args(["-f", "-e", "trace=process_vm_readv,openat,open", "-o"])
            .arg(trace.path())
            .arg(env!("CARGO_BIN_EXE_vmatlas"))
            .args(["show", &program.pid(), "--json"])
            .args(deep)
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let calls = std::fs::read_to_string(trace.path()).unwrap();
        calls.lines().filter(|line| line.contains("readv") || line.contains("\"mem\"")).count()
    };
    assert_eq!(run(&[]), 0);
    assert!(run(&["--deep"]) > 0);
}
