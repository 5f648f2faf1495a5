//! `vmatlas record -- CMD`: who makes, changes and drops every mapping.

use crate::args::{self, RecordArgs};
use crate::output::note;
use crate::output::words::{count, printable, size};
use crate::trouble::Trouble;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use vmatlas_linux::ProcessId;
use vmatlas_linux::record::{
    Audit, Backend, Control, Limits, Listener, News, Options, Progress, RecordError, Report, Truth,
    attach, in_own_group, launch,
};

pub(crate) fn run(args: &RecordArgs) -> Result<ExitCode, Trouble> {
    let control = Control::on_signals()
        .map_err(|error| Trouble::new(format!("signals cannot be taken: {error}")))?;
    let program = args.command.first().map(Path::new);
    let output = args.output.clone().unwrap_or_else(|| default_output(program, args.pid));
    let options = Options {
        output: output.clone(),
        limits: Limits { duration: args.duration, size: args.max_size },
        control: Some(control),
        news: (!args.quiet).then(listener),
        backend: args.backend.map(|backend| match backend {
            args::Backend::Ptrace => Backend::Ptrace,
            args::Backend::Perf => Backend::Perf,
        }),
        pages: args.pages,
        audit: args.audit,
        stack_bytes: u32::try_from(args.stack_size).unwrap_or(u32::MAX),
    };
    let report = match (args.pid, args.command.split_first()) {
        (Some(pid), _) => attach(pid, options),
        (None, Some((program, words))) => {
            let mut command = Command::new(program);
            command.args(words);
            let _guard = Guard::new(&output);
            launch(command, options)
        }
        (None, None) => return Err(Trouble::new("record needs a program or -p PID")),
    };
    let report = report.map_err(|error| match error {
        RecordError::Launch(error) => {
            Trouble::NotRun { status: error.exit_code(), message: chain(&error) }
        }
        RecordError::Process(error) => {
            let pid = args.pid.unwrap_or_default();
            Trouble::refused(error, Path::new("/proc"), ProcessId { pid, tid: None })
        }
        error => Trouble::new(chain(&error)),
    })?;
    if !args.quiet {
        tell(&report, &output);
    } else if let Some(error) = &report.failed {
        note(&format!("{}: {error}", output.display()));
    }
    Ok(report.status.map_or(ExitCode::SUCCESS, vmatlas_linux::record::end_as))
}

/// Stands by while a program runs that cannot go on without its recorder, and says so if that is
/// killed: the kernel ends the program, but does not tell why.
struct Guard(Option<Child>);

impl Guard {
    fn new(recording: &Path) -> Guard {
        let Ok(own) = std::env::current_exe() else { return Guard(None) };
        let mut command = Command::new(own);
        command.arg("record-guard").arg(recording).stdin(Stdio::piped()).stdout(Stdio::null());
        // In a group of its own, it does not get what is typed for the program.
        Guard(in_own_group(&mut command).spawn().ok())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // A byte before the end says that all is well.
            if let Some(mut pipe) = child.stdin.take() {
                let _ = pipe.write_all(b".");
            }
            let _ = child.wait();
        }
    }
}

/// The other side: waits for the recorder's end.
pub(crate) fn guard(recording: &Path) {
    let mut word = Vec::new();
    let read = std::io::stdin().read_to_end(&mut word);
    if read.is_ok() && word.is_empty() {
        note(&format!(
            "the recorder was killed, and the kernel has ended the program with it, which could not \
             go on; {} holds what was recorded until then",
            printable(recording.as_os_str().as_encoded_bytes())
        ));
    }
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

/// `NAME.PID.vmrec`; of a program that is launched with the number of vmatlas, as it does not run
/// yet.
fn default_output(program: Option<&Path>, pid: Option<u32>) -> PathBuf {
    let name = program.map_or_else(
        || "process".to_owned(),
        |program| program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned(),
    );
    let number = pid.unwrap_or_else(std::process::id);
    PathBuf::from(format!("{}.{number}.vmrec", printable(name.as_bytes())))
}

/// A line on the terminal that is written over and over, and what is said once.
fn listener() -> Listener {
    let terminal = std::io::stderr().is_terminal();
    let mut last = Progress::default();
    Box::new(move |news: &News<'_>| {
        let mut stderr = std::io::stderr();
        match news {
            News::Begun(how) => note(&format!("recording by {how}")),
            News::Progress(now) if terminal => {
                let seconds = now.elapsed.saturating_sub(last.elapsed).as_secs_f64().max(1e-3);
                let rate = now.events.saturating_sub(last.events) as f64 / seconds;
                let _ = write!(
                    stderr,
                    "{CLEAR}vmatlas: {:.0} s, {} ({rate:.0}/s), {} written, {} lost",
                    now.elapsed.as_secs_f64(),
                    count(now.events, "event"),
                    size(now.size),
                    now.lost
                );
                last = *now;
            }
            News::Ended => {
                if terminal {
                    let _ = write!(stderr, "{CLEAR}");
                }
                note(ENDED);
            }
            _ => {}
        }
    })
}

/// Clears the line of a terminal.
const CLEAR: &str = "\r\x1b[K";
const ENDED: &str = "the recording has ended; the program runs on (launched by vmatlas it needs \
    it: Ctrl-C once more ends both)";

fn tell(report: &Report, output: &Path) {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "{CLEAR}");
    }
    for notice in &report.notices {
        note(&notice.to_string());
    }
    let shown = printable(output.as_os_str().as_encoded_bytes());
    if let Some(error) = &report.failed {
        note(&format!("{shown}: {error}; what was recorded before that can be read"));
    }
    if let Some(audit) = &report.audit {
        tell_audit(audit);
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

fn tell_audit(audit: &Audit) {
    let writes = count(audit.writes, "change");
    if audit.unexplained == 0 {
        return note(&format!("audit: {writes} of the kernel's trees, all explained by events"));
    }
    note(&format!("audit: {writes} of the kernel's trees, {} not explained", audit.unexplained));
    for change in &audit.examples {
        let what = if change.stored { "stored" } else { "erased" };
        note(&format!("audit: {} {what} by thread {}", change.range, change.tid));
    }
}

/// How often the model was wrong.
fn how_true(truth: &Truth) -> String {
    // Programs that are not stopped are looked at from time to time only.
    let (when, rows, wrong) = match truth.rows_at_exit {
        0 => ("when looked at", truth.rows, truth.rows_wrong),
        rows => ("at exit", rows, truth.rows_wrong_at_exit),
    };
    let right = rows - wrong.min(rows);
    let mut text = format!("{when} {right} of {} as the kernel has them", count(rows, "row"));
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
    if truth.stacks_lost > 0 {
        text.push_str(&format!("; {} without a stack", count(truth.stacks_lost, "event")));
    }
    if truth.lost > 0 {
        text.push_str(&format!("; {} lost", count(truth.lost, "event")));
    }
    text
}
