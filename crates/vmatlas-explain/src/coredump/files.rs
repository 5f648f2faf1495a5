//! `NT_FILE`: the mapped files and their addresses.

use super::layout::Layout;
use vmatlas_maps::AddressRange;

/// Maximum length of a name in bytes. Each row of a file compares its name.
const MAX_NAME: usize = 16 << 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MappedFile {
    pub(super) range: AddressRange,
    /// Offset in the file, in bytes.
    pub(super) offset: u64,
    /// The range of the name in [`MappedFiles::names`].
    name: (usize, usize),
}

/// The file mappings in address order.
#[derive(Debug, Default)]
pub(super) struct MappedFiles {
    pub(super) rows: Vec<MappedFile>,
    names: Vec<u8>,
    /// The page size from the note, in bytes; 0 without a note.
    pub(super) page_size: u64,
    /// The number of mappings that the note claims, if it contains fewer.
    pub(super) missing: Option<u64>,
}

impl MappedFiles {
    /// Parses the note: the number of mappings, the page size, for each mapping its start, end and
    /// offset in pages, then the names (`fill_files_note` in fs/binfmt_elf.c).
    pub(super) fn parse(note: &[u8], layout: Layout) -> MappedFiles {
        let mut words = layout.words(note);
        let (Some(count), Some(page_size)) = (words.next(), words.next()) else {
            return MappedFiles::default();
        };
        // The note has room for no more rows, because a name takes at least one byte.
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

    /// Builds the list from rows of another source: addresses, offset in bytes, name.
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

    /// The name of a mapping in the note, with unescaped line feeds.
    pub(super) fn name(&self, row: &MappedFile) -> &[u8] {
        self.names.get(row.name.0..row.name.1).unwrap_or_default()
    }
}
