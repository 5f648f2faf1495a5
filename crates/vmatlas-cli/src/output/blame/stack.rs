//! A call stack, a line for each function.

use crate::output::fit::{Fit, columns};
use crate::output::style::Paint;
use std::fmt::Write as _;
use vmatlas::words::{folded_frame, module_name, printable};
use vmatlas::{FoldedFrame, SymbolFrame, folded_frames};

/// Writes a stack, with a word in place of the frames that only pass a request on.
pub(crate) fn write(
    text: &mut String,
    frames: &[SymbolFrame],
    most: usize,
    indent: usize,
    paint: Paint,
) {
    let fit = Fit::of_stdout();
    let room = fit.room(indent);
    let folded = folded_frames(frames);
    for frame in folded.iter().take(most) {
        let name = fit.shortened(&folded_frame(frame));
        let (place, source) = match frame {
            FoldedFrame::Program(frame) => place(frame),
            _ => (String::new(), String::new()),
        };
        // The function matters more than its place.
        let beside = columns(&place) + columns(&source);
        let name = fit.middle(&name, room.saturating_sub(beside).max(room / 2));
        let left = room.saturating_sub(columns(&name));
        let place = fit.middle(&place, left);
        let source = fit.middle(&source, left.saturating_sub(columns(&place)));
        let name = match frame {
            FoldedFrame::Program(_) => name,
            _ => paint.dim(&name),
        };
        let _ = writeln!(text, "{:indent$}{name}{place}{}", "", paint.dim(&source));
    }
    let rest = folded.len().saturating_sub(most);
    if rest > 0 {
        let _ = writeln!(text, "{:indent$}and {rest} more (--frames {})", "", folded.len());
    }
}

/// The module and the line of the source.
fn place(frame: &SymbolFrame) -> (String, String) {
    let module = if frame.inlined { "inlined".to_owned() } else { module_name(frame) };
    let source = frame.source.as_deref().unwrap_or_default();
    let source = printable(source.rsplit('/').next().unwrap_or_default().as_bytes());
    let spaced = |text: String| if text.is_empty() { text } else { format!(" {text}") };
    let module = if module.is_empty() { module } else { format!("({module})") };
    (spaced(module), spaced(source))
}
