//! The ELF files behind a process's rows, each opened once.

use crate::core_file::file_with_build_id;
use crate::deadline::{Results, all_within};
use crate::elf::{self, ElfFile, FileMapping, Section, SegmentFlags};
use crate::files::{FileTruth, FileTruths, Files, Way};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::hash::{BuildHasher as _, RandomState};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use vmatlas_maps::{Device, Mapping, Maps};
use vmatlas_object::Budget;

/// Time limit for reading the headers of all files.
const LIMIT: Duration = Duration::from_secs(3);

/// Maximum number of files opened for a process. A process may have 1024 descriptors.
const MAX_FILES: usize = 896;

/// Maximum number of sections examined per row. No program has as many, but a hostile file may.
const MAX_SECTIONS: usize = 512;

/// The ELF files of a process. A file is opened once, when its rows are first requested.
#[derive(Default)]
pub struct Images {
    /// The file index of each row.
    file_of_row: Vec<Option<u32>>,
    files: Vec<MappedFile>,
    /// Random, so that no names have the same hash on purpose.
    hasher: RandomState,
    /// For the tables of all files.
    budget: Budget,
    /// The open files, by the device and inode of statx(2), which unlike those of rows are unique: a
    /// file may be mapped by many names.
    open: OpenFiles,
}

/// A file and its rows.
struct MappedFile {
    key: FileKey,
    rows: Vec<usize>,
    elf: Elf,
    /// For its tables.
    budget: Budget,
}

/// Identifies a mapped file.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FileKey {
    /// A hash of the name: names may be long, and there may be tens of thousands.
    name: u64,
    device: Device,
    inode: u64,
}

/// Open files by the device and inode of statx(2).
type OpenFiles = Arc<Mutex<HashMap<(Device, u64), SharedElf>>>;

/// An ELF file shared by threads and readings.
pub type SharedElf = Arc<Mutex<ElfFile>>;

#[derive(Clone, Default)]
enum Elf {
    #[default]
    NotTried,
    /// It is not ELF, cannot be opened, or did not answer in time.
    None,
    /// Too many files are open.
    TooMany,
    Open(SharedElf),
}

/// An ELF file as a row maps it, locked for this reader.
pub struct Image<'i> {
    elf: MutexGuard<'i, ElfFile>,
    bias: Option<u64>,
}

impl MappedFile {
    /// Whether facts are missing, because they would cost too much.
    fn is_left_out(&self) -> bool {
        self.budget.is_exceeded() || matches!(self.elf, Elf::TooMany)
    }
}

impl Images {
    /// The files of these rows, none of them open. Their tables share a budget.
    pub fn new(maps: &Maps, budget: Budget) -> Images {
        Images::with_hasher(maps, budget, RandomState::new())
    }

    fn with_hasher(maps: &Maps, budget: Budget, hasher: RandomState) -> Images {
        let mut numbers: HashMap<FileKey, u32> = HashMap::new();
        let mut images = Images { hasher, budget, ..Images::default() };
        for (index, row) in maps.iter().enumerate() {
            let number = (row.inode != 0).then(|| {
                let name = images.hasher.hash_one(row.name);
                let key = FileKey { name, device: row.device, inode: row.inode };
                *numbers.entry(key).or_insert_with(|| {
                    let budget = images.budget.of_file();
                    let (rows, elf) = (Vec::new(), Elf::NotTried);
                    images.files.push(MappedFile { key, rows, elf, budget });
                    images.files.len() as u32 - 1
                })
            });
            if let Some(file) = number.and_then(|number| images.files.get_mut(number as usize)) {
                file.rows.push(index);
            }
            images.file_of_row.push(number);
        }
        images
    }

    /// The budget that the tables of the files share.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The files of another reading of the same process; open files stay open.
    pub fn again(&self, maps: &Maps) -> Images {
        let known: HashMap<&FileKey, &MappedFile> =
            self.files.iter().map(|file| (&file.key, file)).collect();
        self.budget.restart();
        let mut images = Images::with_hasher(maps, self.budget.clone(), self.hasher.clone());
        for file in &mut images.files {
            // What was refused is tried again.
            if let Some(known) = known.get(&file.key).filter(|known| !known.is_left_out()) {
                (file.elf, file.budget) = (known.elf.clone(), known.budget.clone());
            }
        }
        let of_file = |file: &MappedFile| match &file.elf {
            Elf::Open(elf) => Some(Arc::as_ptr(elf)),
            Elf::NotTried | Elf::None | Elf::TooMany => None,
        };
        let mapped: HashSet<_> = images.files.iter().filter_map(of_file).collect();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        open.retain(|_, elf| mapped.contains(&Arc::as_ptr(elf)));
        images.open = Arc::new(Mutex::new(open));
        images
    }

