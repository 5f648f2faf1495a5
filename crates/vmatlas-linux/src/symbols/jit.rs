//! Perf maps and jitdumps of a process.

use crate::absent::is_absent;
use crate::access::Status;
use crate::deadline::within;
use crate::mounts::Mounts;
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
use vmatlas_object::Budget;
use vmatlas_object::jit::{JitError, JitErrorKind, JitMap, PerfMapReader};

/// Maximum number of bytes read of a perf map. Java writes some MiB, a server that compiles for
/// weeks some hundred.
const MAX_PERF_MAP: u64 = 1 << 30;
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
    /// It is older than the process: a process with the same pid wrote it.
    Older,
    /// Some of it is damaged.
    Damaged(JitError),
    /// Its file system did not answer.
    TimedOut,
    /// It would take more memory or time than the budget has; the rest was not read.
    LeftOut,
}

impl fmt::Display for JitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.kind {
            JitNoteKind::Io(error) => write!(f, "{error}"),
            JitNoteKind::Foreign => write!(f, "it is not read: the process did not write it"),
            JitNoteKind::Older => write!(f, "it is not read: it is older than the process"),
            JitNoteKind::Damaged(error) => write!(f, "{error}"),
            JitNoteKind::TimedOut => write!(f, "it took too long to read"),
            JitNoteKind::LeftOut => write!(f, "{}", JitErrorKind::OverBudget),
        }
    }
}

/// Reads the names of a live process's JIT-compiled code: `/tmp/perf-PID.map` in its root
/// directory, with its pid in its own pid namespace, and the jitdump that it maps (`jit-PID.dump`).
/// They are read with the rights of the process. Without such files, the map is empty and there is
/// no note.
///
/// Read them when the process ends, or when the code is to be named: later entries replace earlier
/// ones. They take memory and time from the budget.
pub fn read_jit(process: &Process, budget: &Budget) -> (JitMap, Vec<JitNote>) {
    let maps = process.rows(Source::Maps).map(|snapshot| snapshot.maps).unwrap_or_default();
    match Status::read(process) {
        Some(status) => read_from(process, &status, None, jitdumps(&maps), true, budget),
        None => (JitMap::default(), Vec::new()),
    }
}

/// The ranges of JIT-compiled code from the perf map, and with `jitdumps` also from jitdumps.
/// `status` is the process's.
pub(crate) fn jit_ranges(
    process: &Process,
    status: &Status,
    mounts: Option<&Mounts>,
    maps: &Maps,
    jitdumps: bool,
    budget: &Budget,
) -> (Vec<AddressRange>, Vec<JitNote>) {
    let dumps = if jitdumps { self::jitdumps(maps) } else { Vec::new() };
    let (map, notes) = read_from(process, status, mounts, dumps, false, budget);
    (map.ranges(), notes)
}

fn read_from(
    process: &Process,
    status: &Status,
    mounts: Option<&Mounts>,
    dumps: Vec<PathBuf>,
    names: bool,
    budget: &Budget,
) -> (JitMap, Vec<JitNote>) {
    let mut map = JitMap::default();
    let mut notes = Vec::new();
    let Some(pid) = inner_pid(status) else { return (map, notes) };
    let perf_map = PathBuf::from(format!("/tmp/perf-{pid}.map"));
    // Most processes have none.
    let is_absent = mounts.is_some_and(|mounts| is_absent(process, mounts, &perf_map));
    let perf_map = (!is_absent).then_some((perf_map, false));
    let dumps = dumps.into_iter().map(|path| (path, true));
    let mut paths = perf_map.into_iter().chain(dumps).peekable();
    if paths.peek().is_none() {
        return (map, notes);
    }
    let files = Arc::new(SuppliedFiles::of(process));
    let started = process.started().unwrap_or_default();
    for (path, is_dump) in paths {
        let budget = budget.of_file();
        let (from, name, of_file) = (files.clone(), path.clone(), budget.clone());
        let read = within(TIME_LIMIT, move || match is_dump {
            true => read_dump(&from, &name, &of_file).map(Some),
            false => read_perf_map(&from, &name, started, names, of_file),
        });
        let kind = match read {
            None => JitNoteKind::TimedOut,
            Some(Ok(None)) => JitNoteKind::Older,
            Some(Ok(Some((found, errors)))) => {
                map.extend(found);
                if budget.is_exceeded() {
                    notes.push(JitNote { path, kind: JitNoteKind::LeftOut });
                    continue;
                }
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
type Parsed = (JitMap, Vec<JitError>);

/// Reads a perf map in pieces: its names may take less memory than its text. `None` if nobody
/// wrote to it since the process started.
fn read_perf_map(
    files: &SuppliedFiles,
    path: &Path,
    started: Duration,
    names: bool,
    budget: Budget,
) -> io::Result<Option<Parsed>> {
    let file = files.open_own(path)?;
    let modified = u64::try_from(file.stat().modified.0).unwrap_or(0);
    // Clocks are adjusted, and times of files are rounded.
    if Duration::from_secs(modified).saturating_add(Duration::from_secs(2)) < started {
        return Ok(None);
    }
    let size = file.size().unwrap_or(0).min(MAX_PERF_MAP);
    let mut reader = PerfMapReader::new(names, budget);
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
    Ok(Some(reader.finish()))
}

/// Reads a jitdump, whose records include the code.
fn read_dump(files: &SuppliedFiles, path: &Path, budget: &Budget) -> io::Result<Parsed> {
    let file = files.open_own(path)?;
    let size = file.size().unwrap_or(0);
    // No file system compresses code to a sixteenth.
    if size / 16 > file.stat().allocated.saturating_add(1 << 20) {
        let text = format!("it is sparse: it has {size} bytes, few of them on the disk");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let Ok(_whole) = budget.take("jitdump", size) else {
        return Ok(Parsed::default());
    };
    let mut bytes = vec![0; size as usize];
    let (length, read) = file.read_full_at(0, &mut bytes);
    read?;
    Ok(JitMap::parse_jitdump(&bytes[..length], None, budget))
}

/// The process's pid in its own pid namespace.
fn inner_pid(status: &Status) -> Option<u32> {
    // Fields of the process, also in the status of one of its threads. Its pids in all pid
    // namespaces, the innermost last; since Linux 4.1.
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
