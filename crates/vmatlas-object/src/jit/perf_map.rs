//! `/tmp/perf-PID.map`: one line of text for each piece of code.

use super::{Code, Errors, JitError, JitErrorKind, JitMap, JitPlace};
use crate::budget::Budget;
use vmatlas_maps::PartialLine;

/// The longest line: names are cut at [`MAX_NAME`] bytes.
const MAX_LINE: usize = 64 << 10;

impl JitMap {
    /// Reads a perf map: lines of `START SIZE NAME` with hexadecimal numbers, with or without `0x`;
    /// the name may contain spaces. An invalid line is skipped and reported as an error. The last
    /// line needs no newline. The names take memory from the budget.
    pub fn parse_perf_map(bytes: &[u8], budget: &Budget) -> (JitMap, Vec<JitError>) {
        let mut reader = PerfMapReader::new(true, budget.clone());
        reader.push(bytes);
        reader.finish()
    }
}

/// Reads a perf map in chunks, as [`JitMap::parse_perf_map`] does.
///
/// ```
/// use vmatlas_object::{Budget, jit::PerfMapReader};
/// let mut reader = PerfMapReader::new(false, Budget::default());
/// reader.push(b"1000 1");
/// reader.push(b"0 main\n1010 10 other");
/// let (map, errors) = reader.finish();
/// assert!(errors.is_empty());
/// assert_eq!(map.ranges()[0].size(), 0x20);
/// ```
#[derive(Debug)]
pub struct PerfMapReader {
    map: JitMap,
    errors: Errors,
    with_names: bool,
    partial: PartialLine,
    line: usize,
    budget: Budget,
    /// The bytes taken from it.
    taken: u64,
    is_full: bool,
}

impl PerfMapReader {
    /// Keeps only the ranges of the code unless `with_names`; they take memory from the budget.
    pub fn new(with_names: bool, budget: Budget) -> PerfMapReader {
        PerfMapReader {
            map: JitMap::default(),
            errors: Errors::default(),
            with_names,
            partial: PartialLine::default(),
            line: 0,
            budget,
            taken: 0,
            is_full: false,
        }
    }

    /// Whether it keeps no more code, because the budget is exceeded.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Reads the next chunk.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if !self.budget.has_time() {
            self.end(JitErrorKind::OverBudget);
        }
        while !self.is_full
            && let Some(end) = bytes.iter().position(|&byte| byte == b'\n')
        {
            match self.partial.is_empty() {
                true => self.take_line(&bytes[..end]),
                false => {
                    self.keep(&bytes[..end]);
                    self.end_line();
                }
            }
            bytes = &bytes[end + 1..];
        }
        if !self.is_full {
            self.keep(bytes);
        }
    }

    /// The code, and the errors.
    pub fn finish(mut self) -> (JitMap, Vec<JitError>) {
        self.end_line();
        (self.map, self.errors.0)
    }

    fn keep(&mut self, bytes: &[u8]) {
        if !self.partial.push(bytes, MAX_LINE) {
            self.line += 1;
            self.errors.add(JitErrorKind::Row, JitPlace::Line(self.line));
        }
    }

    fn end_line(&mut self) {
        let partial = std::mem::take(&mut self.partial);
        if let Some(line) = partial.get() {
            self.take_line(line);
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        self.line += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || self.is_full {
            return;
        }
        let added = row(line).ok_or(JitErrorKind::Row).and_then(|(start, size, name)| {
            match self.with_names {
                true => self.map.add(size, Code::new(start, name, Vec::new())),
                false => self.map.add_range(start, size),
            }
        });
        if let Err(kind) = added {
            self.errors.add(kind, JitPlace::Line(self.line));
        }
        if let Err(kind) = self.map.take_memory(&mut self.taken, 0, &self.budget) {
            self.end(kind);
        }
    }

    /// Keeps no more code.
    fn end(&mut self, why: JitErrorKind) {
        if !self.is_full {
            self.errors.add(why, JitPlace::Line(self.line));
            self.is_full = true;
        }
    }
}

fn row(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let (start, size) = (hex(words.next()?)?, hex(words.next()?)?);
    let name = words.next()?.trim_ascii();
    (!name.is_empty()).then_some((start, size, name))
}

fn hex(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"0x").unwrap_or(word);
    // `from_str_radix` takes a sign as well.
    if !digits.first()?.is_ascii_hexdigit() {
        return None;
    }
    u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}
