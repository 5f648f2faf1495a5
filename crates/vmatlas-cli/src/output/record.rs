//! Messages during and after a recording.

#![cfg(all(target_arch = "x86_64", target_pointer_width = "64"))]

use super::notes::note;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use vmatlas::record::{Audit, Listener, News, Progress, Report, Truth};
use vmatlas::words::{count, printable, shell_target, shell_word, size};

/// Shows progress on one line of the terminal, and prints other messages once. `needs_us` means that
/// the program ends with its recorder.
pub(crate) fn listener(needs_us: bool) -> Listener {
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
            News::Failed(error) => {
                if terminal {
                    let _ = write!(stderr, "{CLEAR}");
                }
                note(&format!("the recording fails: {error}"));
            }
            News::Ended => {
                if terminal {
                    let _ = write!(stderr, "{CLEAR}");
                }
                let end = if needs_us { ", and needs vmatlas: Ctrl-C ends both" } else { "" };
                note(&format!("the recording has ended; the program runs on{end}"));
            }
            _ => {}
        }
    })
}

/// The escape sequence that clears a line of a terminal.
const CLEAR: &str = "\r\x1b[K";

pub(crate) fn print_report(report: &Report, output: &Path) {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "{CLEAR}");
    }
    for notice in &report.notices {
        note(&notice.to_string());
    }
    let shown = printable(output.as_os_str().as_encoded_bytes());
    if let Some(error) = &report.failed {
        note(&failure(output, report.size, error));
    }
    if let Some(audit) = &report.audit {
        print_audit(audit);
    }
    let truth = &report.truth;
    note(&format!(
        "{shown}: {}, {}; {}",
        count(truth.events, "event"),
        size(report.size),
        how_true(truth)
    ));
    if !is_lost(report) {
        // A program that a signal ended has no exit code.
        let by_signal = report.status.is_some_and(|status| status.code().is_none());
        let typed = match output.to_str() {
            Some(path) => shell_target(path),
            None => shell_word(output.as_os_str().as_encoded_bytes()),
        };
        let explain = if by_signal { format!("vmatlas explain {typed}, ") } else { String::new() };
        note(&format!("next: {explain}vmatlas blame {typed}"));
    }
}

/// Whether there is no file, or nothing in it.
fn is_lost(report: &Report) -> bool {
    report.failed.as_ref().is_some_and(|error| report.size == 0 || is_removed(error))
}

fn is_removed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Reports an error that ended the file.
pub(crate) fn failure(output: &Path, size: u64, error: &io::Error) -> String {
    let is_lost = size == 0 || is_removed(error);
    let rest = if is_lost { "" } else { "; the events that were written before can be read" };
    format!("{}: {error}{rest}", printable(output.as_os_str().as_encoded_bytes()))
}

fn print_audit(audit: &Audit) {
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

/// Reports how often the model was wrong.
fn how_true(truth: &Truth) -> String {
    // Programs that run on while recorded are compared with the kernel only from time to time.
    let (when, rows, wrong) = match truth.rows_at_exit {
        0 => ("when checked", truth.rows, truth.rows_wrong),
        rows => ("at exit", rows, truth.rows_wrong_at_exit),
    };
    let right = rows - wrong.min(rows);
    let mut text = match rows {
        0 => "not compared with the kernel's rows".to_owned(),
        _ => format!("{when} {right} of {} equal the kernel's", count(rows, "row")),
    };
    let corrected = truth.corrected + truth.refused;
    if corrected > 0 {
        text.push_str(&format!(
            "; {} corrected from the kernel's rows",
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
        let of = if truth.lost_of_all { ", of this or other processes," } else { "" };
        text.push_str(&format!("; {}{of} lost", count(truth.lost, "event")));
    }
    text
}
