//! Fuzzing, on stable Rust: libFuzzer and the compiler's own coverage instrumentation.

use crate::{cargo, root, run, shown, target_dir};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// The targets of fuzz/, and the longest input that is made, in bytes. Kept inputs may be longer.
const TARGETS: [(&str, u32); 21] = [
    ("maps", 2048),
    ("smaps", 2048),
    ("text", 2048),
    ("filter", 256),
    ("proc", 1024),
    ("strace", 2048),
    ("scenario", 2048),
    ("jit", 2048),
    ("pclntab", 2048),
    ("elf", 4096),
    ("dwarf", 4096),
    ("unwind", 2048),
    ("stack", 512),
    ("perf", 2048),
    ("core", 8192),
    ("recording", 1024),
    ("machine", 1024),
    ("crash", 4096),
    ("explain", 4096),
    ("labels", 512),
    ("document", 2048),
];

/// The flags that `cargo fuzz` passes, without the sanitizer, which stable Rust lacks.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing";

/// How long each target runs in CI: with the kept inputs and two targets at a time, a minute.
pub(crate) const SECONDS_IN_CI: u64 = 4;

/// What to run.
struct Plan {
    only: Option<&'static str>,
    /// The time of each target.
    time: Duration,
    /// Targets that run at the same time.
    jobs: usize,
}

impl Plan {
    fn parse(args: &[String]) -> Result<Plan, String> {
        let mut plan = Plan { only: None, time: Duration::from_secs(10), jobs: cores() };
        let mut hours = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--seconds" => {
                    let number = args.next().and_then(|seconds| seconds.parse().ok());
                    plan.time = Duration::from_secs(number.ok_or("--seconds takes a number")?);
                }
                "--hours" => {
                    let number = args.next().and_then(|hours| hours.parse::<f64>().ok());
                    let number = number.filter(|hours| (0.0..10_000.0).contains(hours));
                    hours = Some(number.ok_or("--hours takes a number")?);
                }
                "-j" => {
                    let number = args.next().and_then(|jobs| jobs.parse().ok());
                    let number = number.filter(|jobs| (1..=TARGETS.len()).contains(jobs));
                    plan.jobs = number.ok_or("-j takes a number, at most that of the targets")?;
                }
                other => {
                    let known = TARGETS.iter().find(|(name, _)| *name == other);
                    let all = || TARGETS.map(|(name, _)| name).join(", ");
                    plan.only = Some(known.map(|(name, _)| *name).ok_or_else(|| {
                        format!("no such fuzz target: {other}; there are {}", all())
                    })?);
                }
            }
        }
        if let Some(hours) = hours {
            let count = if plan.only.is_some() { 1 } else { TARGETS.len() };
            let jobs = plan.jobs.min(count);
            let all = Duration::from_secs_f64(hours * 3600.0);
            plan.time = all * jobs as u32 / count as u32;
        }
        Ok(plan)
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn run_targets(args: &[String]) -> Result<(), String> {
    let plan = Plan::parse(args)?;
    let programs = build()?;
    let chosen = TARGETS.iter().filter(|(name, _)| plan.only.is_none_or(|only| only == *name));
    let (next, failures) = (Mutex::new(chosen), Mutex::new(Vec::new()));
    let work = || {
        while let Some((name, max_len)) = { next.lock().ok().and_then(|mut next| next.next()) } {
            match fuzz(&programs, name, *max_len, &plan) {
                Ok(line) => println!("{line}"),
                Err(failure) => failures.lock().map(|mut all| all.push(failure)).unwrap_or(()),
            }
        }
    };
    std::thread::scope(|scope| (0..plan.jobs).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().unwrap_or_default();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n\n")) }
}

/// Builds the targets; returns their folder.
fn build() -> Result<PathBuf, String> {
    // Its own folder, unless one is given for all that cargo builds.
    let given = std::env::var_os("CARGO_TARGET_DIR").is_some();
    let target = if given { target_dir() } else { root().join("fuzz/target") };
    // With an explicit target, build scripts are not instrumented.
    let triple = host()?;
    let mut command = cargo();
    command.current_dir(root().join("fuzz")).env("RUSTFLAGS", FLAGS);
    command.env("CARGO_TARGET_DIR", &target);
    run(command.args(["build", "--quiet", "--release", "--target", triple.as_str()]))?;
    Ok(target.join(triple).join("release"))
}

/// Runs the kept inputs, then fuzzes from a copy of them, to which libFuzzer adds. Returns a line
/// about it.
fn fuzz(programs: &Path, name: &str, max_len: u32, plan: &Plan) -> Result<String, String> {
    let kept = root().join("testdata/fuzz").join(name);
    let corpus = programs.join("corpus").join(name);
    let artifacts = root().join("fuzz/artifacts").join(name);
    let io = |error: std::io::Error| format!("{}: {error}", corpus.display());
    for dir in [&corpus, &artifacts] {
        fs::create_dir_all(dir).map_err(io)?;
    }
    for entry in fs::read_dir(&kept).map_err(|error| format!("{}: {error}", kept.display()))? {
        let path = entry.map_err(io)?.path();
        fs::copy(&path, corpus.join(path.file_name().unwrap_or_default())).map_err(io)?;
    }
    let program = || {
        let mut command = Command::new(programs.join(name));
        command.args([
            "-rss_limit_mb=512".to_owned(),
            // libFuzzer measures wall time; targets that share a core take longer.
            format!("-timeout={}", 10 * plan.jobs.div_ceil(cores())),
            "-verbosity=0".to_owned(),
            format!("-artifact_prefix={}/", artifacts.display()),
        ]);
        command
    };
    // The kept inputs, whole.
    output(program().args(["-runs=0", "-max_len=65536"]).arg(&kept))?;
    let seconds = plan.time.as_secs().max(1);
    let mut fuzzing = program();
    fuzzing.args([format!("-max_total_time={seconds}"), format!("-max_len={max_len}")]);
    let text = output(fuzzing.arg("-print_final_stats=1").arg(&corpus))?;
    let stat = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim_start_matches(':').trim().parse::<u64>().ok()
    };
    let inputs = stat("stat::number_of_executed_units").unwrap_or(0);
    let peak = stat("stat::peak_rss_mb").unwrap_or(0);
    Ok(format!("{name:<10} {inputs:>9} inputs, {:>7} a second, {peak:>4} MB", inputs / seconds))
}

/// Runs a target to its end, and returns what it prints.
fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    let output = command.output().map_err(|error| format!("{shown}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{text}\n{shown}: {}", output.status))
}

fn host() -> Result<String, String> {
    let version =
        Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}
