//! Tests audits: planted programs, honest ones, policies, formats.

mod formats;
mod honest;
mod planted;
mod recordings;

use crate::live::Sleeper;
use crate::schema::Schema;
use crate::vmatlas::{testdata, vmatlas};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The program of `testdata/programs/planted.c`.
fn program() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("planted");
        let new = path.with_extension(format!("new-{}", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-pthread", "-o"]).arg(&new);
        compiler.arg(testdata().join("programs/planted.c")).arg("-ldl");
        assert!(compiler.status().expect("needs a C compiler").success());
        std::fs::rename(new, &path).unwrap();
        path
    })
}

/// Runs a mode of the program until it waits. `None` if this machine lacks what the mode needs, with
/// its exit status.
fn start(program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Result<(Sleeper, u32), i32> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut sleeper = Sleeper(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(sleeper.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    match line.trim().parse() {
        Ok(child) => Ok((sleeper, child)),
        Err(_) => Err(sleeper.0.wait().unwrap().code().unwrap_or(-1)),
    }
}

/// The findings about targets.
#[track_caller]
fn findings(args: &[&str]) -> Vec<Value> {
    let run = vmatlas(&[&["audit", "--json"], args].concat());
    assert!(run.status < 2, "{}{}", run.text(), run.stderr);
    let document = run.json();
    Schema::of("audit").check(&document);
    let serious = ["high", "critical"];
    let findings = document["findings"].as_array().unwrap().clone();
    let is_serious = |found: &Value| serious.contains(&found["severity"].as_str().unwrap());
    assert_eq!(run.status, i32::from(findings.iter().any(is_serious)), "{document}");
    findings
}

/// The findings of a rule.
fn of_rule<'f>(findings: &'f [Value], rule: &str) -> Vec<&'f Value> {
    findings.iter().filter(|found| found["rule"] == rule).collect()
}

fn is_at_least_medium(found: &Value) -> bool {
    ["medium", "high", "critical"].contains(&found["severity"].as_str().unwrap())
}
