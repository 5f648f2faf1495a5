//! Finds the program break area, which a core does not name, by its position and contents.

use super::{CoreDump, ReadAt, Segment};
use vmatlas_maps::uapi::auxvec::AT_PHDR;
use vmatlas_object::Memory as _;

/// Maximum distance in bytes from the program to the start of the break (`arch_randomize_brk`): 32
/// MiB on x86 and up to 1 GiB elsewhere.
const FARTHEST: u64 = 1 << 30;
/// Maximum distance in bytes between segments of a program, which are aligned to at most 2 MiB.
const FARTHEST_SEGMENT: u64 = 4 << 20;
/// Number of rows above the program to examine: `.bss` and rows split from its neighbours come
/// before the break area.
const ROWS: usize = 4;
/// This many consecutive chunks are not a coincidence.
const CHUNKS: usize = 64;
/// Maximum offset in bytes of the first chunk in the area: a static program puts the data of its
/// first thread before it (`_dl_early_allocate` of glibc).
const BEGINNING: usize = 16 << 10;

impl<S: ReadAt> CoreDump<S> {
    /// The first address of the break area; `None` if the core does not prove which row it is.
    ///
    /// The area is one of the first rows above the program without a file, and glibc's malloc fills
    /// it with consecutive chunks up to its end.
    pub(super) fn heap_start(&self) -> Option<u64> {
        let end = self.program_end()?;
        let first = self.segments.partition_point(|segment| segment.range.start < end);
        let rows = self.segments.get(first..)?.iter().take(ROWS);
        let near = rows.take_while(|row| row.range.start - end <= FARTHEST);
        let mut bare = near.filter(|row| {
            let writable = row.flags & Segment::WRITE != 0;
            // A row adjacent to the program is its .bss.
            writable && row.range.start > end && !self.has_file(row.range.start)
        });
        bare.find(|row| self.is_heap(row)).map(|row| row.range.start)
    }

    /// The end of the mappings of the program's file.
    fn program_end(&self) -> Option<u64> {
        let headers = self.auxv.get(AT_PHDR)?;
        let rows = &self.files.rows;
        let first = rows.partition_point(|row| row.range.end <= headers);
        let row = rows.get(first).filter(|row| row.range.contains(headers))?;
        let (name, mut end) = (self.files.name(row), row.range.end);
        for row in rows.get(first..)? {
            if row.range.start.saturating_sub(end) > FARTHEST_SEGMENT
                || self.files.name(row) != name
            {
                break;
            }
            end = row.range.end;
        }
        Some(end)
    }

    fn is_heap(&self, row: &Segment) -> bool {
        let mut beginning = vec![0; BEGINNING];
        let count = self.read(row.range.start, &mut beginning);
        beginning.truncate(count);
        let heads = self.layout.words(&beginning).enumerate().skip(1);
        // Chunks are aligned to two words, so their heads are at odd words, or at even words if the
        // machine requires a larger alignment.
        let mut sane = heads.filter(|&(_, head)| self.is_head(head) && head & 1 != 0);
        sane.any(|(index, _)| {
            let offset = (index - 1).saturating_mul(self.layout.word) as u64;
            self.has_chunks(row, row.range.start.saturating_add(offset))
        })
    }

    /// Whether malloc's chunks are consecutive from `start` to the end of the row.
    fn has_chunks(&self, row: &Segment, start: u64) -> bool {
        let mut at = start;
        for count in 0..CHUNKS {
            let mut bytes = [0; 8];
            let Some(bytes) = bytes.get_mut(..self.layout.word) else { return false };
            if self.read(at.saturating_add(self.layout.word as u64), bytes) < bytes.len() {
                return false;
            }
            let head = self.layout.word(bytes, 0).filter(|&head| self.is_head(head));
            let Some(next) = head.and_then(|head| at.checked_add(head & !7)) else { return false };
            if next >= row.range.end {
                return next == row.range.end && count > 0;
            }
            at = next;
        }
        true
    }

    /// Whether `head` can be the second word of a chunk in the main arena: its size and three
    /// flags. The flags for other arenas and for large blocks must be clear (`struct malloc_chunk`
    /// in malloc/malloc.c of glibc).
    fn is_head(&self, head: u64) -> bool {
        let (size, word) = (head & !7, self.layout.word as u64);
        size >= 4 * word && size % (2 * word) == 0 && head & 6 == 0
    }
}
