//! Names of code compiled at run time, from the bytes of perf maps and jitdumps.
//!
//! ```
//! use vmatlas_object::{Budget, jit::JitMap};
//!
//! let text = b"7f0000001000 40 LazyCompile:~main /app.js:3\n";
//! let (map, errors) = JitMap::parse_perf_map(text, &Budget::default());
//! assert!(errors.is_empty());
//! let code = map.find(0x7f00_0000_1010).unwrap();
//! assert_eq!((code.name, code.offset), ("LazyCompile:~main /app.js:3", 0x10));
//! assert!(map.find(0x7f00_0000_1040).is_none());
//! ```
//!
//! Compilers discard code and reuse its addresses. If entries overlap, the later entry owns the
//! shared addresses and the earlier entry keeps the rest.
//!
//! # References
//!
//! Linux `tools/perf/Documentation/jit-interface.txt` and `jitdump-specification.txt` (version 2 of
//! the text, version 1 of the format).

mod jitdump;
mod perf_map;

pub use perf_map::PerfMapReader;

use crate::budget::{Budget, Lease};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use vmatlas_maps::AddressRange;

/// Number of errors kept; one more entry reports that there are others.
const MAX_ERRORS: usize = 100;
/// Memory is taken from a budget in steps of so many bytes.
const STEP: u64 = 64 << 10;
/// The counts before the bytes of an `Arc`.
const NAME_HEADER: usize = 16;
/// Longer names are truncated. Java names have some hundred bytes.
const MAX_NAME: usize = 4096;

/// The JIT-compiled code of a process and its names.
#[derive(Debug, Default)]
pub struct JitMap {
    codes: Vec<Code>,
    /// Pieces of code by start address; they do not overlap.
    pieces: BTreeMap<u64, Piece>,
    files: Vec<String>,
    /// The bytes of names and lines of `codes`, and of `files`.
    texts: u64,
    leases: Vec<Lease>,
}

#[derive(Clone, Debug)]
struct Code {
    start: u64,
    /// Shared with the pieces of code that moved.
    name: Arc<str>,
    /// Sorted by address.
    lines: Arc<[Line]>,
    /// Index in the map of the first file of this code.
    first_file: usize,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// Offset from the start of the code, which may move.
    offset: u64,
    /// Index relative to the first file of the code.
    file: u32,
    line: u32,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    end: u64,
    code: usize,
}

/// The piece of JIT-compiled code that contains an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitCode<'a> {
    /// The name from the runtime; invalid UTF-8 is replaced.
    pub name: &'a str,
    /// The start address.
    pub start: u64,
    /// Bytes from `start` to the requested address.
    pub offset: u64,
    /// File and line, if the runtime recorded them.
    pub source: Option<(&'a str, u32)>,
}

/// An error in a perf map or jitdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} ({place})")]
#[non_exhaustive]
pub struct JitError {
    /// The kind of error.
    pub kind: JitErrorKind,
    /// The place of the error.
    pub place: JitPlace,
}

/// A place in a perf map or jitdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JitPlace {
    /// A line of a perf map, from 1.
    Line(usize),
    /// A record of a jitdump, by its offset in bytes.
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

/// The kind of an error in a perf map or jitdump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JitErrorKind {
    /// A line of a perf map is not `START SIZE NAME` with hexadecimal numbers.
    #[error("this is not START SIZE NAME")]
    Row,
    /// A line or record has 0 bytes or exceeds the address range.
    #[error("the code has no bytes or ends beyond the last address")]
    Range,
    /// The bytes do not begin with `JiTD`.
    #[error("this is no jitdump")]
    Magic,
    /// The format version is unknown.
    #[error("version {0} of jitdumps is not known")]
    Version(u32),
    /// The file ends inside a record, as it does while the program is writing.
    #[error("the jitdump ends in the middle of a record")]
    Truncated,
    /// A record is smaller than its required fields.
    #[error("the record is too small for its kind")]
    Record,
    /// A record moves code that no record loaded.
    #[error("the record moves code from an address without code")]
    Move,
    /// The rest takes more memory or time than the [`Budget`] has left; it is not read.
    #[error("the rest is left out: it would take more memory or time than there is")]
    OverBudget,
    /// There are more errors than the list keeps.
    #[error("there are more errors")]
    MoreErrors,
}

