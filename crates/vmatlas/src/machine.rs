//! All processes of a machine, and sums over them.

use crate::atlas::{Atlas, Open};
use crate::error::{Error, Result};
use crate::needs::Needs;
use crate::totals::{By, MapTotals};
use crate::words::values::printable;
use std::collections::BTreeMap;
use std::path::Path;
use vmatlas_linux::{Candidate, NamedProcess, Process, ProcessId};
use vmatlas_maps::Total;

/// A process that existed when the processes were listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEntry {
    pid: u32,
    comm: Vec<u8>,
}

impl ProcessEntry {
    /// Its process ID.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name (proc_pid_comm(5)), with control characters escaped.
    pub fn name(&self) -> String {
        printable(&self.comm)
    }

    /// Opens the process.
    ///
    /// # Errors
    /// Same as [`Open::open`]: the process may have ended, or may not be read.
    pub fn open(&self) -> Result<Atlas> {
        Open::new(self.pid).open()
    }
}

/// Lists all visible processes, by process ID.
///
/// # Errors
/// Fails if /proc cannot be read.
pub fn processes() -> Result<Vec<ProcessEntry>> {
    let proc = Path::new("/proc");
    let entry = |pid| {
        let process = Process::open(proc, ProcessId { pid, tid: None }).ok()?;
        Some(ProcessEntry { pid, comm: process.comm().unwrap_or_default() })
    };
    Ok(pids(proc)?.into_iter().filter_map(entry).collect())
}

/// The process IDs below `proc`, in order.
pub(crate) fn pids(proc: &Path) -> Result<Vec<u32>> {
    let entries = std::fs::read_dir(proc).map_err(|error| Error::file(proc.display(), error))?;
    let pid = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut pids: Vec<u32> = entries.flatten().filter_map(pid).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// Lists the processes below `proc` whose process ID begins with `digits`, with the names by which
/// [`open`](crate::open) finds them: at most `most`, the largest process IDs. Neither the calling
/// process nor kernel threads count, and what cannot be read is left out.
pub fn named_processes(proc: &Path, digits: &str, most: usize) -> Vec<NamedProcess> {
    Process::with_names(proc, digits, most)
}

/// What tells a process apart from others of its name: its user, its start, its command line. Reads
/// its arguments. `None` if it is gone.
pub fn candidate(proc: &Path, pid: u32) -> Option<Candidate> {
    let process = Process::open(proc, ProcessId { pid, tid: None }).ok()?;
    Some(process.candidate())
}

/// The sum of rows with the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Sum {
    /// The key. It may hold any bytes: escape it for terminals.
    pub key: String,
    /// The number of processes that have such rows.
    pub processes: usize,
    /// The number of rows.
    pub mappings: u64,
    /// The total size in bytes.
    pub size: u64,
    /// Resident memory in bytes, if sizes were read.
    pub rss: Option<u64>,
    /// The proportional share in bytes, if sizes were read.
    pub pss: Option<u64>,
}

/// Several address spaces.
pub struct Machine {
    atlases: Vec<Atlas>,
    /// The processes that could not be read, with the reasons.
    refused: Vec<(ProcessEntry, Error)>,
}

/// Reads all processes that may be read. Processes that end meanwhile are left out.
///
/// # Errors
/// Fails if /proc cannot be read.
pub fn machine(needs: Needs) -> Result<Machine> {
    let mut machine = Machine { atlases: Vec::new(), refused: Vec::new() };
    for process in processes()? {
        match Open::new(process.pid).needs(needs).open() {
            // Kernel threads have no memory.
            Ok(atlas) if atlas.maps().is_empty() => {}
            Ok(atlas) => machine.atlases.push(atlas),
            Err(error) if error.is_gone() => {}
            Err(error) => machine.refused.push((process, error)),
        }
    }
    Ok(machine)
}

impl Machine {
    /// The processes that were read.
    pub fn atlases(&self) -> &[Atlas] {
        &self.atlases
    }

    /// The processes that may not be read, with the errors.
    pub fn refused(&self) -> &[(ProcessEntry, Error)] {
        &self.refused
    }

    /// Sums over all processes, the largest share of resident memory first.
    pub fn totals(&self, by: By) -> Vec<Sum> {
        let mut sums = Sums::default();
        self.atlases.iter().for_each(|atlas| sums.add(atlas, by));
        sums.sorted()
    }
}

impl Atlas {
    /// The sum of the rows that no name and no label explains.
    pub fn unexplained(&self) -> Sum {
        let unexplained = MapTotals::of(self, By::Kind, |_| true).unexplained;
        let mut sum = Sum { key: "unexplained".to_owned(), ..Sum::default() };
        sum.add(&unexplained);
        sum
    }

    /// Sums over all rows. The largest share of resident memory comes first, or the largest size if
    /// no sizes of smaps were read.
    pub fn totals(&self, by: By) -> Vec<Sum> {
        let mut sums = Sums::default();
        sums.add(self, by);
        sums.sorted()
    }
}

impl Sum {
    /// Adds the sum of one process.
    fn add(&mut self, more: &Total) {
        let add = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        };
        self.processes += 1;
        self.mappings += more.mappings;
        self.size = self.size.saturating_add(more.size);
        self.rss = add(self.rss, more.sizes.rss);
        self.pss = add(self.pss, more.sizes.pss);
    }
}

/// Sums by key.
#[derive(Default)]
struct Sums(BTreeMap<String, Sum>);

impl Sums {
    fn add(&mut self, atlas: &Atlas, by: By) {
        for group in MapTotals::of(atlas, by, |_| true).groups {
            let key = String::from_utf8_lossy(&group.total.key).into_owned();
            let sum = self
                .0
                .entry(key)
                .or_insert_with_key(|key| Sum { key: key.clone(), ..Sum::default() });
            sum.add(&group.total);
        }
    }

    fn sorted(self) -> Vec<Sum> {
        let mut sums: Vec<Sum> = self.0.into_values().collect();
        sums.sort_by(|a, b| (b.pss, b.size).cmp(&(a.pss, a.size)).then_with(|| a.key.cmp(&b.key)));
        sums
    }
}
