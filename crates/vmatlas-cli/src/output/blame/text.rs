//! The text of `vmatlas blame`.

use super::answer::BlameAnswer;
use super::{mappings, stack};
use crate::output::fit::{Fit, columns};
use crate::output::show::table::recorded_title;
use crate::output::style::Paint;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use vmatlas::recording::Maker;
use vmatlas::words::{self, count, seconds, share, size};
use vmatlas::{Blame, BlameBy, Count, Made, Rank};

/// The column of the functions of a stack.
const INDENT: usize = 12;

pub(super) fn text(answer: &BlameAnswer<'_>, paint: Paint) -> String {
    let mut text = String::new();
    heading(&mut text, answer, paint);
    if answer.blame.pieces().is_empty() {
        return text.trim_end().to_owned() + "\n";
    }
    ranking(&mut text, answer, paint);
    if answer.mappings {
        text.push('\n');
        mappings::write(&mut text, answer.blame, answer.count, paint);
    }
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

fn heading(text: &mut String, answer: &BlameAnswer<'_>, paint: Paint) {
    let (blame, what) = (answer.blame, answer.count);
    let bytes: u64 = blame.pieces().iter().map(|piece| piece.range.size()).sum();
    let rows: BTreeSet<usize> = blame.pieces().iter().map(|piece| piece.row).collect();
    let (process, moment) = recorded_title(blame.recorded());
    let option = if answer.mappings || rows.is_empty() { "" } else { " (--mappings)" };
    let sums = format!(
        "{}{option}, {} {}",
        count(rows.len() as u64, "mapping"),
        size(bytes),
        counted(what)
    );
    let fit = Fit::of_stdout();
    let first = format!("{process} {moment}:");
    let is_one_line = columns(&first) + 1 + columns(&sums) <= fit.room(0);
    let process = fit.middle(&process, fit.room(columns(&moment) + 2));
    let between = if is_one_line { " " } else { "\n" };
    let _ = writeln!(text, "{} {moment}:{between}{sums}", paint.bold(&process));
    if let Some((event, time)) =
        blame.recorded().asked().filter(|(event, _)| *event != blame.recorded().event())
    {
        let when = time.map(|time| format!(", {}", seconds(time))).unwrap_or_default();
        let sentence =
            format!("(when its resident pages were last read before event {event}{when})");
        for line in fit.lines(&sentence) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    if what == Count::Touched {
        unattributed(text, blame, bytes);
    }
    text.push('\n');
}

/// Reports the bytes without a recorded page fault.
fn unattributed(text: &mut String, blame: &Blame<'_>, bytes: u64) {
    let unseen = blame.pieces().iter().filter(|piece| piece.origin.maker == Maker::Unseen);
    let unattributed: u64 = unseen.map(|piece| piece.range.size()).sum();
    let sentence = format!(
        "{} {} are not attributed, because no page fault was recorded for them (they were in \
         memory before, the kernel populated them, or they are part of huge pages)",
        size(unattributed),
        share(unattributed, bytes)
    );
    for line in Fit::of_stdout().lines(&sentence) {
        text.push_str(&line);
        text.push('\n');
    }
}

fn ranking(text: &mut String, answer: &BlameAnswer<'_>, paint: Paint) {
    let BlameAnswer { blame, by, top, .. } = *answer;
    let fit = Fit::of_stdout();
    let ranks = blame.ranking(by);
    let all: u64 = ranks.iter().map(|rank| rank.bytes).sum();
    let what = match by {
        BlameBy::Function => "function",
        BlameBy::Module => "module",
        BlameBy::Thread => "thread",
        _ => "call stack",
    };
    let header = format!("{:>7} {:>6} {:>6}  by {what}", "bytes", "share", "events");
    let _ = writeln!(text, "{}", paint.dim(&header));
    for rank in ranks.iter().take(top) {
        let Some(first) = rank.first() else { continue };
        let name = match by {
            BlameBy::Stack => stack_title(rank, &first),
            _ => rank.key.clone(),
        };
        let sums =
            format!("{:>7} {:>6} {:>6}  ", size(rank.bytes), share(rank.bytes, all), rank.events());
        let name = fit.middle(&name, fit.room(columns(&sums)));
        let _ = writeln!(text, "{sums}{}", paint.bold(&name));
        if by == BlameBy::Stack {
            stack::write(text, first.frames(), answer.frames, INDENT, paint);
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

/// The calls, the threads and the time.
fn stack_title(rank: &Rank<'_>, first: &Made<'_>) -> String {
    let origin = first.origin();
    let made = rank.makers().join(", ");
    if !matches!(origin.maker, Maker::Call(_) | Maker::Touch) {
        return made;
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
    format!("{made} by {thread}{when}")
}
