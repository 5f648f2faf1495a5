//! Removes what other programs wrap rows in: quotes and escapes of string literals, markup,
//! colours, the records of container logs.
//!
//! [`Unwrapper`] takes the lines of a text that is no plain listing and hands on the lines inside.
//! Each kind of wrapper is a [`Wrapper`], so that a reader can name what was removed.

mod diff;
mod encoding;
mod lines;
mod literal;
mod markup;
mod terminal;

pub(crate) use encoding::Decoder;
pub(crate) use lines::BrokenLines;
pub(crate) use terminal::{is_coloured_by_grep, remove_colours, undo_cat};

use crate::line::PartialLine;
use crate::maps::MAX_LINE;
use crate::smaps::{field_line, is_smaps_value};
use crate::text::{find_row, find_row_from, row_at_start};
use diff::Diff;
use literal::{Quote, Unclosed, unescape};
use std::borrow::Cow;
use std::fmt;

/// What a text wraps rows in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Wrapper {
    /// UTF-16 or UTF-32, as Windows writes it.
    Encoding,
    /// Quotes and escapes: JSON, literals of a program, logfmt.
    Strings,
    /// Line feeds that a log or a shell escaped: `\n`, `#012`.
    LineFeeds,
    /// Lines that the log of a container has in parts.
    Parts,
    /// Tags and character references of XML or HTML.
    Markup,
    /// A table of Markdown.
    Table,
    /// Escape sequences of a terminal.
    Colours,
    /// The marks of `cat -A`.
    Cat,
    /// Other bytes at the end of each line.
    Ends,
    /// The marks of a diff; rows that were removed.
    Diff,
    /// The left side of `diff -y`.
    LeftSide,
    /// The line ends and `=XX` of a quoted-printable mail.
    Mail,
    /// Line feeds within rows, where a terminal or a mail broke their lines.
    Lines,
}

impl fmt::Display for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wrapper::Encoding => "this is UTF-16 or UTF-32, which was decoded",
            Wrapper::Strings => {
                "rows stand in quotes (JSON, a program's strings, a log): quotes are left out, escapes decoded"
            }
            Wrapper::LineFeeds => "line feeds are escaped (`\\n`, `#012`): rows were split there",
            Wrapper::Parts => "a container's log has lines in parts, which were joined",
            Wrapper::Markup => "this is XML or HTML: tags are left out, `&…;` decoded",
            Wrapper::Table => "rows stand in a table, whose bars are left out",
            Wrapper::Colours => "colours and other sequences of a terminal are left out",
            Wrapper::Cat => "lines end in `$`, as `cat -A` writes them; it is left out",
            Wrapper::Ends => {
                "lines end in the same bytes, which are no part of names; they are left out"
            }
            Wrapper::Diff => "this looks like a diff: what it removes (`-`, `<`, `[-`) is left out",
            Wrapper::LeftSide => {
                "this looks like a diff in two columns: only the right side is read, whose names may be cut"
            }
            Wrapper::Lines => {
                "rows are broken into lines, as terminals and mails do it: their names were joined"
            }
            Wrapper::Mail => "this is a quoted-printable mail: its lines were joined and decoded",
        })
    }
}

/// The longest line that may hold several rows, in bytes: some 300,000 rows in a JSON string.
pub(crate) const MAX_WRAPPED: usize = 32 << 20;
/// How many literals and marks may be inside one another.
const MAX_DEPTH: u32 = 5;

/// Takes a line from inside; returns whether it is a row or a field.
pub(crate) type Sink<'a> = dyn FnMut(&[u8], bool) -> bool + 'a;

/// Unwraps the lines of a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unwrapper {
    /// The literal that goes on in the next line.
    open: Option<Quote>,
    /// The beginning of a row in it, whose line ended in a backslash.
    carry: Vec<u8>,
    /// The text of a literal that ends in the midst of a row. The literal of the next line goes on
    /// with it, as in C and Python.
    unfinished: Vec<u8>,
    /// The beginnings of lines of stdout and stderr.
    parts: [PartialLine; 2],
    markup: bool,
    cdata: bool,
    mail: bool,
    /// A line of a mail whose end is in the next one.
    soft: Vec<u8>,
    found: Vec<Wrapper>,
    dropped: bool,
    diff: Diff,
    /// Whether a line had two rows side by side.
    two_columns: bool,
}

impl Unwrapper {
    /// The wrappers of rows so far, each once.
    pub(crate) fn found(&self) -> &[Wrapper] {
        &self.found
    }

