//! `NT_FILE`: which mappings are of which files.

use super::layout::Layout;
use vmatlas_maps::AddressRange;

/// The longest name that is taken, in bytes: one is compared with each row of its file.
const MAX_NAME: usize = 16 << 10;

/// A mapping of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub(super) range: AddressRange,
    /// In bytes.
    pub(super) offset: u64,
    /// Where the name is in [`MappedFiles::names`].
    name: (usize, usize),
}

/// The mappings of files, in the order of their addresses.
#[derive(Debug, Default)]
pub(super) struct MappedFiles {
    pub(super) rows: Vec<MappedFile>,
    names: Vec<u8>,
    /// The page size that the note gives, in bytes; 0 where there is no note.
    pub(super) page_size: u64,
    /// How many mappings the note says it has, if they are not all there.
    pub(super) missing: Option<u64>,
}

impl MappedFiles {
    /// Reads the note: their number, the page size, for each of them start, end and offset in
    /// pages, then the names (`fill_files_note` in fs/binfmt_elf.c).
    pub(super) fn parse(note: &[u8], layout: Layout) -> MappedFiles {
        let mut words = layout.words(note);
        let (Some(count), Some(page_size)) = (words.next(), words.next()) else {
            return MappedFiles::default();
        };
        // Rows that fit; a name takes a byte at least.
        let most = note.len() / (3 * layout.word + 1);
        let fit = usize::try_from(count).unwrap_or(usize::MAX).min(most);
        let names_at = count.checked_mul(3).and_then(|words| words.checked_add(2));
        let names_at = names_at.and_then(|words| words.checked_mul(layout.word as u64));
        let names_at = names_at.and_then(|at| usize::try_from(at).ok()).unwrap_or(note.len());
        let names = note.get(names_at..).unwrap_or_default();
        let mut rows = Vec::with_capacity(fit);
        let mut from = 0;
        for _ in 0..fit {
            let (Some(start), Some(end), Some(page)) = (words.next(), words.next(), words.next())
            else {
                break;
            };
            let rest = names.get(from..).unwrap_or_default();
            let Some(length) = memchr::memchr(0, rest).filter(|&at| at <= MAX_NAME) else { break };
            let name = (from, from + length);
            from += length + 1;
            let range = AddressRange::new(start, end);
            rows.push(MappedFile { range, offset: page.wrapping_mul(page_size), name });
        }
        let missing = Some(count).filter(|&count| count != rows.len() as u64);
        rows.retain(|row| row.range.start < row.range.end);
        rows.sort_by_key(|row| row.range.start);
        MappedFiles { rows, names: names.to_vec(), page_size, missing }
    }

    /// Those of another source: addresses, offset in bytes, name.
    pub(super) fn of(mut rows: Vec<(AddressRange, u64, Vec<u8>)>, page_size: u64) -> MappedFiles {
        rows.sort_by_key(|(range, ..)| range.start);
        let mut files = MappedFiles { page_size, ..MappedFiles::default() };
        for (range, offset, name) in rows {
            let from = files.names.len();
            files.names.extend(name);
            files.rows.push(MappedFile { range, offset, name: (from, files.names.len()) });
        }
        files
    }

    /// The name of a mapping as the note has it, with line feeds as they are.
    pub(super) fn name(&self, row: &MappedFile) -> &[u8] {
        self.names.get(row.name.0..row.name.1).unwrap_or_default()
    }
}
