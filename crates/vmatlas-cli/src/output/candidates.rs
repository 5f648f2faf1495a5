//! The processes of one name, so that one can be chosen.

use vmatlas::Candidate;
use vmatlas::access::user_name;
use vmatlas::words::{printable, utc};

/// The most processes to list: the newest.
const MAX: usize = 20;
/// The width of a terminal whose width is not known.
const WIDTH: usize = 80;

/// A heading and a line for each process, the newest last.
pub(crate) fn lines(candidates: &[Candidate]) -> Vec<String> {
    let width = terminal_size::terminal_size_of(std::io::stderr());
    let width = width.map_or(WIDTH, |(width, _)| usize::from(width.0));
    let left_out = candidates.len().saturating_sub(MAX);
    let line = |candidate: &Candidate| {
        let started = candidate.started.map_or_else(|| "?".to_owned(), utc);
        let command = printable(&candidate.command_line);
        cut(
            format!("{:>8} {:<10} {started:<19} {command}", candidate.pid, user(candidate.uid)),
            width,
        )
    };
    let mut lines =
        vec![format!("{:>8} {:<10} {:<19} command line", "pid", "user", "started (UTC)")];
    lines.extend((left_out > 0).then(|| format!("{:>8} older ones", format!("{left_out}"))));
    lines.extend(candidates[left_out..].iter().map(line));
    lines
}

/// The name of a user, or the number.
pub(crate) fn user(uid: Option<u32>) -> String {
    match uid {
        Some(uid) => printable(user_name(uid).unwrap_or_else(|| uid.to_string()).as_bytes()),
        None => "?".to_owned(),
    }
}

fn cut(line: String, width: usize) -> String {
    match line.chars().count() > width {
        true => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn lines_are_cut() {
        assert_eq!(cut("abcdef".to_owned(), 4), "abc…");
        assert_eq!(cut("abcd".to_owned(), 4), "abcd");
    }
}
