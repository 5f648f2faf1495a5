//! Keeps a snapshot of a machine.

use super::census::{Census, PATIENCE};
use super::cost;
use super::layout::{self, MAX_ROWS};
use super::options::Depth;
use super::saved::{
    GONE, KERNEL_THREADS, LEADERS_ENDED, MAX_MAP_COUNT, MEMORY, REACH, REACHES, ZOMBIES,
};
use crate::atlas::{Atlas, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::identity::identity_of;
use crate::needs::Needs;
use crate::source::saved::{SUFFIX, SavedMachine};
use crate::words::dates::utc;
use std::collections::HashMap;
use std::hash::RandomState;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use vmatlas_explain::label::{Confidence, Label};
use vmatlas_linux::processes::{About, MachineMemory, in_parallel};
use vmatlas_linux::{Limits, Process, ProcessId, Replace, Source, page_size, write_file};
use vmatlas_maps::{AddressRange, Identity, Maps, Sizes, Totals};
use vmatlas_recording::machine::{Header, NewLabel, NewProcess, NewSnapshot, State};

/// The fields of smaps that are kept: what sums are made of.
const FIELDS: [&str; 12] = [
    "Rss",
    "Pss",
    "Shared_Clean",
    "Shared_Dirty",
    "Private_Clean",
    "Private_Dirty",
    "Swap",
    "Shared_Hugetlb",
    "Private_Hugetlb",
    "AnonHugePages",
    "ShmemPmdMapped",
    "FilePmdMapped",
];

/// A snapshot that was kept.
#[derive(Debug)]
#[non_exhaustive]
pub struct Saved {
    /// Its file.
    pub path: PathBuf,
    /// The bytes of the file.
    pub bytes: usize,
    /// The processes whose rows it has.
    pub processes: usize,
    /// The processes that may not be read.
    pub refused: usize,
    /// The processes that did not answer in time.
    pub silent: usize,
    /// The processes whose rows are more than a snapshot holds.
    pub left_out: usize,
}

/// A label of a row, by its distance from the start of the row.
struct RowLabel {
    row: usize,
    offset: u64,
    size: u64,
    label: Label,
}

/// What is kept of a process.
struct Kept {
    identity: Identity,
    maps: Maps,
    sizes: Sizes,
    labels: Arc<Vec<RowLabel>>,
}

/// The labels of layouts that were seen.
struct Known {
    hasher: RandomState,
    labels: Mutex<HashMap<u64, Arc<Vec<RowLabel>>>>,
}

impl Census {
    /// Keeps a snapshot of all processes in a file of its own in a directory, which is made if it
    /// does not exist: what changed since the last one there, or everything. With `sizes` also those
    /// of each row.
    ///
    /// # Errors
    /// If the directory or the file cannot be written.
    pub fn save(self, dir: &Path, sizes: bool, limits: Limits) -> Result<Saved> {
        make_dir(dir)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let read = |path: &str| std::fs::read_to_string(self.proc.join(path)).ok();
        let text = |path: &str| read(path).map(|text| text.trim().to_owned());
        let boot = text("sys/kernel/random/boot_id").unwrap_or_default();
        let header = Header {
            time_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            boot: u128::from_str_radix(&boot.replace('-', ""), 16).unwrap_or(0).to_be_bytes(),
            kernel: text("sys/kernel/osrelease").unwrap_or_default(),
            page_size: page_size() as u64,
            fields: if sizes { FIELDS.map(str::to_owned).to_vec() } else { Vec::new() },
            ..Header::default()
        };
        let mut memory = MachineMemory::read(&self.proc)?;
        let max_map_count = text("sys/vm/max_map_count").and_then(|count| count.parse().ok());
        let reach = REACHES.iter().position(|reach| *reach == self.reach).unwrap_or(0) as u64;
        let (kept, mut silent) = self.read_all(sizes, limits);
        silent.extend(&self.counts.silent);
        let mut new = NewSnapshot::new(header, SavedMachine::open(dir)?.last());
        MEMORY.iter().for_each(|(name, field)| new.fact(name, *field(&mut memory)));
        let counts = &self.counts;
        let mut saved = Saved {
            path: PathBuf::new(),
            bytes: 0,
            processes: 0,
            refused: counts.refused.len(),
            silent: silent.len(),
            left_out: 0,
        };
        let mut gone = counts.gone;
        let abouts: HashMap<u32, &About> =
            self.processes.iter().map(|about| (about.pid, about)).collect();
        for (pid, result) in &kept {
            let Some(about) = abouts.get(pid) else { continue };
            match result {
                Ok(kept) => {
                    saved.processes += 1;
                    new.add(NewProcess { labels: kept.labels(), ..process(about, kept) });
                }
                Err(error) if error.kind() == ErrorKind::Denied => {
                    saved.refused += 1;
                    let identity = short_identity(*pid, about.comm.clone());
                    let (state, status_rss) = (State::Refused, about.rss);
                    new.add(NewProcess { identity, state, status_rss, ..NewProcess::default() });
                }
                Err(_) => gone += 1,
            }
        }
        for (pid, state) in counts
            .refused
            .iter()
            .map(|refused| (refused.pid, State::Refused))
            .chain(silent.iter().map(|pid| (*pid, State::Silent)))
        {
            let identity = short_identity(pid, Vec::new());
            new.add(NewProcess { identity, state, ..NewProcess::default() });
        }
        new.fact(KERNEL_THREADS, counts.kernel_threads);
        new.fact(ZOMBIES, counts.zombies);
        new.fact(LEADERS_ENDED, counts.leaders_ended);
        new.fact(GONE, gone);
        new.fact(REACH, reach);
        if let Some(count) = max_map_count {
            new.fact(MAX_MAP_COUNT, count);
        }
        saved.left_out = new.left_out();
        let bytes = new.encode();
        saved.bytes = bytes.len();
        saved.path = new_name(dir, now);
        let written = write_file(&saved.path, "a snapshot", &bytes, Replace::Own);
        written.map_err(|error| Error::new(ErrorKind::Io, error.to_string()))?;
        Ok(saved)
    }

    /// Reads all processes; also returns those that did not answer.
    fn read_all(&self, sizes: bool, limits: Limits) -> (Vec<(u32, Result<Kept>)>, Vec<u32>) {
        let depth = if sizes { Depth::Rows } else { Depth::Rollup };
        let longest = self.processes.iter().map(|about| cost::of(about, depth)).max();
        let limit = PATIENCE + longest.unwrap_or_default() * 10;
        let pids: Vec<u32> = self.processes.iter().map(|about| about.pid).collect();
        let abouts: HashMap<u32, About> =
            self.processes.iter().map(|about| (about.pid, about.clone())).collect();
        let proc = self.proc.clone();
        let known = Known { hasher: RandomState::new(), labels: Mutex::default() };
        let found = in_parallel(pids, limit, move |pid| {
            let about = abouts.get(&pid)?;
            Some(Kept::read(&proc, about, sizes, limits, &known))
        });
        let answers = found.answers.into_iter();
        (answers.filter_map(|(pid, kept)| Some((pid, kept?))).collect(), found.silent)
    }
}

impl Kept {
    fn read(
        proc: &Path,
        about: &About,
        sizes: bool,
        limits: Limits,
        known: &Known,
    ) -> Result<Kept> {
        let id = ProcessId { pid: about.pid, tid: None };
        let process = Process::open(proc, id)?;
        let identity = identity_of(&process, about.clone());
        let process = process.with_memory(about.life)?;
        let source = if sizes { Source::Smaps } else { Source::Maps };
        let maps = process.rows(source)?.maps;
        if maps.is_empty() {
            return Err(Error::new(ErrorKind::Gone, format!("{id}: has no memory")));
        }
        let sums = match sizes {
            true => Totals::sum_by(&maps, |_, _| (&[][..]).into(), |_| true).all.sizes,
            false => process.rollup()?,
        };
        let labels = known.labels(&maps, about, proc, limits)?;
        Ok(Kept { identity, maps, sizes: sums, labels })
    }

    fn labels(&self) -> Vec<NewLabel<'_>> {
        let label = |of_row: &'_ RowLabel| {
            let row = self.maps.get(of_row.row)?.range;
            AddressRange::sized(row.start.checked_add(of_row.offset)?, of_row.size)
        };
        let labels = self.labels.iter().filter_map(|of_row| {
            let Label { group, text, confidence, because, .. } = &of_row.label;
            let confidence = match confidence {
                Confidence::Guess => 0,
                Confidence::Likely => 1,
                _ => 2,
            };
            Some((label(of_row)?, &**group, &**text, &**because, confidence))
        });
        labels.collect()
    }
}

