//! The origins of rows.

use super::frames::brief_function;
use super::values::{printable, seconds};
use crate::folded_frames::{FoldedFrame, folded_frames};
use crate::recorded::{Ending, Made};
use crate::row::Row;
use crate::source::kind::SourceKind;
use crate::stacks::requester_frames;
use vmatlas_linux::symbols::SymbolFrame;
use vmatlas_recording::{Maker, TaskEntry};

/// The most frames in a line that describes the origin of a mapping.
const FRAMES: usize = 2;

/// The origin of a row, in a line; with several origins the largest.
pub fn origins(row: &Row<'_>) -> String {
    if let Some(document) = row.atlas().document() {
        return document.origin(row.index()).to_owned();
    }
    let mut made = row.made();
    let Some((first, _)) = made.next() else { return String::new() };
    let line = origin(&first, FRAMES);
    match made.len() {
        0 => line,
        more => format!("{line}, and {more} more"),
    }
}

/// The origin of some bytes, in a line: the call, its time, the thread, and at most `most`
/// functions.
pub fn origin(made: &Made<'_>, most: usize) -> String {
    let origin = made.origin();
    let inherited = if origin.inherited { ", inherited by fork" } else { "" };
    let call = match origin.maker {
        Maker::Unseen => return "no event shows the call that mapped it".to_owned(),
        Maker::Before if made.source() == SourceKind::Log => {
            return format!("there before the log{inherited}");
        }
        Maker::Before => return format!("there before the recording{inherited}"),
        maker => maker.name(),
    };
    let when =
        if made.is_timed() { format!("{} ", seconds(origin.time_ns)) } else { String::new() };
    let line = format!("{call} #{} {when}{}{inherited}", origin.event, thread(made.task()));
    with_functions(line, made.frames(), most)
}

/// The event that ended a mapping, in a line.
pub fn ending(ending: &Ending) -> String {
    let call = ending.call.unwrap_or("the kernel");
    let (when, thread) = (seconds(ending.time_ns), thread(ending.task.as_ref()));
    let line = format!("by {call} #{} {when} {thread}", ending.event);
    with_functions(line, &ending.frames, FRAMES)
}

/// A line, followed by the functions that explain most of a stack.
fn with_functions(line: String, frames: &[SymbolFrame], most: usize) -> String {
    let folded = folded_frames(requester_frames(frames));
    let names: Vec<String> = folded.iter().take(most).map(folded_frame).collect();
    if names.is_empty() { line } else { format!("{line}: {}", names.join(" < ")) }
}

/// A line of a folded stack: the function, or the word for those that pass a request on.
pub fn folded_frame(frame: &FoldedFrame<'_>) -> String {
    match frame {
        FoldedFrame::Program(frame) => brief_function(frame),
        FoldedFrame::Passed(word) => word.clone(),
    }
}

/// A thread, as `NAME (TID)`.
pub fn thread(task: Option<&TaskEntry>) -> String {
    match task {
        Some(task) if task.tid.is_none() => printable(&task.comm),
        Some(task) if task.comm.is_empty() => format!("thread {}", task.tid),
        Some(task) => format!("{} ({})", printable(&task.comm), task.tid),
        None => "unknown".to_owned(),
    }
}
