//! Notes and errors in words that refer to the command's options.

use crate::args::CommonArgs;
use std::io::Write as _;
use vmatlas::{Atlas, Error, Note, Processes, SourceKind, words};

/// Prints a line to standard error, which may be closed.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "vmatlas: {}", words::printable(text.as_bytes()));
}

/// Prints the notes about a target.
pub(crate) fn of_atlas(atlas: &Atlas, args: &CommonArgs) {
    if !args.quiet {
        atlas.notes().for_each(|found| note(&format!("{}: {}", atlas.name(), text(&found))));
    }
}

/// A note on one line.
pub(crate) fn text(note: &Note) -> String {
    match note {
        Note::LabelsWithoutMemory { why } => format!("labels without --deep: {why}"),
        Note::LeftOut { .. } | Note::CutMemory { .. } => {
            format!("{note}; --budget raises the limits")
        }
        Note::OtherProcesses(all) => format!("this is process {}; {}", all.pid, processes(all)),
        note => note.to_string(),
    }
}

/// An error on one line.
pub(crate) fn error(error: &Error) -> String {
    match error.processes() {
        Some(all) => format!("{}; {}", error.message(), processes(all)),
        None => error.to_string(),
    }
}

/// Suggests how to select a process of a recording or log.
fn processes(all: &Processes) -> String {
    match all.source {
        SourceKind::Recording => all.list("--pid "),
        _ => all.to_string(),
    }
}
