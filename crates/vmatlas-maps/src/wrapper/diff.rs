//! The lines of a diff: which of them the new file has.

use std::borrow::Cow;

/// The most bytes of lines that are kept until the new side of a context diff shows.
const MAX_KEPT: usize = 16 << 20;
/// The most parents of a combined diff.
const MAX_PARENTS: usize = 16;

/// Follows the hunks of `diff`, `diff -u`, `diff -c` and `git diff`, also of merges.
#[derive(Clone, Debug, Default)]
pub(super) struct Diff {
    /// What a mail or an indented text has before each line of the diff.
    quoted: Vec<u8>,
    hunk: Hunk,
    /// The unchanged lines of the old side of a context diff, which its new side may leave out.
    kept: Vec<Vec<u8>>,
    kept_bytes: usize,
}

#[derive(Clone, Debug, Default)]
enum Hunk {
    #[default]
    None,
    /// `@@ -1,8 +1,8 @@`, of a merge `@@@ -1,8 -1,8 +1,8 @@@`: the lines left of each parent and of
    /// the result.
    Unified { parents: Vec<u64>, result: u64 },
    /// `3c3`, with `<` and `>` before lines.
    Normal,
    /// `*** 1,8 ****`.
    Old,
    /// `--- 1,8 ----`; whether a line of it was seen.
    New(bool),
}

impl Diff {
    /// Takes a line; adds to `lines` those that the new file has. Returns what the line
    /// removes, if it does; `None` if it is of no diff.
    pub(super) fn take<'l>(
        &mut self,
        line: &'l [u8],
        lines: &mut Vec<Cow<'l, [u8]>>,
    ) -> Option<Option<&'l [u8]>> {
        if !matches!(self.hunk, Hunk::None) {
            let found = self.behind_quotes(line).and_then(|line| self.line(line, lines));
            if found.is_some() {
                return found;
            }
        }
        let hunk = self.header(line);
        if !matches!(hunk, Some(Hunk::New(_))) {
            self.finish(lines);
        }
        self.hunk = hunk.unwrap_or_default();
        (!matches!(self.hunk, Hunk::None)).then_some(None)
    }

    /// Adds the lines that are kept.
    pub(super) fn finish(&mut self, lines: &mut Vec<Cow<'_, [u8]>>) {
        self.kept_bytes = 0;
        lines.extend(self.kept.drain(..).map(Cow::Owned));
    }

    fn behind_quotes<'l>(&self, line: &'l [u8]) -> Option<&'l [u8]> {
        match line.strip_prefix(self.quoted.as_slice()) {
            Some(line) => Some(line),
            // Blanks at the end of a line are lost.
            None if line.trim_ascii_end() == self.quoted.trim_ascii_end() => Some(b""),
            None => None,
        }
    }

    /// The hunk that a line begins.
    fn header(&mut self, line: &[u8]) -> Option<Hunk> {
        let quoted = line.iter().take_while(|b| b" \t>|".contains(b)).count();
        let (before, header) = line.split_at(quoted);
        let hunk = match header.first()? {
            b'@' => unified(header)?,
            b'*' if is_context(header, b"*** ", b" ****") => Hunk::Old,
            b'-' if is_context(header, b"--- ", b" ----") && matches!(self.hunk, Hunk::Old) => {
                Hunk::New(false)
            }
            b'0'..=b'9' if is_normal(header) => Hunk::Normal,
            _ => return None,
        };
        self.quoted = before.to_vec();
        Some(hunk)
    }

    /// Takes a line of a hunk; `None` if it is no such line.
    fn line<'l>(
        &mut self,
        line: &'l [u8],
        lines: &mut Vec<Cow<'l, [u8]>>,
    ) -> Option<Option<&'l [u8]>> {
        match &mut self.hunk {
            Hunk::None => None,
            Hunk::Unified { parents, result } => {
                if *result == 0 && parents.iter().all(|left| *left == 0) {
                    return None;
                }
                if line.starts_with(b"\\") {
                    return Some(None);
                }
                // Mails leave out blanks at the end of a line.
                let columns = &line[..parents.len().min(line.len())];
                if !columns.iter().all(|column| b" +-".contains(column)) {
                    return None;
                }
                let is_removed = columns.contains(&b'-');
                for (index, left) in parents.iter_mut().enumerate() {
                    let column = columns.get(index).copied().unwrap_or(b' ');
                    if column == b'-' || column == b' ' && !is_removed {
                        *left = left.saturating_sub(1);
                    }
                }
                if !is_removed {
                    *result = result.saturating_sub(1);
                    lines.push(Cow::Borrowed(&line[columns.len()..]));
                }
                Some(is_removed.then(|| &line[columns.len()..]))
            }
            Hunk::Normal => match line {
                [b'<', b' ', rest @ ..] => Some(Some(rest)),
                [b'>', b' ', rest @ ..] => {
                    lines.push(Cow::Borrowed(rest));
                    Some(None)
                }
                b">" | b"<" | b"---" | [b'\\', ..] => Some(None),
                _ => None,
            },
            Hunk::Old => match line {
                [b'!' | b'-', b' ', rest @ ..] => Some(Some(rest)),
                [b' ', b' ', rest @ ..] => {
                    self.kept_bytes += rest.len();
                    if self.kept_bytes > MAX_KEPT {
                        self.finish(lines);
                    }
                    self.kept.push(rest.to_vec());
                    Some(None)
                }
                [] | [b'\\', ..] => Some(None),
                _ => None,
            },
            Hunk::New(is_seen) => match line {
                [b'!' | b'+' | b' ', b' ', rest @ ..] => {
                    if !std::mem::replace(is_seen, true) {
                        self.kept.clear();
                        self.kept_bytes = 0;
                    }
                    lines.push(Cow::Borrowed(rest));
                    Some(None)
                }
                [] | [b'\\', ..] => Some(None),
                _ => None,
            },
        }
    }
}

/// Parses `@@ -1,8 +1,8 @@`, with more `@` for each further parent.
fn unified(header: &[u8]) -> Option<Hunk> {
    let marks = header.iter().take_while(|b| **b == b'@').count();
    if !(2..=MAX_PARENTS + 1).contains(&marks) {
        return None;
    }
    let mut words = header[marks..].split(|&b| b == b' ').filter(|word| !word.is_empty());
    let mut count = |sign: u8| {
        let range = words.next()?.strip_prefix(&[sign])?;
        let range = std::str::from_utf8(range).ok()?;
        match range.split_once(',') {
            Some((_, count)) => count.parse::<u64>().ok(),
            None => range.parse::<u64>().ok().map(|_| 1),
        }
    };
    let parents = (1..marks).map(|_| count(b'-')).collect::<Option<Vec<u64>>>()?;
    let result = count(b'+')?;
    let end = words.next()?;
    (end == &header[..marks]).then_some(Hunk::Unified { parents, result })
}

/// Whether a line is `*** 1,8 ****` or `--- 1,8 ----`.
fn is_context(header: &[u8], start: &[u8], end: &[u8]) -> bool {
    let range = header.strip_prefix(start).and_then(|rest| rest.trim_ascii_end().strip_suffix(end));
    range.is_some_and(is_range)
}

/// Whether a line is `3c3`, `1,3d0` or `8a9,12`.
fn is_normal(header: &[u8]) -> bool {
    let mut sides = header.trim_ascii_end().splitn(2, |b| b"acd".contains(b));
    let (Some(old), Some(new)) = (sides.next(), sides.next()) else { return false };
    is_range(old) && is_range(new)
}

fn is_range(text: &[u8]) -> bool {
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    text.splitn(2, |b| *b == b',').all(is_number)
}
