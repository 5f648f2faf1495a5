//! The program break area, which a core does not name: found by where it lies and what is in it.

use super::{CoreDump, ReadAt, Segment};
use vmatlas_maps::uapi::auxvec::AT_PHDR;
use vmatlas_object::Memory as _;

/// How far above the program the kernel lets the break begin: `arch_randomize_brk`, 32 MiB on x86
/// and up to 1 GiB elsewhere.
const FARTHEST: u64 = 1 << 30;
/// Segments of a program lie no farther apart: they are aligned to 2 MiB at most.
const FARTHEST_SEGMENT: u64 = 4 << 20;
/// Rows that may come before: `.bss`, and what its neighbours were made of.
const ROWS: usize = 4;
/// So many chunks that fit together are no accident.
const CHUNKS: usize = 64;
/// How far into the area the first chunk is looked for, in bytes: a static program puts the data of
/// its first thread before it (`_dl_early_allocate` of glibc).
const BEGINNING: usize = 16 << 10;

impl<S: ReadAt> CoreDump<S> {
    /// The first address of the break area, if the core proves which row that is.
    ///
    /// It is among the first memory without a file above the program, and malloc of glibc lays
    /// chunk after chunk there, up to its end.
    pub(super) fn heap_start(&self) -> Option<u64> {
        let end = self.program_end()?;
        let first = self.segments.partition_point(|segment| segment.range.start < end);
        let rows = self.segments.get(first..)?.iter().take(ROWS);
        let near = rows.take_while(|row| row.range.start - end <= FARTHEST);
        let mut bare = near.filter(|row| {
            let writable = row.flags & Segment::WRITE != 0;
            // What adjoins the program is its .bss.
            writable && row.range.start > end && !self.has_file(row.range.start)
        });
        bare.find(|row| self.is_heap(row)).map(|row| row.range.start)
    }

    /// Where the mappings of the program's file end.
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
        // Chunks are aligned to two words: their heads are at odd ones, or at even ones where the
        // machine wants more of an alignment than that.
        let mut sane = heads.filter(|&(_, head)| self.is_head(head) && head & 1 != 0);
        sane.any(|(index, _)| {
            let offset = (index - 1).saturating_mul(self.layout.word) as u64;
            self.has_chunks(row, row.range.start.saturating_add(offset))
        })
    }

    /// Whether malloc's chunks lie one after the other from `start` up to the end of the row.
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

    /// Whether it can be the second word of a chunk of the main arena: its size, and three flags, of
    /// which those of other arenas and of large blocks are not set (`struct malloc_chunk` in
    /// malloc/malloc.c of glibc).
    fn is_head(&self, head: u64) -> bool {
        let (size, word) = (head & !7, self.layout.word as u64);
        size >= 4 * word && size % (2 * word) == 0 && head & 6 == 0
    }
}
