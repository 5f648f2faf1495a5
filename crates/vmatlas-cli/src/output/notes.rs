//! Notes and errors in words that refer to the command's options.

use super::fit::Fit;
use crate::args::CommonArgs;
use std::io::Write as _;
use vmatlas::{Atlas, Error, Note, Processes, Request, SourceKind, words};

/// What stands before the further lines of a note.
const INDENT: &str = "  ";

/// Prints a line, on a terminal a paragraph, to standard error, which may be closed.
pub(crate) fn note(text: &str) {
    let text = format!("vmatlas: {}", words::printable(text.as_bytes()));
    // What is copied from a note, as a path or a command, stays whole.
    let lines = Fit::of_stderr().behind(INDENT.len()).whole_lines(&text);
    let _ = writeln!(std::io::stderr(), "{}", lines.join(&format!("\n{INDENT}")));
}

/// Prints a line below a note.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", words::printable(text.as_bytes()));
}

/// Prints the notes about a target.
pub(crate) fn of_atlas(atlas: &Atlas, args: &CommonArgs) {
    if !args.quiet {
        atlas.notes().for_each(|found| note(&format!("{}: {}", atlas.name(), text(&found))));
    }
}

/// Prints the notes about two targets: those of both moments of one file once, about the file.
pub(crate) fn of_both(first: &Atlas, second: &Atlas, args: &CommonArgs) {
    let file = first.file().filter(|file| second.file().as_ref() == Some(file));
    let Some(file) = file.filter(|_| !args.quiet) else {
        of_atlas(first, args);
        return of_atlas(second, args);
    };
    let texts = |atlas: &Atlas| -> Vec<String> { atlas.notes().map(|note| text(&note)).collect() };
    let (of_first, of_second) = (texts(first), texts(second));
    for text in &of_first {
        match of_second.contains(text) {
            true => note(&format!("{}: {text}", file.display())),
            false => note(&format!("{}: {text}", first.name())),
        }
    }
    for text in of_second.iter().filter(|text| !of_first.contains(text)) {
        note(&format!("{}: {text}", second.name()));
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
    match (error.processes(), error.request()) {
        (Some(all), _) => format!("{}; {}", error.message(), processes(all)),
        (None, Some(request)) => format!("{error}, so it takes {}", no_option(request)),
        (None, None) => error.to_string(),
    }
}

/// The options, and the forms of TARGET, that a target without such a thing does not take.
fn no_option(request: Request) -> &'static str {
    match request {
        Request::Moment => "neither --at nor @TIME",
        Request::Process => "no --pid",
        Request::Processes => "no --processes",
        Request::Freeze => "no --freeze",
        Request::Memory => "no --deep",
        Request::Symbols => "no symbols",
        Request::Sizes => "no --sizes",
        _ => "no such option",
    }
}

/// Suggests how to select a process of a recording or log.
fn processes(all: &Processes) -> String {
    match all.source {
        SourceKind::Recording => all.list("--pid "),
        _ => all.to_string(),
    }
}
