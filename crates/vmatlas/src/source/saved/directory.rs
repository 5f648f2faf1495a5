//! A directory of snapshots.

use super::moment::When;
use crate::error::{Error, ErrorKind, Result};
use crate::source::document::facts::Document;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use vmatlas_explain::label::{Confidence, Label, Labelled, Labels};
use vmatlas_maps::Maps;
use vmatlas_recording::machine::{Header, Limits, SavedProcess, Snapshot, SnapshotError};

/// What the names of the files end with.
pub(crate) const SUFFIX: &str = ".vmsnap";
/// The most bytes of a file, and those from which its header is read.
const MAX_FILE: u64 = 300 << 20;
const HEAD: u64 = 80 << 10;

/// The snapshots of a directory, in the order of their times.
#[derive(Debug)]
pub struct SavedMachine {
    dir: PathBuf,
    snapshots: Vec<(String, Header)>,
}

/// A snapshot of a machine.
#[derive(Debug)]
pub struct SavedSnapshot {
    /// Its file.
    pub path: PathBuf,
    /// What it holds.
    pub snapshot: Snapshot,
}

impl SavedMachine {
    /// Lists the snapshots of a directory by their headers. Files that are none are left out.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn open(dir: impl Into<PathBuf>) -> Result<SavedMachine> {
        let dir = dir.into();
        let failed = |error| Error::file(dir.display(), error);
        let mut snapshots = Vec::new();
        for entry in std::fs::read_dir(&dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str().filter(|name| name.ends_with(SUFFIX)) else { continue };
            let head = read_file(&dir.join(name), HEAD).ok();
            let header = head.and_then(|head| Header::read(&head).ok());
            snapshots.extend(header.map(|header| (name.to_owned(), header)));
        }
        snapshots.sort_by(|(a, one), (b, other)| (one.time_ms, a).cmp(&(other.time_ms, b)));
        Ok(SavedMachine { dir, snapshots })
    }

    /// The number of snapshots.
    pub fn len(&self) -> usize {
        self.snapshots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.snapshots.is_empty()
    }

    /// The time of each in milliseconds since 1970.
    pub fn times(&self) -> impl Iterator<Item = u64> {
        self.snapshots.iter().map(|(_, header)| header.time_ms)
    }

    /// Reads the snapshot at a time, with those that it builds on.
    ///
    /// # Errors
    /// [`ErrorKind::NoMoment`] if there is none at that time, [`ErrorKind::NotFound`] if a snapshot
    /// that it builds on is missing, [`ErrorKind::Unreadable`] if one is damaged.
    pub fn read(&self, when: &When) -> Result<SavedSnapshot> {
        let times: Vec<u64> = self.times().collect();
        let place = when.place(&times).map_err(|why| {
            Error::new(ErrorKind::NoMoment, format!("{}: {why}", self.dir.display()))
        })?;
        self.read_file(&self.snapshots[place].0)
    }

    fn read_file(&self, name: &str) -> Result<SavedSnapshot> {
        // From the wanted one down to one without a base.
        let mut chain: Vec<(String, Vec<u8>)> = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next {
            let path = self.dir.join(&name);
            let above = chain.last().map(|(above, _)| above.clone());
            let bytes = read_file(&path, MAX_FILE).map_err(|error| match above {
                Some(above) if error.kind() == std::io::ErrorKind::NotFound => {
                    let above = self.dir.join(above);
                    Error::new(
                        ErrorKind::NotFound,
                        format!("{}: is missing, and {} needs it", path.display(), above.display()),
                    )
                }
                _ => Error::file(path.display(), error),
            })?;
            let header = Header::read(&bytes).map_err(|error| unreadable(&path, &error))?;
            // A name is one of this directory, and a chain has an end.
            let base = header.base.map(|base| base.name);
            next = base.filter(|base| !base.contains('/') && chain.len() < MAX_CHAIN);
            chain.push((name, bytes));
        }
        let mut last = None;
        let mut path = self.dir.clone();
        while let Some((name, bytes)) = chain.pop() {
            path = self.dir.join(&name);
            let read = Snapshot::read(&bytes, last.take(), Limits::default());
            last = Some(read.map_err(|error| unreadable(&path, &error))?);
        }
        Ok(SavedSnapshot { path, snapshot: last.unwrap_or_default() })
    }

    /// The last snapshot with the name of its file; `None` if there is none, or if it cannot be read.
    #[cfg(feature = "record")]
    pub(crate) fn last(&self) -> Option<(String, Snapshot)> {
        let (name, _) = self.snapshots.last()?;
        Some((name.clone(), self.read_file(name).ok()?.snapshot))
    }
}

