//! Stands in for the module `recorded` and its sources without the feature `recordings`: types
//! that have no values, and the errors for targets that are not read.

use crate::source::file_now::FileNow;
use crate::source::kind::SourceKind;
use std::collections::HashMap;
use std::convert::Infallible;
use std::marker::PhantomData;
use vmatlas_explain::label::Facts;
use vmatlas_linux::Images;
use vmatlas_linux::symbols::SymbolOptions;
use vmatlas_maps::{AddressRange, Maps};

/// A process of a recording or a log. Without the feature `recordings` there is none.
pub enum Recorded {}

/// The event that ended a mapping. Without the feature `recordings` none is known.
#[derive(Clone, Debug)]
pub enum Ending {}

/// Bytes that share an origin. Without the feature `recordings` no origin is known.
#[derive(Clone, Copy)]
pub struct Made<'a>(Infallible, PhantomData<&'a ()>);

/// The origins of all rows: none.
#[derive(Default)]
pub(crate) struct Origins;

impl Recorded {
    pub(crate) fn pid(&self) -> Option<u32> {
        match *self {}
    }

    pub(crate) fn comm(&self) -> &[u8] {
        match *self {}
    }

    pub(crate) fn kernel(&self) -> Option<&str> {
        match *self {}
    }

    pub(crate) fn kind(&self) -> SourceKind {
        match *self {}
    }

    pub(crate) fn origins(&self, _: &Maps, _: &SymbolOptions) -> Origins {
        match *self {}
    }

    pub(crate) fn images(&self, _: &Maps) -> &Images {
        match *self {}
    }

    pub(crate) fn file_now(&self, _: &Maps, _: usize) -> Option<FileNow> {
        match *self {}
    }

    pub(crate) fn facts(&self, _: &Maps, _: &Origins, _: bool) -> Facts {
        match *self {}
    }

    pub(crate) fn made_in<'a>(
        &'a self,
        _: AddressRange,
        _: impl FnOnce() -> &'a Origins,
    ) -> Option<Made<'a>> {
        match *self {}
    }

    pub(crate) fn made_of_row<'a>(
        &'a self,
        _: usize,
        _: AddressRange,
        _: &'a Origins,
    ) -> Vec<(Made<'a>, u64)> {
        match *self {}
    }

    pub(crate) fn endings(
        &self,
        _: &[u64],
        _: &Recorded,
        _: &SymbolOptions,
    ) -> HashMap<u64, Ending> {
        match *self {}
    }
}

/// Stands in for `source::recording`.
pub(crate) mod recording {
    use super::Recorded;
    use crate::error::{Error, ErrorKind, Result};
    use crate::note::Note;
    use crate::words::values::printable;
    use vmatlas_maps::Maps;

    /// A moment, whichever it is.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Moment;

    /// A file, and whether a process or a moment of it is selected.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Selection {
        pub(crate) path: String,
        pub(crate) pid: Option<u32>,
        pub(crate) moment: Option<Moment>,
    }

    impl Selection {
        /// Parses `FILE@TIME`, `FILE:PID` and `FILE:PID@TIME`, so that the error is about the file.
        pub(crate) fn parse(
            word: &str,
            pid: Option<u32>,
            moment: Option<Moment>,
            is_path: impl Fn(&str) -> bool,
            is_file: impl Fn(&str) -> bool,
        ) -> Option<Selection> {
            if is_path(word) {
                let path = word.to_owned();
                return is_file(word).then_some(Selection { path, pid, moment });
            }
            let (rest, moment) =
                word.rsplit_once('@').map_or((word, moment), |(rest, _)| (rest, Some(Moment)));
            let of_process = || {
                let (path, number) = rest.rsplit_once(':')?;
                Some((path, Some(number.parse().ok()?)))
            };
            let (path, pid) = if is_file(rest) { (rest, pid) } else { of_process()? };
            is_file(path).then(|| Selection { path: path.to_owned(), pid, moment })
        }
    }

    /// Whether bytes begin with the magic number of a recording.
    pub(crate) fn looks_like_recording(head: &[u8]) -> bool {
        head.starts_with(b"\x89vmatlas\r\n\x1a\nrec")
    }

    pub(crate) fn read<F>(name: &str, _: &Selection, _: F) -> Result<(Recorded, Maps, Vec<Note>)> {
        Err(not_read(name, "a recording"))
    }

    pub(crate) fn read_stream<R>(
        name: &str,
        selection: &Selection,
        input: R,
        _: u64,
    ) -> Result<(Recorded, Maps, Vec<Note>)> {
        read(name, selection, input)
    }

    pub(super) fn not_read(name: &str, what: &str) -> Error {
        let name = printable(name.as_bytes());
        let help = "build with the feature `recordings` of vmatlas, which reads it";
        Error::new(ErrorKind::Unreadable, format!("{name}: {what}, which is not read; {help}"))
    }
}

/// Stands in for `source::log`.
pub(crate) mod log {
    use super::Recorded;
    use super::recording::{Selection, not_read};
    use crate::error::Result;
    use crate::note::Note;
    use vmatlas_maps::Maps;

    const LOG: &str = "a log of strace";

    pub(crate) fn open_parts(name: &str, _: &Selection) -> Result<(Recorded, Maps, Vec<Note>)> {
        Err(not_read(name, LOG))
    }

    pub(crate) fn read<R>(
        name: &str,
        _: &Selection,
        _: &[u8],
        _: R,
    ) -> Result<(Recorded, Maps, Vec<Note>)> {
        Err(not_read(name, LOG))
    }

    /// Whether most of the first lines are system calls.
    pub(crate) fn looks_like_log(head: &[u8]) -> bool {
        let lines = head.split_inclusive(|&b| b == b'\n');
        let lines = lines.filter_map(|line| line.strip_suffix(b"\n")).take(20);
        let (calls, others): (Vec<_>, Vec<_>) = lines.partition(|line| is_call(line));
        // Signals, ends of processes, and call stacks.
        let is_neither = |line: &[u8]| {
            line.starts_with(b" > ") || line.ends_with(b"+++") || line.ends_with(b"---")
        };
        calls.len() > others.iter().filter(|line| !is_neither(line)).count()
    }

    /// `NAME(… = RESULT`, `NAME(… <unfinished ...>` or `<... NAME resumed>…`, after a thread's
    /// number and a time.
    fn is_call(line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        if line.contains("<... ") && line.contains(" resumed>") {
            return true;
        }
        let Some((before, after)) = line.split_once('(') else { return false };
        let name = before.rsplit(' ').next().unwrap_or_default();
        let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let is_whole = after.contains(" = ") || after.ends_with("<unfinished ...>");
        !name.is_empty() && is_name(name) && is_whole
    }
}