impl Known {
    /// The labels of rows, found once for processes of one thread and the same layout.
    fn labels(
        &self,
        maps: &Maps,
        about: &About,
        proc: &Path,
        limits: Limits,
    ) -> Result<Arc<Vec<RowLabel>>> {
        let lock = || self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        let is_short = about.threads == Some(1) && maps.len() <= MAX_ROWS;
        let hash = is_short.then(|| layout::hash(&self.hasher, maps));
        if let Some(known) = hash.and_then(|hash| lock().get(&hash).cloned()) {
            return Ok(known);
        }
        let id = ProcessId { pid: about.pid, tid: None };
        let atlas = Open::new(id).proc(proc).needs(Needs::LABELS).limits(limits).open()?;
        let labels = Arc::new(row_labels(&atlas, maps, hash.is_some()));
        if atlas.maps().iter().eq(maps.iter()) {
            hash.map(|hash| lock().insert(hash, labels.clone()));
        }
        Ok(labels)
    }
}

/// The labels in each of these rows, which may be of a moment before.
fn row_labels(atlas: &Atlas, maps: &Maps, is_shared: bool) -> Vec<RowLabel> {
    let mut labels = Vec::new();
    for (row, mapping) in maps.iter().enumerate() {
        for part in atlas.labels().within(mapping.range) {
            if let Some(range) = part.range.intersect(&mapping.range) {
                let (offset, size) = (range.start - mapping.range.start, range.size());
                labels.push(RowLabel { row, offset, size, label: lasting(&part.label, is_shared) });
            }
        }
    }
    labels
}