    /// Whether a line that came in parts was longer than a row, and was dropped since the last
    /// question.
    pub(crate) fn take_dropped(&mut self) -> bool {
        std::mem::take(&mut self.dropped)
    }

    pub(crate) fn add(&mut self, wrapper: Wrapper) {
        if !self.found.contains(&wrapper) {
            self.found.push(wrapper);
        }
    }

    /// Unwraps a line of the text; calls `sink` with each line in it. One that is not wrapped is
    /// handed on as it is.
    pub(crate) fn take(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let header = b"content-transfer-encoding:";
        if line.get(..header.len()).is_some_and(|start| start.eq_ignore_ascii_case(header)) {
            let encoding = line[header.len()..].trim_ascii();
            self.mail = encoding.eq_ignore_ascii_case(b"quoted-printable");
        }
        if self.mail {
            return self.take_mail(line, sink);
        }
        if let Some(added) = without_removed(line) {
            self.add(Wrapper::Diff);
            return self.take_line(&added, sink);
        }
        self.take_line(line, sink);
    }

    /// Hands on what is left at the end of the text.
    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) {
        let soft = std::mem::take(&mut self.soft);
        let carry = std::mem::take(&mut self.carry);
        let open = self.open.take();
        for part in std::mem::take(&mut self.parts) {
            if let Some(line) = part.get() {
                self.unwrap(line, 1, sink);
            }
        }
        self.take_line(&soft, sink);
        let mut lines = Vec::new();
        self.diff.finish(&mut lines);
        lines.into_iter().for_each(|line| self.take_plain(&line, sink));
        self.finish_row(sink);
        if let Some(quote) = open {
            self.inside(&carry, &quote, 0, sink);
        }
    }

    /// Hands on the row that no literal went on with.
    fn finish_row(&mut self, sink: &mut Sink<'_>) -> bool {
        let text = std::mem::take(&mut self.unfinished);
        !text.is_empty() && self.lines_inside(&text, 0, sink)
    }

    /// Takes a line; of a diff, what the new file has of it.
    fn take_line(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let plain = match memchr::memchr(0x1b, line) {
            Some(_) => Cow::Owned(remove_colours(line)),
            None => Cow::Borrowed(line),
        };
        let mut lines = Vec::new();
        let removes = self.diff.take(&plain, &mut lines);
        let has_row = |line: &[u8]| find_row(line).is_some();
        if removes.flatten().is_some_and(has_row) {
            self.add(Wrapper::Diff);
        }
        if removes.is_some() && plain.len() < line.len() && has_row(&plain) {
            self.add(Wrapper::Colours);
        }
        lines.iter().for_each(|line| self.take_plain(line, sink));
        if removes.is_none() {
            self.take_plain(line, sink);
        }
    }

    fn take_plain(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let line = match right_side(line, self.two_columns) {
            Some(right) => {
                self.two_columns = true;
                self.add(Wrapper::LeftSide);
                right
            }
            None => line,
        };
        // Python writes `b'…'` for bytes.
        let begins = |quote: Quote| line[..quote.start].trim_ascii().len() < 2;
        if !self.unfinished.is_empty()
            && !Quote::next(line, 0, Unclosed::default()).is_some_and(begins)
        {
            self.finish_row(sink);
        }
        if self.open.is_none() && (self.take_cri(line, sink) || self.take_docker(line, sink)) {
            return;
        }
        self.unwrap(line, 0, sink);
    }

    /// A line of quoted-printable text, RFC 2045: `=` at its end joins it with the next one.
    fn take_mail(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let (body, is_soft) = match line.strip_suffix(b"=") {
            Some(body) => (body, true),
            None => (line, false),
        };
        let mut at = 0;
        while at < body.len() {
            let code = body.get(at + 1..at + 3).and_then(|code| std::str::from_utf8(code).ok());
            let code = code.filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
            match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
                Some(byte) if body[at] == b'=' => {
                    self.add(Wrapper::Mail);
                    self.soft.push(byte);
                    at += 3;
                }
                _ => {
                    self.soft.push(body[at]);
                    at += 1;
                }
            }
        }
        if is_soft && self.soft.len() < MAX_LINE {
            return self.add(Wrapper::Mail);
        }
        let text = std::mem::take(&mut self.soft);
        text.split(|&b| b == b'\n').for_each(|line| self.take_line(line, sink));
    }

    /// A line of a log in the format of the Container Runtime Interface:
    /// `2026-01-01T00:00:00.0Z stderr F text`; `P` for a part of a line.
    fn take_cri(&mut self, line: &[u8], sink: &mut Sink<'_>) -> bool {
        if line.len() < 28 || line[4] != b'-' || line[10] != b'T' {
            return false;
        }
        let mut words = line.splitn(4, |&b| b == b' ');
        let (Some(_), Some(stream), Some(tag)) = (words.next(), words.next(), words.next()) else {
            return false;
        };
        let text = words.next().unwrap_or_default();
        let stream = match stream {
            b"stdout" => 0,
            b"stderr" => 1,
            _ => return false,
        };
        match tag.split(|&b| b == b':').next() {
            Some(b"P") => self.part(stream, text, false, sink),
            Some(b"F") => self.part(stream, text, true, sink),
            _ => return false,
        }
        true
    }

    /// A line of Docker's json-file: `{"log":"text\n","stream":"stderr","time":"…"}`. The text of
    /// a part of a line has no line feed.
    fn take_docker(&mut self, line: &[u8], sink: &mut Sink<'_>) -> bool {
        let Some(rest) = line.trim_ascii_start().strip_prefix(b"{\"log\":") else { return false };
        let Some(quote) = Quote::next(rest, 0, Unclosed::default())
            .filter(|quote| rest[..quote.start].trim_ascii().is_empty())
        else {
            return false;
        };
        let Some((end, behind)) = quote.end(rest, quote.body) else { return false };
        let text = quote.decode(&rest[quote.body..end]);
        let is_stderr = memchr::memmem::find(&rest[behind..], b"\"stderr\"").is_some();
        let mut found = false;
        let (text, is_whole) = match text.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (text.as_slice(), false),
        };
        let mut sink = |line: &[u8], _: bool| {
            let is_row = sink(line, true);
            found |= is_row;
            is_row
        };
        let mut lines = text.split(|&b| b == b'\n').peekable();
        while let Some(line) = lines.next() {
            let is_whole = is_whole || lines.peek().is_some();
            self.part(usize::from(is_stderr), line, is_whole, &mut sink);
        }
        if found {
            self.add(Wrapper::Strings);
        }
        true
    }

    fn part(&mut self, stream: usize, text: &[u8], is_whole: bool, sink: &mut Sink<'_>) {
        let text = if is_whole { text.strip_suffix(b"\r").unwrap_or(text) } else { text };
        if is_whole && self.parts[stream].is_empty() {
            self.unwrap(text, 1, sink);
            return;
        }
        self.dropped |= !self.parts[stream].push(text, MAX_LINE);
        if is_whole {
            let mut line = std::mem::take(&mut self.parts[stream]);
            if let Some(text) = line.get() {
                if find_row_from(text, 0).is_some() {
                    self.add(Wrapper::Parts);
                }
                self.unwrap(text, 1, sink);
            }
            line.clear();
            self.parts[stream] = line;
        }
    }

    /// Unwraps a line that is `depth` wrappers inside; returns whether it has a row.
    fn unwrap(&mut self, line: &[u8], depth: u32, sink: &mut Sink<'_>) -> bool {
        let state = depth == 0 && (self.open.is_some() || self.cdata);
        let wrapped = state
            || self.markup && memchr::memchr2(b'<', b'&', line).is_some()
            || memchr::memchr3(b'"', b'\'', b'<', line).is_some()
            || memchr::memchr3(b'`', 0x1b, b'\\', line).is_some()
            || memchr::memchr2(b'#', b'|', line).is_some()
            || line.first() == Some(&b'-');
        if !wrapped || depth >= MAX_DEPTH {
            return sink(line, depth > 0);
        }
        let plain = memchr::memchr(0x1b, line).map(|_| remove_colours(line));
        if let Some(plain) = plain.filter(|plain| plain.len() < line.len()) {
            let found = self.unwrap(&plain, depth + 1, sink);
            if found {
                self.add(Wrapper::Colours);
            }
            return found;
        }
        if depth == 0 && self.open.is_some() {
            return self.strings(line, depth, sink);
        }
        let quote = Quote::next(line, 0, Unclosed::default()).map_or(line.len(), |q| q.start);
        let tag = markup::tag(line);
        let begins = tag.is_some_and(|tag| tag < quote) && markup::is_markup(line);
        let references = self.markup && quote == line.len() && memchr::memchr(b'&', line).is_some();
        let cdata = depth == 0 && self.cdata;
        // A row that stands before the first quote may have one in its name.
        let in_markup = self.markup
            && tag.is_some_and(|tag| {
                tag < quote || find_row_from(line, 0).is_some_and(|(_, row)| row < quote)
            });
        if begins || references || cdata || in_markup {
            self.markup = true;
            let text = match depth {
                0 => markup::text(line, &mut self.cdata),
                _ => markup::text(line, &mut false),
            };
            let mut found = false;
            for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
                // References are decoded once: names may have `<` and `&`.
                found |= self.strings(line, depth + 1, sink);
            }
            if found {
                self.add(Wrapper::Markup);
            }
            return found;
        }
        self.strings(line, depth, sink)
    }

    /// Unwraps the literals of a line, and the row that stands outside them.
    fn strings(&mut self, line: &[u8], depth: u32, sink: &mut Sink<'_>) -> bool {
        let mut at = 0;
        let mut found = false;
        let mut unclosed = Unclosed::default();
        if let Some(quote) = self.open.take().filter(|_| depth == 0) {
            let trimmed = if self.carry.is_empty() { line } else { line.trim_ascii_start() };
            let Some((end, behind)) = quote.end(trimmed, 0) else {
                return self.goes_on(trimmed, quote, sink);
            };
            let mut inside = std::mem::take(&mut self.carry);
            inside.extend_from_slice(&trimmed[..end]);
            found = self.inside(&inside, &quote, depth, sink);
            at = line.len() - trimmed.len() + behind;
        }
        let mut row = find_row_from(line, at).map(|(_, start)| start);
        loop {
            if row.is_some_and(|row| row < at) {
                row = find_row_from(line, at).map(|(_, start)| start);
            }
            let quote = Quote::next(line, at, unclosed);
            let before = quote.as_ref().map_or(line.len(), |quote| quote.start);
            if let Some(row) = row.filter(|&row| row < before) {
                return self.plain(line, row, depth, sink) || found;
            }
            let Some(quote) = quote else {
                return found || sink(line, depth > 0);
            };
            match quote.end(line, quote.body) {
                Some((end, behind)) => {
                    // What is shorter is no row and no field.
                    if end - quote.body > 8 || !self.unfinished.is_empty() {
                        let inside = &line[quote.body..end];
                        found |= match depth {
                            0 => {
                                let text = self.decoded(inside, &quote);
                                self.piece(&text, line[behind..].trim_ascii().is_empty(), sink)
                            }
                            _ => self.inside(inside, &quote, depth, sink),
                        };
                    }
                    at = behind;
                }
                // YAML and CSV leave a backslash before the last quote as it is.
                None => {
                    unclosed.add(quote.byte);
                    let raw = Quote { raw: true, ..quote.clone() };
                    match raw.end(line, quote.body).filter(|&(_, behind)| is_end(&line[behind..])) {
                        Some((end, behind)) => {
                            found |= self.inside(&line[quote.body..end], &raw, depth, sink);
                            at = behind;
                        }
                        None if depth == 0 && goes_on(line, &quote) => {
                            return self.goes_on(&line[quote.body..], quote, sink) || found;
                        }
                        None => at = quote.start + 1,
                    }
                }
            }
        }
    }

    /// Takes the text of a literal that the line does not end.
    fn goes_on(&mut self, inside: &[u8], quote: Quote, sink: &mut Sink<'_>) -> bool {
        let mut text = std::mem::take(&mut self.carry);
        text.extend_from_slice(inside);
        let backslashes = text.iter().rev().take_while(|&&b| b == b'\\').count();
        let mut found = false;
        if !quote.raw && backslashes % 2 == 1 && text.len() < MAX_LINE {
            text.pop();
            if text.is_empty() || text.ends_with(b"\\n") {
                found = self.inside(&text, &quote, 0, sink);
                text.clear();
            }
            self.carry = text;
        } else {
            found = self.inside(&text, &quote, 0, sink);
        }
        self.open = Some(quote);
        found
    }

    fn decoded(&self, inside: &[u8], quote: &Quote) -> Vec<u8> {
        if self.markup && memchr::memchr(b'\\', inside).is_none() {
            let mut text = Vec::new();
            markup::unescape(inside, &mut text);
            text
        } else {
            quote.decode(inside)
        }
    }

    /// Unwraps the text inside a literal.
    fn inside(&mut self, inside: &[u8], quote: &Quote, depth: u32, sink: &mut Sink<'_>) -> bool {
        let text = self.decoded(inside, quote);
        self.lines_inside(&text, depth, sink)
    }

    /// Unwraps the text inside a literal of the text itself; `is_last` if nothing stands behind it.
    fn piece(&mut self, text: &[u8], is_last: bool, sink: &mut Sink<'_>) -> bool {
        let mut found = false;
        let is_field = field_line(text).is_some_and(|(name, rest)| is_smaps_value(name, rest));
        if is_field || row_at_start(text).is_some() {
            found = self.finish_row(sink);
        }
        let is_more = !self.unfinished.is_empty();
        // A row is far shorter.
        let goes_on = is_last && text.ends_with(b" ") && self.unfinished.len() < MAX_LINE;
        self.unfinished.extend_from_slice(text);
        if goes_on && (is_more || ends_in_row(text)) {
            return true;
        }
        self.finish_row(sink) || found
    }

    /// Unwraps the lines of the text inside a literal.
    fn lines_inside(&mut self, text: &[u8], depth: u32, sink: &mut Sink<'_>) -> bool {
        // The markup of a text is not that of its strings.
        let markup = std::mem::replace(&mut self.markup, false);
        let mut found = false;
        for line in text.split(|&b| b == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                found |= self.unwrap(line, depth + 1, sink);
            }
        }
        self.markup = markup;
        if found {
            self.add(Wrapper::Strings);
        }
        found
    }

    /// Takes a line with a row at `row`, whose name may extend to the end of the line.
    fn plain(&mut self, line: &[u8], row: usize, depth: u32, sink: &mut Sink<'_>) -> bool {
        let rest = &line[row..];
        if depth == 0 && (row == 1 && line[0] == b'-' || row == 2 && line.starts_with(b"< ")) {
            self.add(Wrapper::Diff);
            return false;
        }
        let is_cell = line.trim_ascii_start().starts_with(b"|")
            && line[..row].trim_ascii_end().ends_with(b"|");
        if is_cell {
            let end =
                memchr::memmem::find(rest, b" |").or(rest.strip_suffix(b"|").map(<[u8]>::len));
            if let Some(end) = end {
                self.add(Wrapper::Table);
                let cell = rest[..end].trim_ascii_end();
                return sink(cell, true);
            }
        }
        let separators: [&[u8]; 6] = [b"\\r\\n", b"\\n", b"#012", b"\\012", b"\\x0a", b"\\u000a"];
        for separator in separators {
            let follows = |at: usize| {
                let next = &rest[at + separator.len()..];
                row_at_start(next).is_some() || next.starts_with(b"Size: ")
            };
            if !memchr::memmem::find_iter(rest, separator).any(follows) {
                continue;
            }
            for piece in split_around(rest, separator) {
                match separator[0] {
                    b'\\' => unescape(piece, None).split(|&b| b == b'\n').for_each(|line| {
                        sink(line, true);
                    }),
                    _ => drop(sink(piece, true)),
                }
            }
            self.add(Wrapper::LineFeeds);
            return true;
        }
        sink(if row > 0 && depth > 0 { rest } else { line }, depth > 0)
    }
}

