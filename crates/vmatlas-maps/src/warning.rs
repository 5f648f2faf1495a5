//! Warnings about a text that was parsed anyway.

use crate::escape;
use crate::parse::{RowError, RowErrorKind};
use crate::range::AddressRange;
use crate::wrapper::Wrapper;
use std::fmt;

/// A problem in a listing; all parsable rows are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The line, counted from 1; 0 if the warning concerns the whole text.
    pub line: u64,
    /// The problem.
    pub kind: WarningKind,
}

/// A problem in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// A line that cannot be parsed as a row.
    BadRow(RowError),
    /// The row overlaps the one before it, or starts below it.
    Overlap {
        /// The row.
        row: AddressRange,
        /// The one before it.
        before: AddressRange,
    },
    /// The text contains two maps: the addresses start low again after a row that is normally the
    /// last of a process, a process has two stacks, or `/proc/PID` of another one is before a row.
    StartsOver,
    /// The row's range is empty.
    Empty(AddressRange),
    /// A stack or heap of over 64 TiB: a digit of an address is missing.
    Huge(AddressRange),
    /// The last line has no line feed: the text may have been cut there.
    Cut,
    /// Lines end in a carriage return, which was removed.
    CarriageReturns,
    /// Every line is the row of a file and ends in a carriage return: either a copy made on
    /// Windows, or the file names end in one.
    NamesEndInCarriageReturns,
    /// Rows are wrapped in something, which was removed.
    Wrapped(Wrapper),
    /// Every line is the row of a file and ends in these bytes: either the text is wrapped in
    /// something, or the file names end in them. Nothing is left out.
    NamesEndIn(&'static str),
    /// No kernel prints such names: the text is wrapped in something that was not recognised.
    OddNames {
        /// The number of rows.
        rows: u64,
        /// The first such name.
        first: Vec<u8>,
    },
    /// This many rows of files have no name: only kernels before 2.2 print such rows.
    NoNames(u64),
    /// This many rows, the longest ones, are of one length, and other lines stand behind them: a
    /// terminal may have broken their names.
    PerhapsBroken(u64),
    /// The text has the rollups of this many processes.
    Rollups(u64),
    /// One of the rows is a rollup, beside other rows: no sum includes it.
    RollupOfRows,
    /// The value of this field of smaps is no size in KiB.
    BadSize(Vec<u8>),
    /// A field of smaps precedes the first row.
    FieldWithoutRow,
    /// The limit on rows, fields or bytes of names was reached; the rest is left out.
    Full,
    /// The limit of warnings was reached; this many are not listed.
    More(u64),
    /// A warning from the source of the text, in its own words.
    Source(String),
}

