//! Text on a terminal, through `$PAGER` if it is longer than the screen.

use crate::trouble::Trouble;
use std::io::{IsTerminal as _, Write as _};
use std::process::{Command, Stdio};

/// Writes text to standard output.
pub(super) fn print(text: &str, is_paged: bool) -> Result<(), Trouble> {
    if let Some(pager) = pager(text).filter(|_| is_paged) {
        // F: less exits at once if the text fits after all; R: it passes colors on; K: it exits on
        // Ctrl-C.
        let less = std::env::var("LESS").unwrap_or_else(|_| "FRXK".to_owned());
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

fn pager(text: &str) -> Option<String> {
    let stdout = std::io::stdout();
    let (_, height) = terminal_size::terminal_size_of(&stdout).filter(|_| stdout.is_terminal())?;
    let long = text.lines().count() >= usize::from(height.0);
    let pager = std::env::var("PAGER").unwrap_or_else(|_| "less".to_owned());
    (long && !pager.is_empty()).then_some(pager)
}
