//! `DIR`, `DIR@T`, `DIR:PID@T`: a snapshot in a directory.

use super::directory::{SUFFIX, SavedMachine, SavedSnapshot};
use super::moment::When;
use crate::error::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

/// A word of the command line that names a snapshot of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedWord {
    /// The directory.
    pub dir: PathBuf,
    /// The process.
    pub pid: Option<u32>,
    /// The moment.
    pub when: When,
}

impl SavedWord {
    /// Parses a word; `None` if it names no directory with snapshots.
    ///
    /// # Errors
    /// [`ErrorKind::NoMoment`] if what follows the directory is no time and no process.
    pub fn parse(word: &str) -> Result<Option<SavedWord>> {
        if let Some(dir) = directory(word) {
            return Ok(Some(SavedWord { dir, pid: None, when: When::End }));
        }
        let (rest, when) = match word.rsplit_once('@') {
            Some((rest, when)) => (rest, Some(when)),
            None => (word, None),
        };
        let (dir, pid) = match (directory(rest), rest.rsplit_once(':')) {
            (Some(dir), _) => (dir, None),
            (None, Some((dir, pid))) => match directory(dir) {
                Some(dir) => (dir, Some(pid)),
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let wrong = |help: &str| Error::new(ErrorKind::NoMoment, format!("{word}: {help}"));
        let pid = match pid.map(str::parse) {
            Some(Err(_)) => return Err(wrong("a process of a snapshot is DIR:PID@T")),
            Some(Ok(pid)) => Some(pid),
            None => None,
        };
        let when = match when {
            Some(when) => When::parse(when).ok_or_else(|| wrong(When::HELP))?,
            None => When::End,
        };
        Ok(Some(SavedWord { dir, pid, when }))
    }

    /// Reads the snapshot.
    ///
    /// # Errors
    /// The same as [`SavedMachine::read`].
    pub fn read(&self) -> Result<SavedSnapshot> {
        SavedMachine::open(&self.dir)?.read(&self.when)
    }
}

/// The directory of that name, if it has snapshots.
fn directory(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let is_snapshot = |entry: &std::fs::DirEntry| {
        entry.file_name().as_encoded_bytes().ends_with(SUFFIX.as_bytes())
    };
    // A list of processes has no such files and is long.
    let mut entries = std::fs::read_dir(path).ok()?.map_while(std::io::Result::ok);
    entries.any(|entry| is_snapshot(&entry)).then(|| path.to_owned())
}