/// The most snapshots that build on each other: more than are written.
const MAX_CHAIN: usize = 1000;

fn unreadable(path: &Path, error: &SnapshotError) -> Error {
    Error::new(ErrorKind::Unreadable, format!("{}: {error}", path.display()))
}

/// Reads a regular file.
fn read_file(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl SavedSnapshot {
    /// The processes whose rows are known, by their places.
    pub fn processes(&self) -> impl Iterator<Item = (usize, &SavedProcess)> {
        let processes = self.snapshot.processes.iter().enumerate();
        processes.filter(|(_, process)| !process.is_empty())
    }

    /// The place of a process.
    ///
    /// # Errors
    /// [`ErrorKind::Ambiguous`] without a process ID, [`ErrorKind::NoMoment`] if there is no such
    /// process.
    pub fn place(&self, pid: Option<u32>) -> Result<usize> {
        let name = self.path.display();
        let Some(pid) = pid else {
            let count = self.processes().count();
            let help = "--pid PID selects one, and vmatlas all lists them";
            return Err(Error::new(
                ErrorKind::Ambiguous,
                format!("{name}: a snapshot of {count} processes; {help}"),
            ));
        };
        let mut processes = self.snapshot.processes.iter();
        let place = processes.position(|process| process.identity.pid == Some(pid));
        let place = place.ok_or_else(|| {
            Error::new(ErrorKind::NoMoment, format!("{name}: it has no process {pid}"))
        })?;
        match self.snapshot.processes[place].is_empty() {
            true => Err(Error::new(
                ErrorKind::Lacks,
                format!("{name}: process {pid} could not be read when the snapshot was made"),
            )),
            false => Ok(place),
        }
    }

    /// What is known of a process besides its rows, and the rows.
    pub(crate) fn document(&self, place: usize) -> (Document, Maps) {
        let maps = self.snapshot.maps(place);
        let text = |number| String::from_utf8_lossy(self.snapshot.string(number)).into_owned();
        let labels = self.snapshot.labels(place).into_iter().map(|(range, part)| {
            let confidence = match part.confidence {
                0 => Confidence::Guess,
                1 => Confidence::Likely,
                _ => Confidence::Certain,
            };
            let (group, because) = (text(part.group), text(part.because));
            Labelled::new(range, Label::new(group, confidence, text(part.text), because))
        });
        let labels = Labels::kept(&maps, labels.collect()).unwrap_or_default();
        let header = &self.snapshot.header;
        let identity =
            self.snapshot.processes.get(place).map(|process| (*process.identity).clone());
        let comm = identity.as_ref().map(|identity| identity.comm.clone()).unwrap_or_default();
        let mut document = Document::of_labels(labels);
        document.pid = identity.as_ref().and_then(|identity| identity.pid);
        document.comm = String::from_utf8_lossy(&comm).into_owned();
        document.page_size = (header.page_size > 0).then_some(header.page_size);
        document.kernel = (!header.kernel.is_empty()).then(|| header.kernel.clone());
        document.time_ms = Some(header.time_ms);
        document.identity = identity;
        (document, maps)
    }
}
