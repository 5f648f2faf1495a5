//! The text of `vmatlas blame`.

use super::answer::BlameAnswer;
use crate::output::show::table::recorded_title;
use crate::output::style::{self, Paint};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use vmatlas::recording::Maker;
use vmatlas::words::{self, count, function, module_name, printable, seconds, share, size};
use vmatlas::{Blame, BlameBy, Count, Made, Piece, Rank, SymbolFrame, requester_frames};

/// The most frames on the line of a piece of a mapping.
const IN_A_LINE: usize = 4;
/// The least number of frames to show for a stack.
pub(crate) const FRAMES: usize = 8;
/// The most origins to list for a mapping.
const OF_A_ROW: usize = 8;

pub(super) fn text(answer: &BlameAnswer<'_>, paint: Paint) -> String {
    let mut text = String::new();
    heading(&mut text, answer.blame, answer.count, paint);
    rows(&mut text, answer.blame, answer.count, paint);
    ranking(&mut text, answer, paint);
    text
}

/// Names the counted bytes.
fn counted(what: Count) -> &'static str {
    match what {
        Count::Resident => "in memory",
        Count::Touched => "in memory, by the thread that touched it first",
        _ => "mapped",
    }
}

fn heading(text: &mut String, blame: &Blame<'_>, what: Count, paint: Paint) {
    let recorded = blame.recorded();
    let bytes: u64 = blame.pieces().iter().map(|piece| piece.range.size()).sum();
    let rows: BTreeSet<usize> = blame.pieces().iter().map(|piece| piece.row).collect();
    let (process, moment) = recorded_title(recorded);
    let _ = writeln!(
        text,
        "{} {moment}: {}, {} {}",
        paint.bold(&process),
        count(rows.len() as u64, "mapping"),
        size(bytes),
        counted(what)
    );
    if what == Count::Touched {
        let unseen = blame.pieces().iter().filter(|piece| piece.origin.maker == Maker::Unseen);
        let unattributed: u64 = unseen.map(|piece| piece.range.size()).sum();
        let _ = writeln!(
            text,
            "{} {} are not attributed, because no page fault was recorded for them (they were in \
             memory before, the kernel populated them, or they are part of huge pages)",
            size(unattributed),
            share(unattributed, bytes)
        );
    }
    text.push('\n');
}

/// Lists every mapping with its origins.
fn rows(text: &mut String, blame: &Blame<'_>, what: Count, paint: Paint) {
    for pieces in blame.pieces().chunk_by(|a, b| a.row == b.row) {
        let mapping = blame.mapping(&pieces[0]);
        let address = paint.paint(style::of(&mapping), &mapping.range.to_string());
        let line = format!(
            "{address} {:>6} {} {}",
            size(mapping.range.size()),
            mapping.perms,
            words::name(mapping.name)
        );
        text.push_str(line.trim_end());
        let whole: u64 = pieces.iter().map(|piece| piece.range.size()).sum();
        if what != Count::Mapped {
            let _ = write!(text, "  {} in memory", size(whole));
        }
        text.push('\n');
        let mut origins: Vec<(u64, &Piece)> = Vec::new();
        for piece in pieces {
            match origins.iter_mut().find(|(_, known)| known.origin == piece.origin) {
                Some((bytes, _)) => *bytes += piece.range.size(),
                None => origins.push((piece.range.size(), piece)),
            }
        }
        origins.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (bytes, piece) in origins.iter().take(OF_A_ROW) {
            let part = if *bytes == whole {
                String::new()
            } else {
                format!("{} {} ", size(*bytes), share(*bytes, whole))
            };
            let _ = writeln!(text, "    {part}{}", words::origin(&blame.made(piece), IN_A_LINE));
        }
        if origins.len() > OF_A_ROW {
            let _ = writeln!(text, "    and {} more", origins.len() - OF_A_ROW);
        }
    }
}

fn ranking(text: &mut String, answer: &BlameAnswer<'_>, paint: Paint) {
    let BlameAnswer { blame, by, top, .. } = *answer;
    let ranks = blame.ranking(by);
    let all: u64 = ranks.iter().map(|rank| rank.bytes).sum();
    let what = match by {
        BlameBy::Function => "function",
        BlameBy::Module => "module",
        BlameBy::Thread => "thread",
        _ => "call stack",
    };
    let header = format!("\n{:>7} {:>6} {:>6}  by {what}", "bytes", "share", "events");
    let _ = writeln!(text, "{}", paint.dim(&header));
    for rank in ranks.iter().take(top) {
        let Some(first) = rank.first() else { continue };
        let name = match by {
            BlameBy::Stack => stack_title(rank, &first),
            _ => rank.key.clone(),
        };
        let _ = writeln!(
            text,
            "{:>7} {:>6} {:>6}  {}",
            size(rank.bytes),
            share(rank.bytes, all),
            rank.events(),
            paint.bold(&name)
        );
        if by == BlameBy::Stack {
            frames(text, first.frames(), top.max(FRAMES), 24, paint);
        }
    }
    let rest = &ranks[ranks.len().min(top)..];
    if !rest.is_empty() {
        let bytes: u64 = rest.iter().map(|rank| rank.bytes).sum();
        let _ = writeln!(
            text,
            "{:>7} {:>6}         {} more (--top {})",
            size(bytes),
            share(bytes, all),
            rest.len(),
            ranks.len()
        );
    }
}

fn stack_title(rank: &Rank<'_>, first: &Made<'_>) -> String {
    let origin = first.origin();
    if !matches!(origin.maker, Maker::Call(_) | Maker::Touch) {
        return origin.maker.name().to_owned();
    }
    let last = rank.pieces.iter().map(|piece| piece.origin.time_ns).max().unwrap_or(0);
    let when = if !first.is_timed() {
        String::new()
    } else if last == origin.time_ns {
        format!(", {}", seconds(origin.time_ns))
    } else {
        format!(", {} to {}", seconds(origin.time_ns), seconds(last))
    };
    let thread = match rank.threads() {
        1 => words::thread(first.task()),
        more => count(more as u64, "thread"),
    };
    format!("{} by {thread}{when}", origin.maker.name())
}

/// Writes the frames of a stack, a line each.
pub(crate) fn frames(
    text: &mut String,
    frames: &[SymbolFrame],
    most: usize,
    indent: usize,
    paint: Paint,
) {
    // Frames inside the C library are hidden, except the call that entered it.
    let hidden = (frames.len() - requester_frames(frames).len()).saturating_sub(1);
    let mut before = "";
    for frame in frames.iter().skip(hidden).take(most) {
        // Compilers report some functions as inlined into themselves.
        if !before.is_empty() && before == frame.function {
            continue;
        }
        before = &frame.function;
        let module = if frame.inlined { "inlined".to_owned() } else { module_name(frame) };
        let source = frame.source.as_deref().unwrap_or_default();
        let source = source.rsplit('/').next().unwrap_or_default();
        let line = format!("{} ({module})", function(frame));
        let _ = write!(text, "{:>indent$}{line}", "");
        if !source.is_empty() {
            let _ = write!(text, " {}", paint.dim(&printable(source.as_bytes())));
        }
        text.push('\n');
    }
    let rest = frames.len().saturating_sub(hidden + most);
    if rest > 0 {
        let _ = writeln!(text, "{:>indent$}and {rest} more", "");
    }
}
