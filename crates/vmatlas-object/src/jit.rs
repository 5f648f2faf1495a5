//! Names of code that was compiled while the program ran: perf maps and jitdumps, from bytes.
//!
//! ```
//! use vmatlas_object::jit::JitMap;
//!
//! let (map, errors) = JitMap::parse_perf_map(b"7f0000001000 40 LazyCompile:~main /app.js:3\n");
//! assert!(errors.is_empty());
//! let code = map.find(0x7f00_0000_1010).unwrap();
//! assert_eq!((code.name, code.offset), ("LazyCompile:~main /app.js:3", 0x10));
//! assert!(map.find(0x7f00_0000_1040).is_none());
//! ```
//!
//! Compilers throw code away and put other code in its place: of entries that overlap, the later
//! one has the addresses, and what it leaves of the earlier one stays.
//!
//! # References
//!
//! Linux `tools/perf/Documentation/jit-interface.txt` and `jitdump-specification.txt` (version 2 of
//! the text, version 1 of the format).

mod jitdump;
mod perf_map;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use vmatlas_maps::AddressRange;

/// More pieces of code than any runtime makes: what comes after is an error.
const CODES_LIMIT: usize = 8 << 20;
/// So many errors are kept; one more says that there are more.
const ERRORS_LIMIT: usize = 100;
/// A longer name is cut. Java's have some hundred bytes.
const NAME_LIMIT: usize = 4096;

/// Code of a process and its names.
#[derive(Clone, Debug, Default)]
pub struct JitMap {
    codes: Vec<Code>,
    /// Which code has which addresses, by their start; they do not overlap.
    pieces: BTreeMap<u64, Piece>,
    files: Vec<String>,
}

#[derive(Clone, Debug)]
struct Code {
    start: u64,
    /// Shared by code that moved.
    name: Arc<str>,
    /// By address, sorted.
    lines: Arc<[Line]>,
    /// Where the files of its lines begin in the map's.
    first_file: usize,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// From the start of the code, as it may move.
    offset: u64,
    /// From the code's first file on.
    file: u32,
    line: u32,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    end: u64,
    code: usize,
}

/// The code that an address belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitCode<'a> {
    /// Its name as the runtime gave it; what is not UTF-8 is replaced.
    pub name: &'a str,
    /// The address it begins at.
    pub start: u64,
    /// Bytes from there to the address asked for.
    pub offset: u64,
    /// File and line, where the runtime told.
    pub source: Option<(&'a str, u32)>,
}

/// What is wrong at a place of a perf map or jitdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} ({place})")]
#[non_exhaustive]
pub struct JitError {
    /// What is wrong.
    pub kind: JitErrorKind,
    /// Where.
    pub place: JitPlace,
}

/// A place in a perf map or jitdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JitPlace {
    /// A line of a perf map, from 1.
    Line(usize),
    /// A record of a jitdump, by its byte offset.
    Byte(usize),
}

impl fmt::Display for JitPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JitPlace::Line(line) => write!(f, "line {line}"),
            JitPlace::Byte(offset) => write!(f, "byte {offset:#x}"),
        }
    }
}

/// What can be wrong with a perf map or jitdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JitErrorKind {
    /// A perf map's line is `START SIZE NAME`, both in hexadecimal digits.
    #[error("this is not START SIZE NAME")]
    Row,
    /// A line or record of 0 bytes, or beyond the last address.
    #[error("the code has no bytes or ends beyond the last address")]
    Range,
    /// The bytes do not begin with `JiTD`.
    #[error("this is no jitdump")]
    Magic,
    /// A version of the format that is not known.
    #[error("version {0} of jitdumps is not known")]
    Version(u32),
    /// It ends in a record, as it does while the program is writing.
    #[error("the jitdump ends in the middle of a record")]
    Truncated,
    /// A record is smaller than what must be in it.
    #[error("the record is too small for its kind")]
    Record,
    /// Code that was never loaded is said to move.
    #[error("there is no code where it is moved from")]
    Move,
    /// There is more than any program has; the rest is not read.
    #[error("there are too many entries: the rest is left out")]
    TooMany,
    /// There are more errors than are kept.
    #[error("there are more errors")]
    MoreErrors,
}

