//! Perf maps and jitdumps of a process.

use crate::access::Status;
use crate::deadline::within;
use crate::process::Process;
use crate::snapshot::Source;
use crate::supplied::SuppliedFiles;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use vmatlas_maps::{AddressRange, Maps, ReadAt as _};
use vmatlas_object::jit::{JitError, JitMap, PerfMapReader};

/// Maximum number of bytes read of a perf map. Java writes some MiB, a server that compiles for
/// weeks some hundred.
const MAX_PERF_MAP: u64 = 1 << 30;
/// Maximum size in bytes of all jitdumps of a process, which include the code.
const MAX_DUMPS: u64 = 256 << 20;
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A problem with a perf map or jitdump.
#[derive(Debug)]
#[non_exhaustive]
pub struct JitNote {
    /// The file, as the process sees it.
    pub path: PathBuf,
    /// The problem.
    pub kind: JitNoteKind,
}

/// The kind of a problem with a perf map or jitdump.
#[derive(Debug)]
#[non_exhaustive]
pub enum JitNoteKind {
    /// It cannot be read.
    Io(io::Error),
    /// The process did not write it: it is not its user's, has another name, is a link, or lies
    /// where the kernel makes files. Every user may write to /tmp.
    Foreign,
    /// Some of it is damaged.
    Damaged(JitError),
    /// Its file system did not answer.
    TimedOut,
}

impl fmt::Display for JitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.kind {
            JitNoteKind::Io(error) => write!(f, "{error}"),
            JitNoteKind::Foreign => write!(f, "it is not read: the process did not write it"),
            JitNoteKind::Damaged(error) => write!(f, "{error}"),
            JitNoteKind::TimedOut => write!(f, "it took too long to read"),
        }
    }
}

/// Reads the names of a live process's JIT-compiled code: `/tmp/perf-PID.map` in its root
/// directory, with its pid in its own pid namespace, and the jitdump that it maps (`jit-PID.dump`).
/// They are read with the rights of the process. Without such files, the map is empty and there is
/// no note.
///
/// Read them when the process ends, or when the code is to be named: later entries replace earlier
/// ones.
pub fn read_jit(process: &Process) -> (JitMap, Vec<JitNote>) {
    let maps = process.rows(Source::Maps).map(|snapshot| snapshot.maps).unwrap_or_default();
    read_from(process, jitdumps(&maps), true)
}

/// The ranges of JIT-compiled code from the perf map, and with `jitdumps` also from jitdumps.
pub(crate) fn jit_ranges(process: &Process, maps: &Maps, jitdumps: bool) -> Vec<AddressRange> {
    let dumps = if jitdumps { self::jitdumps(maps) } else { Vec::new() };
    read_from(process, dumps, false).0.ranges()
}

fn read_from(process: &Process, dumps: Vec<PathBuf>, names: bool) -> (JitMap, Vec<JitNote>) {
    let mut map = JitMap::default();
    let mut notes = Vec::new();
    let Some(pid) = inner_pid(process) else { return (map, notes) };
    let files = Arc::new(SuppliedFiles::of(process));
    let perf_map = PathBuf::from(format!("/tmp/perf-{pid}.map"));
    let mut left = MAX_DUMPS;
    let paths =
        std::iter::once((perf_map, false)).chain(dumps.into_iter().map(|path| (path, true)));
    for (path, is_dump) in paths {
        let (from, name, most) = (files.clone(), path.clone(), left);
        let read = within(TIME_LIMIT, move || match is_dump {
            true => read_dump(&from, &name, most),
            false => read_perf_map(&from, &name, names),
        });
        let kind = match read {
            None => JitNoteKind::TimedOut,
            Some(Ok(Parsed { map: found, errors, size })) => {
                map.extend(found);
                left = left.saturating_sub(if is_dump { size } else { 0 });
                notes.extend(errors.into_iter().map(|error| JitNote {
                    path: path.clone(),
                    kind: JitNoteKind::Damaged(error),
                }));
                continue;
            }
            Some(Err(error)) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT) => continue,
                Some(Errno::PERM | Errno::ACCESS | Errno::LOOP) => JitNoteKind::Foreign,
                Some(Errno::TIMEDOUT) => JitNoteKind::TimedOut,
                None if error.kind() == io::ErrorKind::InvalidInput => JitNoteKind::Foreign,
                _ => JitNoteKind::Io(error),
            },
        };
        notes.push(JitNote { path, kind });
    }
    (map, notes)
}

/// The contents of a file.
struct Parsed {
    map: JitMap,
    errors: Vec<JitError>,
    /// In bytes.
    size: u64,
}

/// Reads a perf map in pieces: its names may take less memory than its text.
fn read_perf_map(files: &SuppliedFiles, path: &Path, names: bool) -> io::Result<Parsed> {
    let file = files.open_own(path)?;
    let size = file.size().unwrap_or(0).min(MAX_PERF_MAP);
    let mut reader = PerfMapReader::new(names);
    let mut bytes = vec![0; 64 << 10];
    let mut at = 0;
    while at < size && !reader.is_full() {
        let length = file.read_at(at, &mut bytes)?;
        if length == 0 {
            break;
        }
        reader.push(&bytes[..length]);
        at += length as u64;
    }
    let (map, errors) = reader.finish();
    Ok(Parsed { map, errors, size })
}

/// Reads a jitdump, whose records include the code, of at most so many bytes.
fn read_dump(files: &SuppliedFiles, path: &Path, most: u64) -> io::Result<Parsed> {
    let file = files.open_own(path)?;
    let size = file.size().unwrap_or(0);
    // No file system compresses code to a sixteenth.
    if size > most || size / 16 > file.stat().allocated.saturating_add(1 << 20) {
        let text = format!("it has {size} bytes, more than the limit of {most}, or is sparse");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let mut bytes = vec![0; size as usize];
    let (length, read) = file.read_full_at(0, &mut bytes);
    read?;
    let (map, errors) = JitMap::parse_jitdump(&bytes[..length], None);
    Ok(Parsed { map, errors, size })
}

/// The process's pid in its own pid namespace.
fn inner_pid(process: &Process) -> Option<u32> {
    // Fields of the process, also where `process` is one of its threads. Its pids in all pid
    // namespaces, the innermost last; since Linux 4.1.
    let status = Status::read(process)?;
    let pids = status.words("NStgid").last().or_else(|| status.words("Tgid").next())?;
    pids.parse().ok()
}

/// The jitdumps that a process maps.
fn jitdumps(maps: &Maps) -> Vec<PathBuf> {
    let mut dumps = Vec::new();
    for row in maps.iter().filter(|row| row.name.ends_with(b".dump")) {
        let path = Path::new(std::ffi::OsStr::from_bytes(row.name));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("jit-") && !dumps.iter().any(|dump| dump == path) {
            dumps.push(path.to_owned());
        }
    }
    dumps
}
