//! The processes of one name, so that one can be chosen.

use std::time::Duration;
use vmatlas::Candidate;
use vmatlas::access::user_name;
use vmatlas::words::printable;

/// The most processes to list: the newest.
const MAX: usize = 20;
/// The width of a terminal whose width is not known.
const WIDTH: usize = 80;

/// A heading and a line for each process, the newest last.
pub(crate) fn lines(candidates: &[Candidate]) -> Vec<String> {
    let width = terminal_size::terminal_size_of(std::io::stderr());
    let width = width.map_or(WIDTH, |(width, _)| usize::from(width.0));
    let left_out = candidates.len().saturating_sub(MAX);
    let user = |candidate: &Candidate| match candidate.uid {
        Some(uid) => printable(user_name(uid).unwrap_or_else(|| uid.to_string()).as_bytes()),
        None => "?".to_owned(),
    };
    let line = |candidate: &Candidate| {
        let age = candidate.age.map_or_else(|| "?".to_owned(), age);
        let command = printable(&candidate.command_line);
        cut(format!("{:>8} {:<10} {age:>9} {command}", candidate.pid, user(candidate)), width)
    };
    let mut lines = vec![format!("{:>8} {:<10} {:>9} command line", "pid", "user", "started")];
    lines.extend((left_out > 0).then(|| format!("{:>8} older ones", format!("{left_out}"))));
    lines.extend(candidates[left_out..].iter().map(line));
    lines
}

/// When a process started, in the largest unit: `3 min ago`.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(24 * 3600, "d"), (3600, "h"), (60, "min")];
    let (size, unit) = units.into_iter().find(|(size, _)| seconds >= *size).unwrap_or((1, "s"));
    format!("{} {unit} ago", seconds / size)
}

fn cut(line: String, width: usize) -> String {
    match line.chars().count() > width {
        true => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, age, cut};

    #[test]
    fn ages_and_widths() {
        let shown = |seconds| age(Duration::from_secs(seconds));
        assert_eq!(shown(0), "0 s ago");
        assert_eq!(shown(3599), "59 min ago");
        assert_eq!(shown(90000), "1 d ago");
        assert_eq!(cut("abcdef".to_owned(), 4), "abc…");
        assert_eq!(cut("abcd".to_owned(), 4), "abcd");
    }
}