impl WarningKind {
    /// The kind in a word, for programs.
    pub fn word(&self) -> &'static str {
        match self {
            WarningKind::BadRow(_) => "bad-row",
            WarningKind::Overlap { .. } => "overlap",
            WarningKind::StartsOver => "starts-over",
            WarningKind::Empty(_) => "empty-row",
            WarningKind::Huge(_) => "huge-row",
            WarningKind::Cut => "cut",
            WarningKind::CarriageReturns => "carriage-returns",
            WarningKind::NamesEndInCarriageReturns => "names-end-in-carriage-returns",
            WarningKind::Wrapped(_) => "wrapped",
            WarningKind::NamesEndIn(_) => "names-end-alike",
            WarningKind::OddNames { .. } => "odd-names",
            WarningKind::NoNames(_) => "no-names",
            WarningKind::PerhapsBroken(_) => "perhaps-broken",
            WarningKind::Rollups(_) => "rollups",
            WarningKind::RollupOfRows => "rollup-of-rows",
            WarningKind::BadSize(_) => "bad-size",
            WarningKind::FieldWithoutRow => "field-without-row",
            WarningKind::Full => "full",
            WarningKind::More(_) => "more-warnings",
            WarningKind::Source(_) => "source",
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}", self.line)?;
            if let WarningKind::BadRow(RowError { column, kind }) = self.kind {
                return write!(f, ", column {column}: not a row: {kind}");
            }
            f.write_str(": ")?;
        }
        match &self.kind {
            WarningKind::BadRow(error) => write!(f, "not a row: {error}"),
            WarningKind::Overlap { row, before } => {
                let how = if row.overlaps(before) { "overlaps" } else { "lies below" };
                write!(f, "{row} {how} the row before it, {before}")
            }
            WarningKind::StartsOver => {
                f.write_str("the rows begin again: these are several maps, or rows out of order")
            }
            WarningKind::Empty(row) => write!(f, "{row} covers no address"),
            WarningKind::Huge(row) => {
                write!(
                    f,
                    "{row} would cover {} TiB: a digit of its start is lost, and it overlaps the mappings there",
                    row.size() >> 40
                )
            }
            WarningKind::Cut => {
                f.write_str("the last line has no line feed: the text may have been cut here")
            }
            WarningKind::CarriageReturns => f.write_str(
                "lines end in a carriage return, as Windows and terminals write it: it is left out",
            ),
            WarningKind::NamesEndInCarriageReturns => f.write_str(
                "every name ends in a carriage return, as Windows and terminals write it; nothing is left out",
            ),
            WarningKind::Wrapped(wrapper) => wrapper.fmt(f),
            WarningKind::NamesEndIn(end) => write!(
                f,
                "every name ends in `{end}`: the rows may be wrapped in something; nothing is left out"
            ),
            WarningKind::OddNames { rows, first } => write!(
                f,
                "{rows} {} an unusual name, such as `{}`: they may be wrapped in something, or damaged",
                if *rows == 1 { "row has" } else { "rows have" },
                escape::name(&first[..first.len().min(60)])
            ),
            WarningKind::NoNames(rows) => write!(
                f,
                "{rows} {} no name, which only kernels before 2.2 leave out: the text may lack it",
                if *rows == 1 { "row of a file has" } else { "rows of files have" }
            ),
            WarningKind::PerhapsBroken(rows) => write!(
                f,
                "the {rows} longest rows are of one length, with other lines behind them: their names may go on there"
            ),
            WarningKind::Rollups(count) => {
                write!(f, "these are {count} rollups: their sizes are not one sum")
            }
            WarningKind::RollupOfRows => {
                f.write_str("the row [rollup] is no mapping, but has sums of rows: no sum includes it")
            }
            WarningKind::BadSize(name) => write!(
                f,
                "{} is no size in kB, and is not known: the text may have been cut there",
                escape::name(name)
            ),
            WarningKind::FieldWithoutRow => f.write_str("a field of smaps before any row"),
            WarningKind::Full => f.write_str("too many rows: the rest is left out"),
            WarningKind::More(count) => write!(f, "{count} more warnings are not listed"),
            WarningKind::Source(text) => f.write_str(text),
        }
    }
}

/// A list of warnings whose length is bounded, also for a hostile text.
#[derive(Clone, Debug, Default)]
pub struct Warnings {
    kept: Vec<Warning>,
    left_out: u64,
}

impl Warnings {
    /// The most warnings that are listed.
    pub(crate) const MAX_KEPT: usize = 200;

    /// Adds a warning about a line, if there is room.
    pub fn push(&mut self, line: u64, kind: WarningKind) {
        if self.kept.len() < Self::MAX_KEPT {
            self.kept.push(Warning { line, kind });
        } else {
            self.left_out += 1;
        }
    }

    /// The warnings; the last one counts those left out.
    pub fn into_vec(mut self) -> Vec<Warning> {
        if self.left_out > 0 {
            self.kept.push(Warning { line: 0, kind: WarningKind::More(self.left_out) });
        }
        self.kept
    }
}

impl From<RowError> for WarningKind {
    fn from(error: RowError) -> Self {
        WarningKind::BadRow(error)
    }
}

impl From<RowErrorKind> for WarningKind {
    fn from(kind: RowErrorKind) -> Self {
        WarningKind::BadRow(RowError { kind, column: 1 })
    }
}