impl JitMap {
    /// Finds the code that contains `address`.
    pub fn find(&self, address: u64) -> Option<JitCode<'_>> {
        let (_, piece) = self.pieces.range(..=address).next_back()?;
        if piece.end <= address {
            return None;
        }
        let code = self.codes.get(piece.code)?;
        // Later code may split earlier code into a part below and a part above.
        let offset = address - code.start;
        let before = code.lines.partition_point(|line| line.offset <= offset);
        let line = before.checked_sub(1).map(|last| code.lines[last]);
        let file = |line: Line| self.files[code.first_file + line.file as usize].as_str();
        let source = line.map(|line| (file(line), line.line));
        Some(JitCode { name: &code.name, start: code.start, offset, source })
    }

    /// The address ranges of all code, in order; adjacent ranges are joined.
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

    /// The number of pieces of code, including pieces that later code replaced.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether the map has no code.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Adds all code of `later`, which owns the addresses where both have code.
    pub fn extend(&mut self, later: JitMap) {
        if self.is_empty() && self.pieces.is_empty() {
            *self = later;
            return;
        }
        let (first_code, first_file) = (self.codes.len(), self.files.len());
        self.files.extend(later.files);
        self.texts += later.texts;
        self.leases.extend(later.leases);
        self.codes.extend(later.codes.into_iter().map(|mut code| {
            code.first_file += first_file;
            code
        }));
        for (start, piece) in later.pieces {
            self.put(start, Piece { code: piece.code + first_code, ..piece });
        }
    }

    fn add(&mut self, size: u64, code: Code) -> Result<(), JitErrorKind> {
        self.texts += (code.name.len() + std::mem::size_of_val(&*code.lines)) as u64;
        self.add_shared(size, code)
    }

    /// Adds code whose name and lines other code has too.
    fn add_shared(&mut self, size: u64, code: Code) -> Result<(), JitErrorKind> {
        let (start, end) = (code.start, code.start.checked_add(size));
        let end = end.filter(|_| size > 0).ok_or(JitErrorKind::Range)?;
        self.put(start, Piece { end, code: self.codes.len() });
        self.codes.push(code);
        Ok(())
    }

    /// Adds a range without a name. A map has either ranges or code.
    fn add_range(&mut self, start: u64, size: u64) -> Result<(), JitErrorKind> {
        let end = start.checked_add(size).filter(|_| size > 0).ok_or(JitErrorKind::Range)?;
        self.put(start, Piece { end, code: 0 });
        Ok(())
    }

    /// The memory that it takes, in bytes.
    fn size_in_memory(&self) -> u64 {
        // A piece has 24 bytes, the nodes of a tree that grows at its end are half full, and
        // `ranges` takes 16 more.
        let (code, piece) = (size_of::<Code>() + NAME_HEADER, 72);
        (self.codes.len() * code + self.pieces.len() * piece) as u64 + self.texts
    }

    /// Takes what it has grown by from the budget, which it gives back when it is dropped.
    fn take_memory(
        &mut self,
        taken: &mut u64,
        more: u64,
        budget: &Budget,
    ) -> Result<(), JitErrorKind> {
        let size = self.size_in_memory() + more;
        if size < *taken + STEP {
            return Ok(());
        }
        let lease = budget.take("names of compiled code", size - *taken);
        self.leases.push(lease.map_err(|_| JitErrorKind::OverBudget)?);
        *taken = size;
        Ok(())
    }

    /// Assigns the addresses to `piece` and removes them from other pieces.
    fn put(&mut self, start: u64, piece: Piece) {
        self.clear(start, piece.end);
        self.pieces.insert(start, piece);
    }

    fn clear(&mut self, start: u64, end: u64) {
        // An earlier piece that overlaps keeps its parts on both sides.
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
        let name = String::from_utf8_lossy(&name[..name.len().min(MAX_NAME)]);
        Code { start, name: name.into(), lines: lines.into(), first_file: 0 }
    }
}

/// A list of errors with a bounded length.
#[derive(Debug, Default)]
struct Errors(Vec<JitError>);

impl Errors {
    fn add(&mut self, kind: JitErrorKind, place: JitPlace) {
        match self.0.len() {
            0..MAX_ERRORS => self.0.push(JitError { kind, place }),
            MAX_ERRORS => self.0.push(JitError { kind: JitErrorKind::MoreErrors, place }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
