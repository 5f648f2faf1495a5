//! `vmatlas record -- CMD`: who makes, changes and drops every mapping.

use crate::args::RecordArgs;
use crate::output::note;
use crate::output::words::{count, printable, size};
use crate::trouble::Trouble;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use vmatlas_linux::record::{
    Control, Limits, Options, Progress, RecordError, Report, Truth, launch,
};

pub(crate) fn run(args: &RecordArgs) -> Result<ExitCode, Trouble> {
    let (program, words) = args.command.split_first().expect("clap asks for one");
    let output = args.output.clone().unwrap_or_else(|| default_output(Path::new(program)));
    let mut command = Command::new(program);
    command.args(words);
    let control = Control::on_signals()
        .map_err(|error| Trouble::new(format!("signals cannot be taken: {error}")))?;
    let options = Options {
        output: output.clone(),
        limits: Limits { duration: args.duration, size: args.max_size },
        control: Some(control),
        progress: progress(args.quiet),
    };
    let report = launch(command, options).map_err(|error| match error {
        RecordError::Launch(error) => {
            Trouble::NotRun { status: error.exit_code(), message: chain(&error) }
        }
        error => Trouble::new(error.to_string()),
    })?;
    if !args.quiet {
        tell(&report, &output);
    } else if let Some(error) = &report.failed {
        note(&format!("{}: {error}", output.display()));
    }
    Ok(vmatlas_linux::record::end_as(report.status))
}

/// An error with its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(reason) = source {
        text.push_str(&format!(": {reason}"));
        source = reason.source();
    }
    text
}

/// `NAME.PID.vmrec`, with the number of vmatlas, as no program runs yet.
fn default_output(program: &Path) -> PathBuf {
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    PathBuf::from(format!("{}.{}.vmrec", printable(name.as_bytes()), std::process::id()))
}

/// A line on the terminal that is written over and over, and what is said once.
fn progress(quiet: bool) -> Option<Box<dyn FnMut(&Progress) + Send>> {
    if quiet {
        return None;
    }
    let terminal = std::io::stderr().is_terminal();
    let mut last = Progress::default();
    Some(Box::new(move |now: &Progress| {
        let mut stderr = std::io::stderr();
        if now.ended {
            let clear = if terminal { "\r\x1b[K" } else { "" };
            let _ = write!(stderr, "{clear}");
            note(
                "the recording has ended; the program runs on under vmatlas, which only lets its calls \
                 through (Ctrl-C once more ends both)",
            );
        } else if terminal {
            let seconds = (now.elapsed - last.elapsed).as_secs_f64().max(1e-3);
            let rate = (now.events - last.events) as f64 / seconds;
            let _ = write!(
                stderr,
                "\r\x1b[Kvmatlas: {:.0} s, {} ({rate:.0}/s), {} written, {} lost",
                now.elapsed.as_secs_f64(),
                count(now.events, "event"),
                size(now.size),
                now.lost
            );
        }
        last = *now;
    }))
}

fn tell(report: &Report, output: &Path) {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    for notice in &report.notices {
        note(&notice.to_string());
    }
    let shown = printable(output.as_os_str().as_encoded_bytes());
    if let Some(error) = &report.failed {
        note(&format!("{shown}: {error}; what was recorded before that can be read"));
    }
    let truth = &report.truth;
    note(&format!(
        "{shown}: {}, {}; {}",
        count(truth.events, "event"),
        size(report.size),
        how_true(truth)
    ));
    note(&format!("next: vmatlas blame {shown}"));
}

/// How often the model was wrong.
fn how_true(truth: &Truth) -> String {
    let mut text = format!(
        "at exit {} of {} as the kernel has them",
        truth.rows_at_exit - truth.rows_wrong_at_exit.min(truth.rows_at_exit),
        count(truth.rows_at_exit, "row")
    );
    let corrected = truth.corrected + truth.refused;
    if corrected > 0 {
        text.push_str(&format!(
            "; {} corrected by what the kernel showed",
            count(corrected, "difference")
        ));
    }
    if truth.out_of_order > 0 {
        text.push_str(&format!(
            "; the order of {} is not certain",
            count(truth.out_of_order, "call")
        ));
    }
    if truth.lost > 0 {
        text.push_str(&format!("; {} lost", count(truth.lost, "event")));
    }
    text
}
