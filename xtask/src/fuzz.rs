//! Fuzzing, on stable Rust: libFuzzer and the compiler's own coverage instrumentation.

use crate::{cargo, root, run};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The targets of fuzz/, and the longest input of each, in bytes.
const TARGETS: [(&str, u32); 14] = [
    ("maps", 8192),
    ("smaps", 8192),
    ("text", 8192),
    ("filter", 512),
    ("strace", 8192),
    ("scenario", 2048),
    ("jit", 2048),
    ("pclntab", 2048),
    ("elf", 4096),
    ("unwind", 2048),
    ("core", 8192),
    ("recording", 4096),
    ("crash", 4096),
    ("explain", 4096),
];

/// The flags that `cargo fuzz` passes, without the sanitizer, which stable Rust lacks.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

pub(crate) fn run_targets(args: &[String]) -> Result<(), String> {
    let mut seconds = 10;
    let mut only = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => {
                let number = args.next().and_then(|seconds| seconds.parse().ok());
                seconds = number.ok_or("--seconds takes a number")?;
            }
            target if TARGETS.iter().any(|(name, _)| *name == target) => only = Some(target),
            other => {
                let known = TARGETS.map(|(name, _)| name).join(", ");
                return Err(format!("no such fuzz target: {other}; there are {known}"));
            }
        }
    }
    let dir = root().join("fuzz");
    // With an explicit target, build scripts are not instrumented.
    let triple = host()?;
    let build = ["build", "--quiet", "--release", "--target", triple.as_str()];
    run(cargo().current_dir(&dir).env("RUSTFLAGS", FLAGS).args(build))?;
    for (name, max_len) in TARGETS.iter().filter(|(name, _)| only.is_none_or(|only| only == *name))
    {
        let program = dir.join("target").join(&triple).join("release").join(name);
        fuzz(&program, name, *max_len, seconds)?;
    }
    Ok(())
}

/// Fuzzes from a copy of the kept corpus; libFuzzer adds to the copy.
fn fuzz(program: &Path, name: &str, max_len: u32, seconds: u32) -> Result<(), String> {
    let kept = root().join("testdata/fuzz").join(name);
    let corpus = root().join("fuzz/target/corpus").join(name);
    let artifacts = root().join("fuzz/artifacts").join(name);
    let io = |error: std::io::Error| format!("{}: {error}", corpus.display());
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir).map_err(io)?;
    }
    for entry in fs::read_dir(&kept).map_err(|error| format!("{}: {error}", kept.display()))? {
        let path = entry.map_err(io)?.path();
        fs::copy(&path, corpus.join(path.file_name().unwrap_or_default())).map_err(io)?;
    }
    let mut command = Command::new(program);
    command.args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={max_len}"),
        "-rss_limit_mb=1024".to_owned(),
        "-malloc_limit_mb=256".to_owned(),
        "-timeout=10".to_owned(),
        "-verbosity=0".to_owned(),
        "-print_final_stats=1".to_owned(),
        format!("-artifact_prefix={}/", artifacts.display()),
    ]);
    run(command.arg(&corpus))
}

fn host() -> Result<String, String> {
    let version =
        Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}
