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
    ///
    /// The kernel writes longs of its own, not of the program, where an ABI does not say otherwise
    /// (`user_long_t`; arch/mips/kernel/binfmt_elfo32.c and binfmt_elfn32.c do not), so a 32-bit
    /// core may have them with 64 bits.
    pub(super) fn parse(note: &[u8], layout: Layout) -> MappedFiles {
        let files = Self::parse_words(note, layout);
        if layout.word == 8 || files.is_whole() {
            return files;
        }
        let wide = Self::parse_words(note, Layout { word: 8, ..layout });
        if wide.is_whole() { wide } else { files }
    }

    /// Whether the note says the same in all its parts.
    fn is_whole(&self) -> bool {
        self.missing.is_none() && !self.rows.is_empty() && self.page_size.is_power_of_two()
    }

    fn parse_words(note: &[u8], layout: Layout) -> MappedFiles {
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
            rows.push(MappedFile { range, offset: page, name });
        }
        let missing = Some(count).filter(|&count| count != rows.len() as u64);
        rows.retain(|row| row.range.start < row.range.end);
        rows.sort_by_key(|row| row.range.start);
        let mut files = MappedFiles { rows, names: names.to_vec(), page_size, missing };
        if !files.is_in_bytes() {
            files.rows.iter_mut().for_each(|row| row.offset = row.offset.wrapping_mul(page_size));
        }
        files
    }

    /// Whether the offsets are in bytes although the page size is not 1, as some programs that are
    /// no kernel write them. Where two rows of a file adjoin, the second offset shows it; without
    /// such rows, three offsets that are numbers of whole pages do.
    fn is_in_bytes(&self) -> bool {
        let page_size = self.page_size;
        if page_size <= 1 {
            return false;
        }
        let adjoin = self.rows.windows(2).filter_map(|pair| match pair {
            [a, b] if a.range.end == b.range.start && self.name(a) == self.name(b) => {
                Some((b.offset.wrapping_sub(a.offset), a.range.size()))
            }
            _ => None,
        });
        let (mut bytes, mut pages) = (0, 0);
        for (step, size) in adjoin {
            bytes += usize::from(step == size);
            pages += usize::from(step == size / page_size);
        }
        let in_pages = |offset: u64| !offset.is_multiple_of(page_size);
        let mut offsets: Vec<u64> = self.rows.iter().map(|row| row.offset).collect();
        offsets.retain(|&offset| offset != 0);
        offsets.sort_unstable();
        offsets.dedup();
        let shown = bytes > 0 || offsets.len() >= 3;
        shown && pages == 0 && !offsets.into_iter().any(in_pages)
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
