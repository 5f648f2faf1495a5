//! `vmatlas record -- CMD`: records each call that maps, changes or unmaps memory.

use super::replace;
use crate::args::{self, RecordArgs};
use crate::output::notes::note;
use crate::output::record::{failure, listener, print_report};
use crate::trouble::Trouble;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use vmatlas::record::{Backend, Control, Limits, Options, RecordError, attach, end_as, launch};
use vmatlas::words::printable;
use vmatlas::{Guard, recorder_was_killed};

pub(crate) fn run(args: &RecordArgs) -> Result<ExitCode, Trouble> {
    let control = Control::on_signals()
        .map_err(|error| Trouble::new(format!("cannot install signal handlers: {error}")))?;
    let program = args.command.first().map(Path::new);
    let output = args.output.clone().unwrap_or_else(|| default_output(program, args.pid));
    let mut options = Options::new(output.clone());
    options.replace = replace(args.force);
    options.limits = Limits::new(args.duration, args.max_size);
    options.control = Some(control);
    // A program that is recorded by perf events outlives its recorder.
    let is_traced = match args.backend {
        Some(backend) => backend == args::Backend::Ptrace,
        None => !args.audit && !args.pages,
    };
    let needs_us = args.pid.is_none() && is_traced;
    refuse(args, needs_us)?;
    options.news = (!args.quiet).then(|| listener(needs_us));
    options.backend = args.backend.map(|backend| match backend {
        args::Backend::Ptrace => Backend::Ptrace,
        args::Backend::Perf => Backend::Perf,
    });
    options.pages = args.pages;
    options.audit = args.audit;
    if let Some(size) = args.stack_size {
        options.stack_bytes = u32::try_from(size).unwrap_or(u32::MAX);
    }
    let report = match (args.pid, args.command.split_first()) {
        (Some(pid), _) => attach(pid, options),
        (None, Some((program, words))) => {
            let mut command = Command::new(program);
            command.args(words);
            let _guard = needs_us.then(|| guard_of(&output));
            launch(command, options)
        }
        (None, None) => return Err(Trouble::new("record needs a program or -p PID")),
    };
    let report = report.map_err(|error| match error {
        RecordError::Launch(error) => {
            Trouble::NotRun { status: error.exit_code(), message: chain(&error) }
        }
        RecordError::Process(error) => {
            vmatlas::Error::not_recorded(error, args.pid.unwrap_or_default()).into()
        }
        RecordError::Output(error) => error.into(),
        error => Trouble::new(chain(&error)),
    })?;
    if !args.quiet {
        print_report(&report, &output);
    } else if let Some(error) = &report.failed {
        note(&failure(&output, report.size, error));
    }
    match report.status {
        // The program's failure says more than that of its recording.
        Some(status) if report.failed.is_none() || !status.success() => Ok(end_as(status)),
        _ if report.failed.is_some() => Ok(ExitCode::from(2)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Refuses options that have no effect. `by_ptrace` is whether that is the backend.
fn refuse(args: &RecordArgs, by_ptrace: bool) -> Result<(), Trouble> {
    let why = match args {
        RecordArgs { pid: Some(_), backend: Some(args::Backend::Ptrace), .. } => {
            "a running process is recorded by perf events: leave out --backend ptrace"
        }
        RecordArgs { audit: true, .. } if by_ptrace => {
            "--audit compares with perf events: leave out --backend ptrace"
        }
        RecordArgs { stack_size: Some(_), .. } if by_ptrace => {
            "--stack-size is about perf events (--backend perf); by ptrace whole stacks are read"
        }
        _ => return Ok(()),
    };
    Err(Trouble::new(why))
}

/// Starts a second vmatlas that reports if the recorder is killed.
fn guard_of(recording: &Path) -> Option<Guard> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.arg("record-guard").arg(recording);
    Some(Guard::start(command))
}

/// Runs the second vmatlas: waits for the recorder's end.
pub(crate) fn guard(recording: &Path) {
    if recorder_was_killed() {
        note(&format!(
            "the recorder was killed, and the kernel killed the program with it, which cannot run \
             without it; {} holds the events recorded until then",
            printable(recording.as_os_str().as_encoded_bytes())
        ));
    }
}

/// An error with its chain of sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text.push_str(&format!(": {reason}"));
        source = reason.source();
    }
    text
}

/// `NAME.PID.vmrec`. A program to be launched has no PID yet, so vmatlas's own PID is used.
fn default_output(program: Option<&Path>, pid: Option<u32>) -> PathBuf {
    let name = program.map_or_else(
        || "process".to_owned(),
        |program| program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned(),
    );
    let number = pid.unwrap_or_else(std::process::id);
    PathBuf::from(format!("{}.{number}.vmrec", printable(name.as_bytes())))
}
