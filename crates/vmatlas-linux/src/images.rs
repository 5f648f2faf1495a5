//! The ELF files behind the rows of a process, each opened once.

use crate::elf::{self, ElfFile, FileMapping, Section, SegmentFlags};
use crate::files::{FileTruth, FileTruths, Files};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;
use vmatlas_maps::{Device, Mapping, Maps};

/// How long the file systems may take to give the headers of all files.
const LIMIT: Duration = Duration::from_secs(3);

/// How many sections of a file are looked at for each row: no program has as many, but a file that
/// means harm may.
const MOST_SECTIONS: usize = 4096;

/// What tells one mapped file from another.
type FileKey<'a> = (&'a [u8], Device, u64);

/// The ELF files of a process.
pub struct Images<'a> {
    maps: &'a Maps,
    /// The rows of each file.
    rows: HashMap<FileKey<'a>, Vec<usize>>,
    open: HashMap<FileKey<'a>, ElfFile>,
}

/// An ELF file as a row shows it.
pub struct Image<'i> {
    /// The file.
    pub elf: &'i ElfFile,
    /// What to subtract from an address of the process to get one of the file; none if the file
    /// is not mapped as a program or library, but as data.
    pub bias: Option<u64>,
}

impl<'a> Images<'a> {
    /// Opens the files of those rows that `wanted` lets through, by their index. What is no ELF
    /// file, cannot be opened, or does not answer in time is left out.
    pub fn open(
        files: &Files,
        maps: &'a Maps,
        truths: &FileTruths,
        wanted: impl Fn(usize) -> bool,
    ) -> Self {
        let mut rows: HashMap<FileKey<'a>, Vec<usize>> = HashMap::new();
        for (index, row) in maps.iter().enumerate().filter(|(_, row)| row.inode != 0) {
            rows.entry(key(&row)).or_default().push(index);
        }
        let keys: Vec<FileKey<'a>> = rows
            .iter()
            .filter(|(_, rows)| rows.iter().any(|&index| wanted(index)))
            .map(|(key, _)| *key)
            .collect();
        let job =
            |(at, key): (usize, &FileKey<'a>)| Some((at, Job::of(maps, truths, rows[key][0])?));
        let jobs: Vec<(usize, Job)> = keys.iter().enumerate().filter_map(job).collect();
        let found = files.within_each(
            LIMIT,
            jobs,
            |(_, job)| &job.name,
            |files, (at, job)| (*at, job.open(files)),
        );
        let open = found.into_iter().filter_map(|(at, elf)| Some((keys[at], elf?))).collect();
        Images { maps, rows, open }
    }

    /// The image of which a row is a part.
    pub fn of_row(&self, index: usize) -> Option<Image<'_>> {
        let row = self.maps.get(index)?;
        let elf = self.open.get(&key(&row))?;
        // The nearest count, and a process may map a file tens of thousands of times.
        let rows = &self.rows[&key(&row)];
        let at = rows.partition_point(|&other| other < index);
        let near = at.saturating_sub(ElfFile::SIBLINGS_LIMIT)
            ..(at + ElfFile::SIBLINGS_LIMIT).min(rows.len());
        let siblings: Vec<FileMapping> = rows[near]
            .iter()
            .filter_map(|&index| self.maps.get(index))
            .map(|row| file_mapping(&row))
            .collect();
        Some(Image { elf, bias: elf.load_bias(file_mapping(&row), &siblings) })
    }

    /// Takes the file of a row out, and its load bias, for work in another thread.
    pub fn take(&mut self, index: usize) -> Option<(ElfFile, Option<u64>)> {
        let bias = self.of_row(index)?.bias;
        Some((self.open.remove(&key(&self.maps.get(index)?))?, bias))
    }
}

impl Image<'_> {
    /// The sections that lie in a row, in the order of their addresses.
    pub fn sections(&self, row: &Mapping<'_>) -> Vec<&Section> {
        let Some(bias) = self.bias else { return Vec::new() };
        let start = row.range.start.wrapping_sub(bias);
        let end = start.saturating_add(row.range.size());
        let overlaps = |section: &&Section| {
            let range = section.vaddr_range();
            section.is_mapped() && range.start < end && start < range.end
        };
        self.elf.sections().iter().take(MOST_SECTIONS).filter(overlaps).collect()
    }
}

fn key<'a>(row: &Mapping<'a>) -> FileKey<'a> {
    (row.name, row.device, row.inode)
}

fn file_mapping(row: &Mapping<'_>) -> FileMapping {
    let flags = SegmentFlags::new(row.perms.read(), row.perms.write(), row.perms.execute());
    FileMapping { start: row.range.start, end: row.range.end, offset: row.offset, flags }
}

/// A file to be opened in another thread.
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

    fn open(&self, files: &Files) -> Option<ElfFile> {
        let file = files.open(&Mapping { name: &self.name, ..self.row }, self.truth.as_ref())?;
        let debug_files = files.clone();
        let elf = elf::read(file).ok()??;
        let elf = elf.with_debug_files(elf::debug_files(move |path| debug_files.open_path(path)));
        Some(match &self.truth {
            Some(truth) => elf.with_path(OsStr::from_bytes(&truth.path)),
            None => elf,
        })
    }
}