impl JitMap {
    /// The code that `address` belongs to.
    pub fn find(&self, address: u64) -> Option<JitCode<'_>> {
        let (_, piece) = self.pieces.range(..=address).next_back()?;
        if piece.end <= address {
            return None;
        }
        let code = &self.codes[piece.code];
        // Part of earlier code may be left below and above later code.
        let offset = address - code.start;
        let before = code.lines.partition_point(|line| line.offset <= offset);
        let line = before.checked_sub(1).map(|last| code.lines[last]);
        let file = |line: Line| self.files[code.first_file + line.file as usize].as_str();
        let source = line.map(|line| (file(line), line.line));
        Some(JitCode { name: &code.name, start: code.start, offset, source })
    }

    /// The addresses that belong to any code, in order; code that touches other code is joined.
    pub fn ranges(&self) -> Vec<AddressRange> {
        let mut ranges: Vec<AddressRange> = Vec::new();
        for (&start, piece) in &self.pieces {
            match ranges.last_mut() {
                Some(last) if last.end == start => *last = last.with_end(piece.end),
                _ => ranges.push(AddressRange::new(start, piece.end)),
            }
        }
        ranges
    }

    /// How many pieces of code there are, those included whose addresses others have taken.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there is no code at all.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Takes all code of `later`, which has the addresses where both have code.
    pub fn extend(&mut self, later: JitMap) {
        let (first_code, first_file) = (self.codes.len(), self.files.len());
        self.files.extend(later.files);
        self.codes.extend(later.codes.into_iter().map(|mut code| {
            code.first_file += first_file;
            code
        }));
        for (start, piece) in later.pieces {
            self.put(start, Piece { code: piece.code + first_code, ..piece });
        }
    }

    fn add(&mut self, size: u64, code: Code) -> Result<(), JitErrorKind> {
        let (start, end) = (code.start, code.start.checked_add(size));
        let end = end.filter(|_| size > 0).ok_or(JitErrorKind::Range)?;
        if self.codes.len() == CODES_LIMIT {
            return Err(JitErrorKind::TooMany);
        }
        self.put(start, Piece { end, code: self.codes.len() });
        self.codes.push(code);
        Ok(())
    }

    /// Gives the addresses to a piece, and takes them from others.
    fn put(&mut self, start: u64, piece: Piece) {
        self.clear(start, piece.end);
        self.pieces.insert(start, piece);
    }

    fn clear(&mut self, start: u64, end: u64) {
        // The one that begins before and reaches in: what is left of it on both sides.
        if let Some((_, before)) = self.pieces.range_mut(..start).next_back()
            && before.end > start
        {
            let rest = *before;
            before.end = start;
            if rest.end > end {
                self.pieces.insert(end, rest);
            }
        }
        while let Some((&at, &inside)) = self.pieces.range(start..end).next() {
            self.pieces.remove(&at);
            if inside.end > end {
                self.pieces.insert(end, inside);
            }
        }
    }
}

impl Code {
    fn new(start: u64, name: &[u8], lines: Vec<Line>) -> Code {
        let name = String::from_utf8_lossy(&name[..name.len().min(NAME_LIMIT)]);
        Code { start, name: name.into(), lines: lines.into(), first_file: 0 }
    }
}

/// Errors, but not without end.
#[derive(Default)]
struct Errors(Vec<JitError>);

impl Errors {
    fn add(&mut self, kind: JitErrorKind, place: JitPlace) {
        match self.0.len() {
            0..ERRORS_LIMIT => self.0.push(JitError { kind, place }),
            ERRORS_LIMIT => self.0.push(JitError { kind: JitErrorKind::MoreErrors, place }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