/// The part of a label that stays the same while the memory has its purpose, and is written once:
/// no sizes. If it is that of all processes of a layout, also no threads.
fn lasting(label: &Label, is_shared: bool) -> Label {
    let has_digits = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let mut text = label.text.as_str();
    if has_digits(text) {
        text = text.split(", ").next().unwrap_or_default();
    }
    if is_shared && has_digits(text) {
        text = &label.group;
    }
    let because = match has_digits(&label.because) {
        true => "found when the snapshot was made",
        false => &label.because,
    };
    Label::new(label.group.clone(), label.confidence, text, because)
}

fn process<'a>(about: &About, kept: &'a Kept) -> NewProcess<'a> {
    NewProcess {
        identity: kept.identity.clone(),
        status_rss: about.rss,
        page_tables: about.page_tables,
        threads: about.threads.map(u64::from),
        sizes: kept.sizes,
        maps: &kept.maps,
        ..NewProcess::default()
    }
}

fn short_identity(pid: u32, comm: Vec<u8>) -> Identity {
    Identity { pid: Some(pid), comm, ..Identity::default() }
}

fn make_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if dir.is_dir() {
        return Ok(());
    }
    // Snapshots hold paths and names of other users' processes.
    let made = std::fs::DirBuilder::new().mode(0o700).create(dir);
    made.map_err(|error| Error::file(dir.display(), error))
}

/// A name that no file has.
fn new_name(dir: &Path, now: std::time::Duration) -> PathBuf {
    let time = utc(now).replace(' ', "T").replace(':', "-");
    let names = (1..).map(|number| match number {
        1 => format!("{time}Z{SUFFIX}"),
        number => format!("{time}Z-{number}{SUFFIX}"),
    });
    let mut paths = names.map(|name| dir.join(name));
    let is_new = |path: &PathBuf| std::fs::symlink_metadata(path).is_err();
    paths.find(is_new).unwrap_or_else(|| dir.join(SUFFIX))
}
