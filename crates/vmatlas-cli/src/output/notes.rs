//! Notes and errors in words that name the command's options.

use crate::args::CommonArgs;
use std::io::Write as _;
use vmatlas::{Atlas, Error, Note, Processes, SourceKind, words};

/// Says something to people on standard error, which may be closed.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "vmatlas: {}", words::printable(text.as_bytes()));
}

/// Says what is odd about a target.
pub(crate) fn of_atlas(atlas: &Atlas, args: &CommonArgs) {
    if !args.quiet {
        atlas.notes().for_each(|found| note(&format!("{}: {}", atlas.name(), text(&found))));
    }
}

/// A note in a line.
pub(crate) fn text(note: &Note) -> String {
    match note {
        Note::LabelsWithoutMemory { why } => format!("labels without --deep: {why}"),
        Note::OtherProcesses(all) => format!("this is process {}; {}", all.pid, processes(all)),
        note => note.to_string(),
    }
}

/// An error in a line.
pub(crate) fn error(error: &Error) -> String {
    match error.processes() {
        Some(all) => format!("{}; {}", error.message(), processes(all)),
        None => error.to_string(),
    }
}

/// How to ask for the processes of a recording or log.
fn processes(all: &Processes) -> String {
    match all.source {
        SourceKind::Recording => all.list("--pid "),
        _ => all.to_string(),
    }
}
