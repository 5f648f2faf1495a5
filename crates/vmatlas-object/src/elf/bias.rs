//! The load bias: from rows of maps to addresses in the file.

use super::{ElfFile, Segment, SegmentFlags, SegmentType};

/// The cost grows with the squares of this and of [`ElfFile::MAX_SIBLINGS`]. A hostile process and
/// file could have thousands of both.
const MAX_LOADS: usize = 32;

/// A row of maps that maps this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMapping {
    /// First address.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// File offset in bytes of `start`.
    pub offset: u64,
    /// The permissions of the row.
    pub flags: SegmentFlags,
}

impl ElfFile {
    /// Number of rows of the same file that [`load_bias`](ElfFile::load_bias) compares, nearest
    /// first.
    pub const MAX_SIBLINGS: usize = 64;

    /// An upper bound for the size of a vDSO, in bytes.
    pub const MAX_VDSO: u64 = 1 << 20;

    /// The load bias: subtract it from an address, modulo 2⁶⁴, to get the file's `vaddr`. It is 0
    /// for a program at fixed addresses. `None` if the row does not map the file as a program
    /// loader does, for example for a plain `mmap` of the whole file.
    ///
    /// `siblings` are the rows of the same file in the same process (`mapping` may be among them;
    /// the nearest 64 count). Two cases need them. A page with the end of one segment and the start
    /// of the next is mapped twice, and both rows may be `r--p` at the same offset (GNU ld's
    /// `.rodata` and relro). The gap between segments, which ld.so makes inaccessible (`---p`),
    /// belongs to no segment. The bias that explains most rows wins, then the bias whose segment
    /// flags match the permissions best.
    pub fn load_bias(&self, mapping: FileMapping, siblings: &[FileMapping]) -> Option<u64> {
        // The rows of one image are adjacent.
        let mut siblings = siblings.to_vec();
        siblings.sort_by_key(|row| row.start.abs_diff(mapping.start));
        siblings.truncate(Self::MAX_SIBLINGS);

        let mut candidates = self.biases(mapping);
        if candidates.is_empty() {
            candidates = siblings.iter().flat_map(|row| self.biases(*row)).collect();
            candidates.retain(|&bias| self.image_spans(mapping, bias));
        }
        candidates.sort_unstable();
        candidates.dedup();
        // Among equals the last wins: the highest bias is that of the first segment.
        candidates.into_iter().max_by_key(|&bias| {
            let explained = siblings.iter().filter(|row| self.explains(**row, bias)).count();
            (explained, self.fit(mapping, bias))
        })
    }

    /// The biases that explain this row alone.
    fn biases(&self, row: FileMapping) -> Vec<u64> {
        self.loads()
            .filter(|load| self.holds(load, row.offset))
            .map(|load| row.start.wrapping_sub(row.offset).wrapping_sub(delta(load)))
            .filter(|&bias| self.explains(row, bias))
            .collect()
    }

    /// Whether LOAD segments at this bias match the row's first and last byte. (The kernel merges
    /// the rows of two segments that are contiguous in file and memory and have equal permissions.)
    fn explains(&self, row: FileMapping, bias: u64) -> bool {
        let Some(last) = row.end.checked_sub(row.start).and_then(|size| size.checked_sub(1)) else {
            return false;
        };
        let row_delta = row.start.wrapping_sub(row.offset).wrapping_sub(bias);
        [Some(row.offset), row.offset.checked_add(last)].into_iter().all(|offset| {
            offset.is_some_and(|offset| {
                self.loads().any(|load| delta(load) == row_delta && self.holds(load, offset))
            })
        })
    }

    /// Whether the row is inside the image of the program at this bias.
    fn image_spans(&self, row: FileMapping, bias: u64) -> bool {
        let first = self.loads().map(|load| self.page_floor(load.vaddr)).min();
        let end = self.loads().map(|load| self.page_ceil(load.vaddr_range().end)).max();
        let (start, size) = (row.start.wrapping_sub(bias), row.end.saturating_sub(row.start));
        first.is_some_and(|first| first <= start)
            && end.is_some_and(|end| start.checked_add(size).is_some_and(|row_end| row_end <= end))
    }

    /// How well the permissions match the segment flags: 2 if equal, 1 if only write access is
    /// missing (protected relro), 0 otherwise.
    fn fit(&self, row: FileMapping, bias: u64) -> u32 {
        let row_delta = row.start.wrapping_sub(row.offset).wrapping_sub(bias);
        self.loads()
            .filter(|load| delta(load) == row_delta && self.holds(load, row.offset))
            .map(|load| match load.flags {
                flags if flags == row.flags => 2,
                flags if flags.0 & !SegmentFlags::WRITE.0 == row.flags.0 => 1,
                _ => 0,
            })
            .max()
            .unwrap_or(0)
    }

    fn loads(&self) -> impl Iterator<Item = &Segment> {
        let loads = self.segments().iter().filter(|s| s.kind == SegmentType::LOAD && s.filesz > 0);
        loads.take(MAX_LOADS)
    }

    /// Whether mapping the segment maps the file byte at `offset`; a mapping covers whole pages.
    fn holds(&self, load: &Segment, offset: u64) -> bool {
        let range = load.file_range();
        self.page_floor(range.start) <= offset && offset < self.page_ceil(range.end)
    }

    pub(super) fn page_floor(&self, n: u64) -> u64 {
        n - n % self.page_size
    }

    pub(super) fn page_ceil(&self, n: u64) -> u64 {
        n.checked_next_multiple_of(self.page_size).unwrap_or(u64::MAX)
    }
}

/// The difference between the segment's addresses and its file offsets.
fn delta(load: &Segment) -> u64 {
    load.vaddr.wrapping_sub(load.offset)
}