/// A line of `git diff --word-diff` with a row that it removes (`[-…-]`), adds (`{+…+}`) or changes:
/// without the marks and what is removed. Files may have such names, too.
fn without_removed(line: &[u8]) -> Option<Vec<u8>> {
    /// A path has 4096 bytes. The time grows with the square.
    const MAX_MARKED: usize = 16 << 10;
    const MARKS: [([u8; 2], [u8; 2]); 2] = [(*b"[-", *b"-]"), (*b"{+", *b"+}")];
    let mark_at = |at: usize| {
        let (_, close) = MARKS.iter().find(|(open, _)| line[at..].starts_with(open))?;
        let end = memchr::memmem::find(&line[at + 2..], close)?;
        Some((at + 2, at + 2 + end))
    };
    if line.len() > MAX_MARKED {
        return None;
    }
    let first = memchr::memchr2_iter(b'[', b'{', line).find(|&at| mark_at(at).is_some())?;
    // A mark inside the name of a row may be a part of it.
    let is_in_name = row_at_start(line).is_some_and(|row| first > line.len() - row.name.len());
    if is_in_name {
        return None;
    }
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < line.len() {
        match mark_at(at).filter(|_| at >= first) {
            Some((start, end)) => {
                let side = if line[at] == b'[' { &mut before } else { &mut after };
                side.extend_from_slice(&line[start..end]);
                at = end + 2;
            }
            None => {
                before.push(line[at]);
                after.push(line[at]);
                at += 1;
            }
        }
    }
    let has_row = |text: &[u8]| row_at_start(text).is_some();
    (has_row(&before) || has_row(&after)).then_some(after)
}