    /// Opens the files of the rows whose index passes `wanted`, unless they are open. Skips files
    /// that are not ELF, cannot be opened, or do not answer in time.
    pub fn open(
        &mut self,
        files: &Files,
        maps: &Maps,
        truths: &FileTruths,
        wanted: impl Fn(usize) -> bool,
    ) {
        let is_new = |file: &MappedFile| matches!(file.elf, Elf::NotTried);
        let is_wanted = |file: &MappedFile| file.rows.iter().any(|&index| wanted(index));
        let mut rows = Vec::new();
        for (at, file) in self.files.iter_mut().enumerate() {
            if is_new(file) && is_wanted(file) {
                file.elf = Elf::None;
                rows.extend(file.rows.first().map(|&row| (at, row)));
            }
        }
        // A process may have tens of thousands of files with long names.
        for batch in rows.chunks(MAX_FILES) {
            let job = |&(at, row): &(usize, usize)| {
                let budget = self.files.get(at)?.budget.clone();
                Some((at, Job::of(maps, truths, row)?, budget))
            };
            let open = self.open.clone();
            let found = files.within_each(
                LIMIT,
                batch.iter().filter_map(job).collect(),
                |(_, job, _)| (&job.name, job.row.device),
                move |way, (at, job, budget)| (*at, job.open(way, budget, &open)),
            );
            for (at, elf) in found {
                if let (Some(file), Some(elf)) = (self.files.get_mut(at), elf) {
                    file.elf = elf;
                }
            }
        }
    }

    /// The first row of each file of which facts are missing, because the budget was exceeded or
    /// too many files are open.
    pub fn left_out(&self) -> impl Iterator<Item = usize> + '_ {
        let left_out = self.files.iter().filter(|file| file.is_left_out());
        left_out.filter_map(|file| file.rows.first().copied())
    }

    /// Opens the files of an ended process: current files with the build ids that `build_id`
    /// returns for rows. Returns the first row of each file that was not opened, and the reason in
    /// one line.
    pub fn open_by_build_id(
        &mut self,
        maps: &Maps,
        build_id: impl Fn(&Mapping<'_>) -> Option<Vec<u8>>,
    ) -> Vec<(usize, String)> {
        let mut jobs = Vec::new();
        let mut refused: HashMap<usize, String> = HashMap::new();
        for (at, file) in self.files.iter_mut().enumerate() {
            let row = file.rows.first().and_then(|&row| maps.get(row));
            let Some((row, path)) = row.and_then(|row| Some((row, row.file_name()?.path))) else {
                continue;
            };
            file.elf = Elf::None;
            let name = String::from_utf8_lossy(&path).into_owned();
            match build_id(&row) {
                Some(id) if jobs.len() < MAX_FILES => {
                    refused.insert(at, format!("{name} does not answer"));
                    let (path, budget) = (path.into_owned(), file.budget.clone());
                    jobs.push(move |results: &Results<_>| {
                        results.add((at, file_with_build_id(&path, &id, &budget)));
                    });
                }
                Some(_) => {
                    file.elf = Elf::TooMany;
                    refused.insert(at, "too many files are mapped".to_owned());
                }
                None => drop(refused.insert(at, format!("{name} has no build id to identify it"))),
            }
        }
        for (at, found) in all_within(LIMIT, jobs) {
            match (self.files.get_mut(at), found) {
                (Some(file), Ok(elf)) => {
                    file.elf = Elf::Open(Arc::new(Mutex::new(elf)));
                    refused.remove(&at);
                }
                (_, Err(why)) => drop(refused.insert(at, why)),
                (None, Ok(_)) => {}
            }
        }
        let first = |(at, why): (usize, String)| Some((*self.files.get(at)?.rows.first()?, why));
        refused.into_iter().filter_map(first).collect()
    }

    /// The first row of the same file as row `index`.
    pub fn first_row(&self, index: usize) -> Option<usize> {
        let number = self.file_of_row.get(index).copied()??;
        self.files.get(number as usize)?.rows.first().copied()
    }

    /// The image of a row, if its file is open. Waits for other readers of the file.
    pub fn of_row(&self, maps: &Maps, index: usize) -> Option<Image<'_>> {
        let (file, elf) = self.file_of(index)?;
        let elf = elf.lock().unwrap_or_else(PoisonError::into_inner);
        let bias = file.row_of_file(maps, index)?.bias(&elf);
        Some(Image { elf, bias })
    }

    /// The file of a row and its index, for use in another thread.
    pub fn shared(&self, index: usize) -> Option<(u32, SharedElf)> {
        let (_, elf) = self.file_of(index)?;
        Some((self.file_of_row.get(index).copied()??, elf.clone()))
    }

    /// The input for the load bias of a row's file, for use in another thread.
    pub fn row_of_file(&self, maps: &Maps, index: usize) -> Option<RowOfFile> {
        self.file_of(index)?.0.row_of_file(maps, index)
    }

    fn file_of(&self, index: usize) -> Option<(&MappedFile, &SharedElf)> {
        let number = self.file_of_row.get(index).copied()??;
        let file = self.files.get(number as usize)?;
        match &file.elf {
            Elf::Open(elf) => Some((file, elf)),
            Elf::NotTried | Elf::None | Elf::TooMany => None,
        }
    }
}

