//! Text that fits the width of the terminal.

use std::io::IsTerminal as _;
use terminal_size::{Height, Width};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// The narrowest terminal that lines are made for.
const NARROWEST: usize = 40;

/// The width of lines, and the sign for what was cut out of them.
#[derive(Clone, Copy)]
pub(crate) struct Fit {
    /// The number of columns; `None` if lines may have any width.
    pub(crate) width: Option<usize>,
    ellipsis: &'static str,
}

impl Fit {
    /// The width of standard output, if it is a terminal.
    pub(crate) fn of_stdout() -> Fit {
        let stream = std::io::stdout();
        Fit::of(terminal_size::terminal_size_of(&stream).filter(|_| stream.is_terminal()))
    }

    /// The width of standard error, if it is a terminal.
    pub(crate) fn of_stderr() -> Fit {
        let stream = std::io::stderr();
        Fit::of(terminal_size::terminal_size_of(&stream).filter(|_| stream.is_terminal()))
    }

    fn of(size: Option<(Width, Height)>) -> Fit {
        let width = size.map(|(width, _)| usize::from(width.0).max(NARROWEST));
        Fit { width, ellipsis: if is_utf8() { "…" } else { ".." } }
    }

    /// Lines of any width.
    pub(crate) fn unlimited(self) -> Fit {
        Fit { width: None, ..self }
    }

    /// The part of lines behind their first `taken` columns.
    pub(crate) fn behind(self, taken: usize) -> Fit {
        Fit { width: self.width.map(|width| width.saturating_sub(taken)), ..self }
    }

    /// The columns behind the first `taken` columns of a line.
    pub(crate) fn room(self, taken: usize) -> usize {
        self.behind(taken).width.unwrap_or(usize::MAX)
    }

    /// Text in which something was left out, with a sign for it that the locale has.
    pub(crate) fn shortened(self, text: &str) -> String {
        text.replace('…', self.ellipsis)
    }

    /// Cuts text in its middle, so that it has at most `most` columns. More of its end is kept than
    /// of its beginning.
    pub(crate) fn middle(self, text: &str, most: usize) -> String {
        if columns(text) <= most {
            return text.to_owned();
        }
        let rest = most.saturating_sub(columns(self.ellipsis));
        let head = first_columns(text.chars(), rest / 3);
        let tail = first_columns(text.chars().rev(), rest - columns(&head));
        let sign = if rest == 0 { "" } else { self.ellipsis };
        format!("{head}{sign}{}", tail.chars().rev().collect::<String>())
    }

    /// Cuts a path in its middle like [`middle`](Fit::middle), and keeps its last component whole if
    /// that has room.
    pub(crate) fn path(self, text: &str, most: usize) -> String {
        if columns(text) <= most {
            return text.to_owned();
        }
        let Some((directory, last)) = text.rsplit_once('/') else { return self.middle(text, most) };
        match most.checked_sub(columns(last) + 1) {
            Some(rest) if rest > columns(self.ellipsis) => {
                format!("{}/{last}", self.end(directory, rest))
            }
            _ => self.middle(last, most),
        }
    }

    /// Cuts the end of text, so that it has at most `most` columns.
    pub(crate) fn end(self, text: &str, most: usize) -> String {
        if columns(text) <= most {
            return text.to_owned();
        }
        let rest = most.saturating_sub(columns(self.ellipsis));
        let sign = if rest == 0 { "" } else { self.ellipsis };
        format!("{}{sign}", first_columns(text.chars(), rest))
    }

    /// Lines of at most `width` columns, also where there is no terminal.
    pub(crate) fn at_most(self, width: usize) -> Fit {
        Fit { width: Some(self.width.map_or(width, |own| own.min(width))), ..self }
    }

    /// Breaks a paragraph into lines at its blanks. A longer word has a line of its own, and is cut
    /// in its middle.
    pub(crate) fn lines(self, paragraph: &str) -> Vec<String> {
        self.broken(paragraph, |word, width| self.middle(word, width))
    }

    /// Breaks a paragraph into lines at its blanks. A longer word has a line of its own, whole.
    pub(crate) fn whole_lines(self, paragraph: &str) -> Vec<String> {
        self.broken(paragraph, |word, _| word.to_owned())
    }

    fn broken(self, paragraph: &str, fitted: impl Fn(&str, usize) -> String) -> Vec<String> {
        let Some(width) = self.width else { return vec![paragraph.to_owned()] };
        let mut lines: Vec<String> = Vec::new();
        for word in paragraph.split(' ') {
            let word = fitted(word, width);
            match lines.last_mut() {
                Some(line) if columns(line) + 1 + columns(&word) <= width => {
                    line.push(' ');
                    line.push_str(&word);
                }
                _ => lines.push(word),
            }
        }
        lines
    }
}

/// The number of columns that text takes on a terminal.
pub(crate) fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// The first characters, as far as they fit into `most` columns.
fn first_columns(text: impl Iterator<Item = char>, most: usize) -> String {
    let mut used = 0;
    text.take_while(|c| {
        used += c.width().unwrap_or(0);
        used <= most
    })
    .collect()
}

/// Whether the locale's characters are UTF-8, see locale(7).
fn is_utf8() -> bool {
    let set = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(std::env::var_os);
    let locale = set.filter(|value| !value.is_empty()).map(|value| value.to_ascii_lowercase());
    let name = |value: std::ffi::OsString| {
        let name = value.to_string_lossy().into_owned();
        name.ends_with("utf-8") || name.ends_with("utf8") || name.contains("utf-8@")
    };
    locale.map(name).next().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIT: Fit = Fit { width: Some(20), ellipsis: "…" };

    #[test]
    fn cut_text_has_the_width() {
        for text in ["/usr/lib/x86_64-linux-gnu/libc.so.6", "日本語日本語日本語日本語", "a", ""]
        {
            for most in 0..40 {
                assert!(columns(&FIT.middle(text, most)) <= most, "{text} {most}");
                assert!(columns(&FIT.end(text, most)) <= most, "{text} {most}");
                assert!(columns(&FIT.path(text, most)) <= most, "{text} {most}");
            }
            assert_eq!(FIT.middle(text, 40), text);
        }
        assert_eq!(FIT.middle("/usr/lib/x86_64-linux-gnu/libc.so.6", 20), "/usr/l…gnu/libc.so.6");
        assert_eq!(FIT.middle("日本語日本語", 7), "日…本語");
        let path = |most| FIT.path("/usr/lib/x86_64-linux-gnu/libc.so.6", most);
        assert_eq!(path(20), "/usr/lib/…/libc.so.6");
        assert_eq!((path(12), path(8)), ("/…/libc.so.6".to_owned(), "li….so.6".to_owned()));
        assert_eq!(FIT.end("stack of thread 7", 9), "stack of…");
    }

    #[test]
    fn paragraphs_are_broken_at_blanks() {
        assert_eq!(FIT.lines("one two three four five"), ["one two three four", "five"]);
        assert_eq!(FIT.lines(&"x".repeat(30))[0].chars().count(), 20);
        assert_eq!(FIT.unlimited().lines("one two three four five").len(), 1);
    }
}