/// The right side of a line of `diff -y` that has two rows side by side, or, if such lines were seen
/// (`is_known`), one on its left side alone: empty if the line is only there.
pub(crate) fn right_side(line: &[u8], is_known: bool) -> Option<&[u8]> {
    // Most lines have neither.
    if !is_known
        && memchr::memchr(b'\t', line).is_none()
        && memchr::memmem::find(line, b"  ").is_none()
    {
        return None;
    }
    let (row, at) = find_row(line)?;
    let name = row.name;
    // The gutter has blanks and one mark.
    let gutter = |text: &[u8]| {
        let trimmed = text.trim_ascii_end();
        let without = match trimmed.split_last() {
            Some((mark, before)) if b"|<>()\\/".contains(mark) => before,
            _ => trimmed,
        };
        let blanks = &text[without.trim_ascii_end().len()..];
        (blanks.contains(&b'\t') || blanks.len() > 1).then_some(without.trim_ascii_end().len())
    };
    let start = line.len() - name.len();
    if let Some((right, second)) = find_row_from(line, start) {
        // Both may have the same text before them, with other numbers.
        let is_same = |(a, b): (&u8, &u8)| a == b || a.is_ascii_digit() && b.is_ascii_digit();
        let left = &line[..at];
        let between = &line[start..second];
        let between = match between.len().checked_sub(at) {
            Some(end) if between[end..].iter().zip(left).all(is_same) => &between[..end],
            _ => between,
        };
        // More rows on a line are something else.
        let is_last = find_row_from(line, line.len() - right.name.len()).is_none();
        return gutter(between).filter(|_| is_last).map(|_| &line[second..]);
    }
    let is_left = |mark: u8| name.ends_with(&[mark]) && gutter(name).is_some();
    if !is_known || at > 0 && line[..at].contains(&b'>') {
        return None;
    }
    match is_left(b'<') {
        true => Some(b""),
        // The same on both sides.
        false if is_left(b'(') => Some(&line[at..line.len() - name.len() + gutter(name)?]),
        false => None,
    }
}

