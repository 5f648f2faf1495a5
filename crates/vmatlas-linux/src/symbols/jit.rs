//! Perf maps and jitdumps of a process.

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
use vmatlas_object::jit::{JitError, JitMap};

/// Maximum file size in bytes. The whole file is read: Java writes some MiB, a jitdump includes the
/// code.
const MAX_SIZE: u64 = 1 << 30;
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
/// The caller needs permission to read them. Without such files, the map is empty and there is no
/// note.
///
/// Read them when the process ends, or when the code is to be named: later entries replace earlier
/// ones.
pub fn read_jit(process: &Process) -> (JitMap, Vec<JitNote>) {
    let maps = process.rows(Source::Maps).map(|snapshot| snapshot.maps).unwrap_or_default();
    read_from(process, jitdumps(&maps))
}

/// The ranges of JIT-compiled code from the perf map, and with `jitdumps` also from jitdumps.
pub(crate) fn jit_ranges(process: &Process, maps: &Maps, jitdumps: bool) -> Vec<AddressRange> {
    let dumps = if jitdumps { self::jitdumps(maps) } else { Vec::new() };
    read_from(process, dumps).0.ranges()
}

fn read_from(process: &Process, dumps: Vec<PathBuf>) -> (JitMap, Vec<JitNote>) {
    let mut map = JitMap::default();
    let mut notes = Vec::new();
    let Some(pid) = inner_pid(process) else { return (map, notes) };
    let files = Arc::new(SuppliedFiles::of(process));
    let mut read = |path: PathBuf, parse: fn(&[u8]) -> (JitMap, Vec<JitError>)| {
        let (from, name) = (files.clone(), path.clone());
        let kind = match within(TIME_LIMIT, move || read_own(&from, &name)) {
            None => JitNoteKind::TimedOut,
            Some(Ok(bytes)) => {
                let (found, errors) = parse(&bytes);
                map.extend(found);
                notes.extend(errors.into_iter().map(|error| JitNote {
                    path: path.clone(),
                    kind: JitNoteKind::Damaged(error),
                }));
                return;
            }
            Some(Err(error)) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT) => return,
                Some(Errno::PERM | Errno::ACCESS | Errno::LOOP) => JitNoteKind::Foreign,
                Some(Errno::TIMEDOUT) => JitNoteKind::TimedOut,
                None if error.kind() == io::ErrorKind::InvalidInput => JitNoteKind::Foreign,
                _ => JitNoteKind::Io(error),
            },
        };
        notes.push(JitNote { path, kind });
    };
    read(PathBuf::from(format!("/tmp/perf-{pid}.map")), JitMap::parse_perf_map);
    for dump in dumps {
        read(dump, |bytes| JitMap::parse_jitdump(bytes, None));
    }
    (map, notes)
}

/// Reads a file that the process wrote.
fn read_own(files: &SuppliedFiles, path: &Path) -> io::Result<Vec<u8>> {
    let file = files.open_own(path)?;
    let size = file.size().unwrap_or(0);
    if size > MAX_SIZE {
        let text = format!("it has {size} bytes, more than the limit of {MAX_SIZE}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    let mut bytes = vec![0; size as usize];
    let (length, read) = file.read_full_at(0, &mut bytes);
    read?;
    bytes.truncate(length);
    Ok(bytes)
}

/// The process's pid in its own pid namespace.
fn inner_pid(process: &Process) -> Option<u32> {
    let status = process.read("status").ok()?;
    let status = String::from_utf8_lossy(&status);
    // Fields of the process, also where `process` is one of its threads. Its pids in all pid
    // namespaces, the innermost last; since Linux 4.1.
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let pids = field("NStgid:").or_else(|| field("Tgid:"))?;
    pids.split_ascii_whitespace().next_back()?.parse().ok()
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