/// A row of a file, and the nearest other rows of the same file.
#[derive(Clone, Debug)]
pub struct RowOfFile {
    row: FileMapping,
    siblings: Vec<FileMapping>,
}

impl RowOfFile {
    /// The load bias: subtract it from an address in the row to get the file's address. `None` if
    /// the file is mapped as data, not as a program or library.
    pub fn bias(&self, elf: &ElfFile) -> Option<u64> {
        elf.load_bias(self.row, &self.siblings)
    }
}

impl MappedFile {
    fn row_of_file(&self, maps: &Maps, index: usize) -> Option<RowOfFile> {
        // Only the nearest rows count, because a process may map a file tens of thousands of times.
        let at = self.rows.partition_point(|&other| other < index);
        let near = at.saturating_sub(ElfFile::MAX_SIBLINGS)
            ..(at + ElfFile::MAX_SIBLINGS).min(self.rows.len());
        let siblings = self.rows[near].iter().filter_map(|&index| maps.get(index));
        let siblings = siblings.map(|row| file_mapping(&row)).collect();
        Some(RowOfFile { row: file_mapping(&maps.get(index)?), siblings })
    }
}

impl Image<'_> {
    /// The ELF file.
    pub fn elf(&self) -> &ElfFile {
        &self.elf
    }

    /// The load bias: subtract it from a process address to get the file's address. `None` if the
    /// file is mapped as data, not as a program or library.
    pub fn bias(&self) -> Option<u64> {
        self.bias
    }

    /// The sections in a row, sorted by address.
    pub fn sections(&self, row: &Mapping<'_>) -> Vec<&Section> {
        let Some(bias) = self.bias else { return Vec::new() };
        let start = row.range.start.wrapping_sub(bias);
        let end = start.saturating_add(row.range.size());
        let overlaps = |section: &&Section| {
            let range = section.vaddr_range();
            section.is_mapped() && range.start < end && start < range.end
        };
        self.elf.sections().iter().take(MAX_SECTIONS).filter(overlaps).collect()
    }
}

fn file_mapping(row: &Mapping<'_>) -> FileMapping {
    let flags = SegmentFlags::new(row.perms.read(), row.perms.write(), row.perms.execute());
    FileMapping { start: row.range.start, end: row.range.end, offset: row.offset, flags }
}

/// A file to open in another thread.
struct Job {
    row: Mapping<'static>,
    name: Vec<u8>,
    truth: Option<FileTruth>,
}

impl Job {
    fn of(maps: &Maps, truths: &FileTruths, index: usize) -> Option<Job> {
        let row = maps.get(index)?;
        let (range, perms, offset, device, inode) =
            (row.range, row.perms, row.offset, row.device, row.inode);
        let without_name = Mapping { range, perms, offset, device, inode, name: b"" };
        Some(Job { row: without_name, name: row.name.to_vec(), truth: truths.get(index).cloned() })
    }

    fn open(&self, way: &Way, budget: &Budget, open: &OpenFiles) -> Option<Elf> {
        let file = way.open(&Mapping { name: &self.name, ..self.row }, self.truth.as_ref())?;
        let debug_files = way.files().clone();
        let id = (file.stat().device, file.stat().inode);
        let lock = || open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&id) {
            return Some(Elf::Open(known.clone()));
        }
        let elf = elf::read_within(file, budget.clone()).ok()??;
        let elf = elf.with_debug_files(elf::debug_files(move |path| debug_files.open_path(path)));
        let elf = match &self.truth {
            Some(truth) => elf.with_path(OsStr::from_bytes(truth.path(&self.name))),
            None => elf,
        };
        let elf = Arc::new(Mutex::new(elf));
        // A process opens no more files than it has descriptors for.
        let mut open = lock();
        Some(match open.len() < MAX_FILES || open.contains_key(&id) {
            true => Elf::Open(open.entry(id).or_insert(elf).clone()),
            false => Elf::TooMany,
        })
    }
}
