//! Colors, as in pwndbg.

use crate::args::Color;
use anstyle::{AnsiColor, Style};
use std::io::IsTerminal as _;
use vmatlas::{Kind, Mapping};

/// Whether to color the output.
pub(crate) fn wanted(color: Color) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stdout().is_terminal()
                && !is_dumb()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// Whether the terminal knows no escape sequences, so neither colors nor a pager.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|name| name == "dumb")
}

/// The style of a mapping: stack yellow, heap blue, code red, data purple, guard and reserved
/// cyan; writable and executable underlined.
pub(crate) fn of(row: &Mapping<'_>) -> Style {
    let color = match row.kind() {
        Kind::Stack | Kind::ThreadStack { .. } => Some(AnsiColor::Yellow),
        Kind::Heap => Some(AnsiColor::Blue),
        _ if row.perms.execute() => Some(AnsiColor::Red),
        _ if row.perms.none() => Some(AnsiColor::Cyan),
        _ if row.perms.write() => Some(AnsiColor::Magenta),
        _ => None,
    };
    let style = Style::new().fg_color(color.map(Into::into));
    if row.perms.write() && row.perms.execute() { style.underline() } else { style }
}

/// The style of a line of a comparison, by its sign.
pub(crate) fn change(sign: char) -> Style {
    let color = match sign {
        '+' => AnsiColor::Green,
        '-' => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    Style::new().fg_color(Some(color.into()))
}

/// Paints text, or leaves it plain.
#[derive(Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(Style::new().dimmed(), text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint(Style::new().bold(), text)
    }
}
