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

/// A time since 1970 as date and time of day in UTC: `2026-12-01 03:25:00`.
pub(crate) fn utc(since_1970: Duration) -> String {
    /// Days of 400 years.
    const ERA: u64 = 146_097;
    let (days, second) = (since_1970.as_secs() / 86_400, since_1970.as_secs() % 86_400);
    // Years that begin in March end with the leap day. Day 0 is 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year + u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

fn cut(line: String, width: usize) -> String {
    match line.chars().count() > width {
        true => line.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, cut, utc};

    #[test]
    fn dates_and_widths() {
        for seconds in
            [0, 86_399, 68_169_600, 951_782_400, 951_868_800, 1_796_095_500, 4_107_542_400, 1 << 36]
        {
            let date = std::process::Command::new("date")
                .args(["-u", "-d", &format!("@{seconds}"), "+%F %T"])
                .output()
                .unwrap();
            assert_eq!(format!("{}\n", utc(Duration::from_secs(seconds))).as_bytes(), date.stdout);
        }
        assert_eq!(cut("abcdef".to_owned(), 4), "abc…");
        assert_eq!(cut("abcd".to_owned(), 4), "abcd");
    }
}
