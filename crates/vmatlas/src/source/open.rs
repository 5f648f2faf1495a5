//! Resolves and reads targets.

use super::compression::{Decompressed, HEAD, decompressed};
use super::core::Core;
use super::how::How;
use super::kind::SourceKind;
use super::live::Live;
use super::log_parts::log_parts;
use super::refuse::{check, refusal};
use super::slot::Slot;
use super::{Source, core, document, log, recording};
use crate::error::{Error, ErrorKind, Result};
use crate::note::Note;
use crate::recorded::Recorded;
use crate::request::Request;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};
use vmatlas_linux::{Limits, ProcessId};
use vmatlas_maps::{Maps, MapsReader, other_listing};
use vmatlas_recording::strace::looks_like_log;
use vmatlas_recording::{Selection, looks_like_recording};

/// A source, its rows, and notes about them.
pub(crate) type Read3 = (Source, Maps, Vec<Note>);

/// A target to open.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A word of the command line: a PID, PID/TID, `self`, the name of a process, a file,
    /// `FILE@TIME`, `FILE:PID`, or `-`.
    Word(String),
    /// A process or a thread.
    Process(ProcessId),
    /// A file.
    Path(PathBuf),
}

impl From<u32> for Target {
    fn from(pid: u32) -> Target {
        Target::Process(ProcessId { pid, tid: None })
    }
}

impl From<ProcessId> for Target {
    fn from(id: ProcessId) -> Target {
        Target::Process(id)
    }
}

impl From<&str> for Target {
    fn from(word: &str) -> Target {
        Target::Word(word.to_owned())
    }
}

impl From<String> for Target {
    fn from(word: String) -> Target {
        Target::Word(word)
    }
}

impl From<&Path> for Target {
    fn from(path: &Path) -> Target {
        Target::Path(path.to_owned())
    }
}

impl From<PathBuf> for Target {
    fn from(path: PathBuf) -> Target {
        Target::Path(path)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Word(word) => f.write_str(word),
            Target::Process(id) => id.fmt(f),
            Target::Path(path) => path.display().fmt(f),
        }
    }
}

/// A resolved target.
pub(crate) enum Place {
    /// A process, with what else was selected.
    Process(ProcessId, Selection),
    /// A file, with the selected process and moment.
    File(PathBuf, Selection),
    /// The files of `strace -ff -o PATH`.
    LogParts(Selection),
    Stdin(Selection),
    /// A process in a snapshot of a machine.
    #[cfg(feature = "recordings")]
    Saved(super::saved::SavedWord, Selection),
}

/// Resolves a target.
pub(crate) fn resolve(target: &Target, how: &How) -> Result<Place> {
    let end = || how.end(&target.to_string());
    let word = match target {
        Target::Process(id) => return Ok(Place::Process(*id, end())),
        Target::Path(path) => return Ok(Place::File(path.clone(), end())),
        Target::Word(word) => word,
    };
    #[cfg(feature = "recordings")]
    if let Some(saved) = super::saved::SavedWord::parse(word)? {
        let pid = saved.pid.or(how.pid);
        let selection = Selection { path: word.clone(), pid, moment: how.moment };
        return Ok(Place::Saved(saved, selection));
    }
    if word != "-"
        && let Some(selection) = selection(word, how)?
    {
        let path = PathBuf::from(&selection.path);
        let is_file = path.is_file();
        return Ok(match is_file {
            true => Place::File(path, selection),
            false => Place::LogParts(selection),
        });
    }
    let slot = Slot::of(word, &how.proc).map_err(|error| moment_of_process(word, how, error))?;
    Ok(match slot {
        Slot::Process(id) => Place::Process(id, end()),
        Slot::File => Place::File(PathBuf::from(word), end()),
        Slot::Stdin => Place::Stdin(how.end(STDIN)),
    })
}

/// The error for `PID@TIME`, which names no file.
fn moment_of_process(word: &str, how: &How, error: Error) -> Error {
    let process = word.rsplit_once('@').filter(|_| error.kind() == ErrorKind::NotFound);
    let process = process.and_then(|(process, _)| Slot::of(process, &how.proc).ok());
    match (process, SourceKind::Live.lacks(Request::Moment)) {
        (Some(Slot::Process(_)), Some(why)) => refusal(word, Request::Moment, why),
        _ => error,
    }
}

impl Place {
    /// The selected process and moment.
    fn selection(&self) -> &Selection {
        match self {
            Place::Process(_, selection)
            | Place::File(_, selection)
            | Place::LogParts(selection)
            | Place::Stdin(selection) => selection,
            #[cfg(feature = "recordings")]
            Place::Saved(_, selection) => selection,
        }
    }
}

