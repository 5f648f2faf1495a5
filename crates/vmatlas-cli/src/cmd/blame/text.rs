//! Blame for people.

use super::{Blame, Piece, Rank};
use crate::args::{BlameArgs, By, Count};
use crate::output::style::{self, Paint};
use crate::output::words::{self, count, printable, seconds, share, size};
use crate::stacks::{function, module_name, telling};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use vmatlas::recording::{Maker, Origin};
use vmatlas_linux::symbols::SymbolFrame;

/// How many frames stand behind a piece of a mapping.
const IN_A_LINE: usize = 4;
/// How many frames of a stack are shown at least.
pub(super) const FRAMES: usize = 8;
/// How many origins of a mapping are listed.
const OF_A_ROW: usize = 8;

pub(super) fn text(blame: &Blame, args: &BlameArgs) -> String {
    let paint = Paint(style::wanted(args.common.color));
    let mut text = String::new();
    heading(&mut text, blame, args.count, paint);
    rows(&mut text, blame, args.count, paint);
    ranking(&mut text, blame, args, paint);
    text
}

/// What is counted, in a word.
fn counted(what: Count) -> &'static str {
    match what {
        Count::Mapped => "mapped",
        Count::Resident => "in memory",
        Count::Touched => "in memory, by who touched it first",
    }
}

fn heading(text: &mut String, blame: &Blame, what: Count, paint: Paint) {
    let recorded = &blame.recorded;
    let bytes: u64 = blame.pieces.iter().map(|piece| piece.range.size()).sum();
    let rows: BTreeSet<usize> = blame.pieces.iter().map(|piece| piece.row).collect();
    let (process, moment) = recorded.title();
    let _ = writeln!(
        text,
        "{} {moment}: {}, {} {}",
        paint.bold(&process),
        count(rows.len() as u64, "mapping"),
        size(bytes),
        counted(what)
    );
    if what == Count::Touched {
        let untold = blame.pieces.iter().filter(|piece| piece.origin.maker == Maker::Unseen);
        let untold: u64 = untold.map(|piece| piece.range.size()).sum();
        let _ = writeln!(
            text,
            "{} {} are not attributed: no page fault tells of them (they were there before, were \
             brought in by the kernel, or are parts of huge pages)",
            size(untold),
            share(untold, bytes)
        );
    }
    text.push('\n');
}

/// Every mapping with its origins.
fn rows(text: &mut String, blame: &Blame, what: Count, paint: Paint) {
    for pieces in blame.pieces.chunk_by(|a, b| a.row == b.row) {
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
            let _ = writeln!(
                text,
                "    {part}{}",
                blame.recorded.origin_line(&piece.origin, IN_A_LINE)
            );
        }
        if origins.len() > OF_A_ROW {
            let _ = writeln!(text, "    and {} more", origins.len() - OF_A_ROW);
        }
    }
}

fn ranking(text: &mut String, blame: &Blame, args: &BlameArgs, paint: Paint) {
    let ranks = blame.ranking(args.by);
    let all: u64 = ranks.iter().map(|rank| rank.bytes).sum();
    let what = match args.by {
        By::Stack => "call stack",
        By::Function => "function",
        By::Module => "module",
        By::Thread => "thread",
    };
    let header = format!("\n{:>7} {:>6} {:>6}  by {what}", "bytes", "share", "events");
    let _ = writeln!(text, "{}", paint.dim(&header));
    for rank in ranks.iter().take(args.top) {
        let events: BTreeSet<u64> = rank.pieces.iter().map(|piece| piece.origin.event).collect();
        let first = rank.pieces.iter().map(|piece| piece.origin).min_by_key(|o| o.event);
        let Some(first) = first else { continue };
        let name = match args.by {
            By::Stack => stack_title(blame, rank, &first),
            _ => rank.key.clone(),
        };
        let _ = writeln!(
            text,
            "{:>7} {:>6} {:>6}  {}",
            size(rank.bytes),
            share(rank.bytes, all),
            events.len(),
            paint.bold(&name)
        );
        if args.by == By::Stack {
            frames(text, blame.frames(&first), args.top.max(FRAMES), 24, paint);
        }
    }
    let rest = &ranks[ranks.len().min(args.top)..];
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

fn stack_title(blame: &Blame, rank: &Rank<'_>, first: &Origin) -> String {
    if !matches!(first.maker, Maker::Call(_) | Maker::Touch) {
        return first.maker.name().to_owned();
    }
    let last = rank.pieces.iter().map(|piece| piece.origin.time_ns).max().unwrap_or(0);
    let when = if blame.recorded.time_ns.is_none() {
        String::new()
    } else if last == first.time_ns {
        format!(", {}", seconds(first.time_ns))
    } else {
        format!(", {} to {}", seconds(first.time_ns), seconds(last))
    };
    let threads: BTreeSet<u32> = rank.pieces.iter().map(|piece| piece.origin.task).collect();
    let thread = match threads.len() {
        1 => blame.thread(first),
        more => count(more as u64, "thread"),
    };
    format!("{} by {thread}{when}", first.maker.name())
}

/// The frames of a stack, a line each.
pub(super) fn frames(
    text: &mut String,
    frames: &[SymbolFrame],
    most: usize,
    indent: usize,
    paint: Paint,
) {
    // Of what is inside the C library only the call that was made of it.
    let hidden = (frames.len() - telling(frames).len()).saturating_sub(1);
    let mut before = "";
    for frame in frames.iter().skip(hidden).take(most) {
        // Compilers say of some functions that they are inlined into themselves.
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