/// The parts of a text between occurrences of `separator`.
pub(crate) fn split_around<'a>(
    text: &'a [u8],
    separator: &'a [u8],
) -> impl Iterator<Item = &'a [u8]> {
    let mut from = 0;
    memchr::memmem::find_iter(text, separator).chain([text.len()]).map(move |at| {
        let part = text.get(from..at).unwrap_or_default();
        from = at + separator.len();
        part
    })
}

/// Whether a text ends in the midst of a row, before its name or at a blank in it. The kernel puts one
/// blank behind the inode of a row without a name.
fn ends_in_row(text: &[u8]) -> bool {
    let last = text.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    row_at_start(last)
        .is_some_and(|row| row.inode != 0 || !row.name.is_empty() || last.ends_with(b"  "))
}

/// Whether a line may go on like this behind a literal.
fn is_end(behind: &[u8]) -> bool {
    behind.trim_ascii_start().first().is_none_or(|b| b",;)]}".contains(b))
}

/// Whether a literal without an end on its line goes on in the next one: it begins with a row, or
/// nothing but a backslash follows its quote.
fn goes_on(line: &[u8], quote: &Quote) -> bool {
    let inside = &line[quote.body..];
    let is_value = || {
        let before = line[..quote.start].trim_ascii_end();
        before.last().is_none_or(|b| b"([{=,:+>rb#R$".contains(b))
    };
    row_at_start(inside.trim_ascii_start()).is_some()
        || inside.is_empty() && is_value()
        || inside == b"\\"
        || inside == b"\\n\\"
}

/// Whether a first line that is a row shows that rows are wrapped in something.
pub(crate) fn is_wrapped(line: &[u8], name: &[u8]) -> bool {
    let mut unwrapper = Unwrapper::default();
    let escaped = memchr::memchr2(b'\\', b'#', name).is_some();
    if escaped {
        unwrapper.plain(line, 0, 0, &mut |_, _| true);
    }
    let has = |word: &[u8]| memchr::memmem::find(name, word).is_some();
    if right_side(line, false).is_some() || name.ends_with(b"\t<") {
        return true;
    }
    let is_markup = name.ends_with(b">") && (has(b"<br") || has(b"</"));
    !unwrapper.found.is_empty() || is_coloured_by_grep(name) || is_markup
}