/// Parses `FILE@TIME` or `FILE:PID`; `None` if the word is not about a file.
///
/// # Errors
/// [`ErrorKind::NoMoment`] if what follows the name of a file is no moment and no process.
pub(crate) fn selection(word: &str, how: &How) -> Result<Option<Selection>> {
    let is_path = |path: &str| Path::new(path).exists();
    let is_file = |path: &str| Path::new(path).is_file() || !log_parts(path).is_empty();
    Selection::parse(word, how.pid, how.moment, is_path, is_file)
        .map_err(|error| Error::new(ErrorKind::NoMoment, format!("{word}: {error}")))
}

fn of_core((core, maps, notes): (Core, Maps, Vec<Note>)) -> Read3 {
    (Source::Core(Box::new(core)), maps, notes)
}

/// A process of a recording or a log.
pub(crate) fn of_recorded((recorded, maps, notes): (Recorded, Maps, Vec<Note>)) -> Read3 {
    (Source::Recorded(Box::new(recorded)), maps, notes)
}

/// Reads a target.
pub(crate) fn read(target: &Target, how: &How) -> Result<Read3> {
    let name = target.to_string();
    let place = resolve(target, how)?;
    let read = match &place {
        Place::Process(id, _) => {
            let (live, maps, notes) = Live::read(how, *id)?;
            (Source::Live(Box::new(live)), maps, notes)
        }
        Place::File(path, selection) => match binary(&name, selection, open(path)?)? {
            Ok(read) => read,
            Err(file) => from_stream(&name, selection, file, how.limits)?,
        },
        Place::LogParts(selection) => of_recorded(log::open_parts(&name, selection)?),
        Place::Stdin(selection) => from_stream(STDIN, selection, io::stdin().lock(), how.limits)?,
        #[cfg(feature = "recordings")]
        Place::Saved(word, selection) => saved(word, selection)?,
    };
    check(&place.selection().path, &read.0, place.selection())?;
    Ok(read)
}

/// Reads a process of a snapshot of a machine.
#[cfg(feature = "recordings")]
fn saved(word: &super::saved::SavedWord, selection: &Selection) -> Result<Read3> {
    let snapshot = word.read()?;
    let (document, maps) = snapshot.document(snapshot.place(selection.pid)?);
    Ok((Source::Document(Box::new(document)), maps, Vec::new()))
}

/// Reads a target that need not have rows: a text that is no strace log is returned as it is.
pub(crate) fn read_or_text(
    target: &Target,
    how: &How,
) -> Result<std::result::Result<Read3, CrashText>> {
    let name = target.to_string();
    let place = resolve(target, how)?;
    let read = match &place {
        Place::Process(..) => return read(target, how).map(Ok),
        #[cfg(feature = "recordings")]
        Place::Saved(word, selection) => Ok(saved(word, selection)?),
        Place::File(path, selection) => match binary(&name, selection, open(path)?)? {
            Ok(read) => Ok(read),
            Err(file) => stream_or_text(&name, selection, file, how.limits)?,
        },
        Place::LogParts(selection) => Ok(of_recorded(log::open_parts(&name, selection)?)),
        Place::Stdin(selection) => {
            stream_or_text(STDIN, selection, io::stdin().lock(), how.limits)?
        }
    };
    let selection = place.selection();
    match &read {
        Ok((source, ..)) => check(&selection.path, source, selection)?,
        Err(_) if selection.moment.is_some() => {
            return Err(refusal(
                &selection.path,
                Request::Moment,
                "a log of a crash has no moments",
            ));
        }
        Err(_) => {}
    }
    Ok(read)
}

/// Reads a core dump in memory, which may be compressed; `None` if the bytes are something else.
pub(crate) fn core_in_bytes(name: &str, bytes: &[u8], limits: Limits) -> Result<Option<Read3>> {
    Ok(stream_or_text(name, &Selection::default(), bytes, limits)?.ok())
}

const STDIN: &str = "standard input";

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| Error::file(path.display(), error))
}

/// Reads the core dump or recording in a regular file in place. Otherwise returns the file,
/// rewound.
fn binary(
    name: &str,
    selection: &Selection,
    mut file: File,
) -> Result<std::result::Result<Read3, File>> {
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_file {
        let mut head = Vec::new();
        let begun = file.by_ref().take(16).read_to_end(&mut head);
        begun.and_then(|_| file.rewind()).map_err(|error| Error::file(name, error))?;
        if head.starts_with(core::ELF) {
            return core::read(name, file).map(of_core).map(Ok);
        }
        if looks_like_recording(&head) {
            return recording::read(name, selection, file).map(of_recorded).map(Ok);
        }
    }
    Ok(Err(file))
}

/// Whether a regular file begins as recordings do.
#[cfg(feature = "recordings")]
pub(crate) fn begins_as_recording(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = || File::open(path)?.take(16).read_to_end(&mut head);
    path.is_file() && { read }().is_ok() && looks_like_recording(&head)
}

/// The most bytes to read of a text: a device may be endless.
const MAX: u64 = 16 << 30;
/// The most rows to read of a compressed text: a few MiB of it could hold a thousand million.
const MAX_ROWS: usize = 1 << 20;

