//! Blame for people.

use super::{Blame, Piece, Rank};
use crate::args::{BlameArgs, By};
use crate::output::style::{self, Paint};
use crate::output::words::{self, count, printable, share, size};
use crate::stacks::{function, module_name, telling};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use vmatlas::recording::{Maker, Origin};

/// How many frames stand behind a piece of a mapping.
const IN_A_LINE: usize = 4;
/// How many origins of a mapping are listed.
const OF_A_ROW: usize = 8;

pub(super) fn text(blame: &Blame, args: &BlameArgs) -> String {
    let paint = Paint(style::wanted(args.common.color));
    let mut text = String::new();
    heading(&mut text, blame, paint);
    rows(&mut text, blame, paint);
    ranking(&mut text, blame, args, paint);
    text
}

fn seconds(time_ns: u64) -> String {
    format!("{:.3} s", time_ns as f64 / 1e9)
}

fn heading(text: &mut String, blame: &Blame, paint: Paint) {
    let recorded = &blame.recorded;
    let bytes: u64 = blame.pieces.iter().map(|piece| piece.range.size()).sum();
    let rows: BTreeSet<usize> = blame.pieces.iter().map(|piece| piece.row).collect();
    let title = format!("{} {}", recorded.process.pid, recorded.comm());
    let _ = writeln!(
        text,
        "{} after event {}, {}: {}, {}\n",
        paint.bold(&title),
        recorded.replay.number(),
        seconds(recorded.replay.time_ns()),
        count(rows.len() as u64, "mapping"),
        size(bytes)
    );
}

/// Every mapping with its origins.
fn rows(text: &mut String, blame: &Blame, paint: Paint) {
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
            let part = if *bytes == mapping.range.size() {
                String::new()
            } else {
                format!("{} {} ", size(*bytes), share(*bytes, mapping.range.size()))
            };
            let _ = writeln!(text, "    {part}{}", origin(blame, &piece.origin, IN_A_LINE));
        }
        if origins.len() > OF_A_ROW {
            let _ = writeln!(text, "    and {} more", origins.len() - OF_A_ROW);
        }
    }
}

/// An origin in a line.
fn origin(blame: &Blame, origin: &Origin, frames: usize) -> String {
    let when = seconds(origin.time_ns);
    let inherited = if origin.inherited { ", inherited by fork" } else { "" };
    match origin.maker {
        Maker::Unseen => "no event tells who made it".to_owned(),
        Maker::Before => format!("there before the recording{inherited}"),
        Maker::Exec => {
            format!("execve #{} {when} {}{inherited}", origin.event, blame.thread(origin))
        }
        Maker::Call(kind) => {
            let line = blame.line(origin, frames);
            let line = if line.is_empty() { "stack unknown".to_owned() } else { line };
            format!(
                "{} #{} {when} {}{inherited}: {line}",
                kind.name(),
                origin.event,
                blame.thread(origin)
            )
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
            stack(text, blame, &first, args.top, paint);
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
    let Maker::Call(kind) = first.maker else { return first.maker.name().to_owned() };
    let last = rank.pieces.iter().map(|piece| piece.origin.time_ns).max().unwrap_or(0);
    let when = if last == first.time_ns {
        seconds(first.time_ns)
    } else {
        format!("{} to {}", seconds(first.time_ns), seconds(last))
    };
    let threads: BTreeSet<u32> = rank.pieces.iter().map(|piece| piece.origin.task).collect();
    let thread = match threads.len() {
        1 => blame.thread(first),
        more => count(more as u64, "thread"),
    };
    format!("{} by {thread}, {when}", kind.name())
}

fn stack(text: &mut String, blame: &Blame, origin: &Origin, most: usize, paint: Paint) {
    let frames = blame.frames(origin);
    // What is inside the C library stands for itself only where there is nothing else.
    let hidden = frames.len() - telling(frames).len();
    for frame in frames.iter().skip(hidden.saturating_sub(1)).take(most) {
        let module = if frame.inlined { "inlined".to_owned() } else { module_name(frame) };
        let source = frame.source.as_deref().unwrap_or_default();
        let source = source.rsplit('/').next().unwrap_or_default();
        let line = format!("{} ({module})", function(frame));
        let _ = write!(text, "{:>24}{line}", "");
        if !source.is_empty() {
            let _ = write!(text, " {}", paint.dim(&printable(source.as_bytes())));
        }
        text.push('\n');
    }
    if frames.len() > hidden + most {
        let _ = writeln!(text, "{:>24}and {} more", "", frames.len() - hidden - most);
    }
}
