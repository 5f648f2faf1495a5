//! The program break area, which a core does not name: found by where it lies and what is in it.

use super::{CoreDump, ReadAt, Segment};
use crate::memory::Memory as _;

const AT_PHDR: u64 = 3;
const AT_BASE: u64 = 7;

/// How far above the program the kernel lets the break begin: `arch_randomize_brk`, 32 MiB on x86
/// and up to 1 GiB elsewhere.
const FARTHEST: u64 = 1 << 30;
/// Segments of a program lie no farther apart: they are aligned to 2 MiB at most.
const FARTHEST_SEGMENT: u64 = 4 << 20;
/// Rows that may come before: `.bss`, and what its neighbours were made of.
const ROWS: usize = 4;
/// So many chunks that fit together are no accident.
const CHUNKS: usize = 64;

impl<S: ReadAt> CoreDump<S> {
    /// The first address of the break area, if the core proves which row that is.
    ///
    /// It is the first memory without a file above the program, and there malloc of glibc lays
    /// chunk after chunk from the first byte on; in a program without an interpreter, the data of
    /// the first thread may come before them.
    pub(super) fn heap_start(&self) -> Option<u64> {
        let end = self.program_end()?;
        let first = self.segments.partition_point(|segment| segment.range.start < end);
        let rows = self.segments.get(first..)?.iter().take(ROWS);
        let near = rows.take_while(|row| row.range.start - end <= FARTHEST);
        let bare = near.filter(|row| {
            let writable = row.flags & Segment::WRITE != 0;
            // What adjoins the program is its .bss.
            writable && row.range.start > end && !self.has_file(row.range.start)
        });
        let is_heap = |row: &&Segment| {
            let starts = [0, self.layout.word as u64 * 2];
            let chunks = |start: &u64| self.has_chunks(row, row.range.start.saturating_add(*start));
            starts.iter().any(chunks) || self.has_first_thread(row)
        };
        bare.into_iter().find(is_heap).map(|row| row.range.start)
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

    /// Whether malloc's chunks lie one after the other from `start` on: the size and three flags in
    /// the second word of each (`struct malloc_chunk` in malloc/malloc.c of glibc), of which those
    /// of other arenas and of large blocks are not set here, up to the end of the row.
    fn has_chunks(&self, row: &Segment, start: u64) -> bool {
        let word = self.layout.word as u64;
        let mut at = start;
        for count in 0..CHUNKS {
            let mut bytes = [0; 8];
            let Some(bytes) = bytes.get_mut(..self.layout.word) else { return false };
            if self.read(at.saturating_add(word), bytes) < bytes.len() {
                return false;
            }
            let Some(head) = self.layout.word(bytes, 0) else { return false };
            let (size, flags) = (head & !7, head & 7);
            let next = at.saturating_add(size);
            let fits = size >= 4 * word && size % (2 * word) == 0 && next <= row.range.end;
            let in_use = flags & 1 != 0 || count > 0;
            if !fits || flags & 6 != 0 || !in_use {
                return false;
            }
            if next == row.range.end {
                return count > 0;
            }
            at = next;
        }
        true
    }

    /// Whether the data of the first thread are in a row, where no interpreter could have mapped
    /// them: a static program takes them from the break (`_dl_early_allocate` of glibc).
    fn has_first_thread(&self, row: &Segment) -> bool {
        let is_static = self.auxv.get(AT_BASE).is_some_and(|base| base == 0);
        let mut threads = self.threads.iter();
        let first = threads.find(|thread| Some(thread.tid) == self.pid);
        let data = first.and_then(|thread| thread.tp());
        is_static && data.is_some_and(|data| row.range.contains(data))
    }
}
