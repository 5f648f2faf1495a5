//! The ELF files behind the rows of a process, each opened once.

use crate::deadline::within;
use crate::elf::{ElfFile, FileMapping, Section, SegmentFlags};
use crate::files::{FileTruths, Files};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;
use vmatlas::{Device, Mapping, Maps};

/// How long a file may take to be opened and its headers read.
const LIMIT: Duration = Duration::from_secs(2);

/// What tells one mapped file from another.
type FileKey<'a> = (&'a [u8], Device, u64);

/// The ELF files of a process, opened when they are first asked for.
pub struct Images<'a> {
    files: &'a Files,
    maps: &'a Maps,
    truths: &'a FileTruths,
    /// The rows of each file.
    rows: HashMap<FileKey<'a>, Vec<usize>>,
    open: HashMap<FileKey<'a>, Option<ElfFile>>,
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
    /// The images of a process; opens nothing yet.
    pub fn new(files: &'a Files, maps: &'a Maps, truths: &'a FileTruths) -> Self {
        let mut rows: HashMap<FileKey<'a>, Vec<usize>> = HashMap::new();
        for (index, row) in maps.iter().enumerate().filter(|(_, row)| row.inode != 0) {
            rows.entry(key(&row)).or_default().push(index);
        }
        Images { files, maps, truths, rows, open: HashMap::new() }
    }

    /// The image of which a row is a part; none if its file is no ELF file or cannot be opened.
    pub fn of_row(&mut self, index: usize) -> Option<Image<'_>> {
        let row = self.maps.get(index)?;
        let rows = self.rows.get(&key(&row))?;
        let elf = self
            .open
            .entry(key(&row))
            .or_insert_with(|| open(self.files, self.truths, index, &row))
            .as_ref()?;
        let siblings: Vec<FileMapping> = rows
            .iter()
            .filter_map(|&index| self.maps.get(index))
            .map(|row| file_mapping(&row))
            .collect();
        Some(Image { elf, bias: elf.load_bias(file_mapping(&row), &siblings) })
    }

    /// Takes the file of a row out, for work in another thread.
    pub fn take(&mut self, index: usize) -> Option<(ElfFile, Option<u64>)> {
        let bias = self.of_row(index)?.bias;
        let row = self.maps.get(index)?;
        Some((self.open.remove(&key(&row))??, bias))
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
        self.elf.sections().iter().filter(overlaps).collect()
    }
}

fn key<'a>(row: &Mapping<'a>) -> FileKey<'a> {
    (row.name, row.device, row.inode)
}

fn file_mapping(row: &Mapping<'_>) -> FileMapping {
    let flags = SegmentFlags::new(row.perms.read(), row.perms.write(), row.perms.execute());
    FileMapping { start: row.range.start, end: row.range.end, offset: row.offset, flags }
}

fn open(files: &Files, truths: &FileTruths, index: usize, row: &Mapping<'_>) -> Option<ElfFile> {
    let files = files.clone();
    let truth = truths.get(index).cloned();
    let path =
        truth.as_ref().map(|truth| Path::new(std::ffi::OsStr::from_bytes(&truth.path)).to_owned());
    let (row, name) = (Mapping { name: b"", ..*row }, row.name.to_vec());
    within(LIMIT, move || {
        let file = files.open(&Mapping { name: &name, ..row }, truth.as_ref())?;
        let elf = ElfFile::read(file).ok()??;
        let debug_files = files.clone();
        let elf = elf.with_debug_files(move |path| debug_files.open_path(path));
        Some(match path {
            Some(path) => elf.with_path(path),
            None => elf,
        })
    })?
}
