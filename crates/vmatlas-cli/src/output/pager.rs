//! Text on a terminal, through `$PAGER` if it is longer than the screen.

use super::style;
use crate::trouble::Trouble;
use std::io::{IsTerminal as _, StdoutLock, Write as _};
use std::process::{Command, Stdio};

/// Whether long text goes through a pager.
pub(super) fn may_page(stdout: &StdoutLock<'_>) -> bool {
    stdout.is_terminal() && !style::is_dumb()
}

/// Writes text to a terminal. `heading` is that of its table.
pub(super) fn print(text: &str, heading: Option<&str>) -> Result<(), Trouble> {
    if let Some(pager) = pager(text) {
        let less = std::env::var("LESS").unwrap_or_else(|_| options(heading));
        let spawned =
            Command::new("sh").arg("-c").arg(pager).env("LESS", less).stdin(Stdio::piped()).spawn();
        if let Ok(mut child) = spawned {
            if let Some(mut input) = child.stdin.take() {
                // It is no error if the user quits the pager before the end.
                drop(input.write_all(text.as_bytes()));
            }
            if child.wait().is_ok_and(|status| !matches!(status.code(), Some(126 | 127))) {
                return Ok(());
            }
        }
    }
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// The options of less. F: it exits at once if the text fits after all; R: it passes colors on; K:
/// it exits on Ctrl-C; Ps: its prompt, which ends with `$`. The prompt is the heading, because
/// `--header` of less takes only the first lines of a text, and less has it since version 600 only.
fn options(heading: Option<&str>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_');
    match heading.filter(|heading| heading.chars().all(is_plain)) {
        Some(heading) => format!("FRXKPs{heading}?e  (END).$"),
        None => "FRXK".to_owned(),
    }
}

fn pager(text: &str) -> Option<String> {
    let (_, height) = terminal_size::terminal_size_of(std::io::stdout())?;
    let long = text.lines().count() >= usize::from(height.0);
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    (long && !pager.is_empty()).then_some(pager)
}