/// A text that is no list of rows.
pub struct CrashText {
    pub(crate) bytes: Vec<u8>,
    /// The limit in bytes at which it was cut.
    pub(crate) cut: Option<u64>,
    /// The selected process or thread.
    pub(crate) pid: Option<u32>,
}

/// The most bytes to read of a crash log: what is found in it needs some memory too.
fn most_text(limits: Limits) -> u64 {
    limits.memory / 5 * 4
}

/// Reads a stream that may be compressed; returns other text as it is.
fn stream_or_text(
    name: &str,
    selection: &Selection,
    input: impl Read,
    limits: Limits,
) -> Result<std::result::Result<Read3, CrashText>> {
    let input = decompressed(name, input)?;
    let head = &input.head;
    let is_document = document::read::looks_like_document(head);
    if head.starts_with(core::ELF)
        || looks_like_recording(head)
        || looks_like_log(head)
        || is_document
    {
        return content(name, selection, input, limits).map(Ok);
    }
    let Decompressed { head: mut text, rest, .. } = input;
    let most = most_text(limits);
    let left = most.saturating_sub(text.len() as u64);
    let read = rest.take(left).read_to_end(&mut text);
    read.map_err(|error| Error::file(name, error))?;
    let cut = (text.len() as u64 >= most).then_some(most);
    Ok(Err(CrashText { bytes: text, cut, pid: selection.pid }))
}

/// Reads a stream, such as a pipe, that may be compressed.
fn from_stream(
    name: &str,
    selection: &Selection,
    input: impl Read,
    limits: Limits,
) -> Result<Read3> {
    content(name, selection, decompressed(name, input)?, limits)
}

/// Reads an input, and notes if its end was not read because it expands too far.
fn content(
    name: &str,
    selection: &Selection,
    input: Decompressed<'_>,
    limits: Limits,
) -> Result<Read3> {
    let Decompressed { head, rest, expansion } = input;
    let most_rows = if expansion.is_some() { MAX_ROWS } else { usize::MAX };
    let (source, maps, mut notes) = expanded(name, selection, head, rest, (most_rows, limits))?;
    if expansion.is_some_and(|expansion| expansion.is_cut()) || maps.len() >= most_rows {
        notes.push(Note::ExpandingInput);
    }
    Ok((source, maps, notes))
}

/// Reads an input whose first bytes are `head`.
fn expanded(
    name: &str,
    selection: &Selection,
    head: Vec<u8>,
    input: impl Read,
    (most_rows, limits): (usize, Limits),
) -> Result<Read3> {
    if head.starts_with(core::ELF) {
        return core::read_stream(name, io::Cursor::new(head).chain(input)).map(of_core);
    }
    if looks_like_recording(&head) {
        let input = io::Cursor::new(head).chain(input);
        return recording::read_stream(name, selection, input, MAX).map(of_recorded);
    }
    if document::read::looks_like_document(&head) {
        let input = io::Cursor::new(head).chain(input);
        return document(name, input, limits.memory, selection.pid);
    }
    let input = input.take(MAX);
    if looks_like_log(&head) {
        return log::read(name, selection, &head, input).map(of_recorded);
    }
    text(name, &head, input, most_rows)
}

/// Reads a document of vmatlas.
pub(crate) fn document(
    name: &str,
    input: impl Read,
    limit: u64,
    wanted: Option<u32>,
) -> Result<Read3> {
    let (document, maps, notes) = document::read::read(name, input, limit, wanted)?;
    Ok((Source::Document(Box::new(document)), maps, notes))
}

/// Reads the rows in a text, about `most_rows` of them.
fn text(
    name: &str,
    head: &[u8],
    mut input: io::Take<impl Read>,
    most_rows: usize,
) -> Result<Read3> {
    let mut reader = MapsReader::default();
    reader.push(head);
    let mut buffer = vec![0; 64 << 10];
    while reader.rows() < most_rows {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => reader.push(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::file(name, error)),
        }
    }
    let maps = reader.finish();
    if maps.is_empty() {
        return Err(no_rows(name, head));
    }
    let notes = if input.limit() == 0 { vec![Note::CutInput { limit: MAX }] } else { Vec::new() };
    Ok((Source::Text, maps, notes))
}

fn no_rows(name: &str, head: &[u8]) -> Error {
    debug_assert!(head.len() <= HEAD, "the head is at most HEAD bytes");
    let rows = "rows of /proc/PID/maps, smaps, or a text that has such rows in it";
    let looks_like = other_listing(head);
    let message = match looks_like {
        Some(what) => format!("{name}: no row of maps: this looks like {what}; give {rows}"),
        None if head.is_empty() => format!("{name}: empty; give {rows}"),
        None => format!("{name}: no row of maps found; give {rows}"),
    };
    Error::new(ErrorKind::NoRows, message).with_looks_like(looks_like)
}
