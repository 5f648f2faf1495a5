//! The second reading of the rows, which shows whether the first is of one moment.
//!
//! The kernel prints the rows of a process one after another, while the process may change them: the
//! first rows are then older than the last. Two readings of which one ends before the other begins
//! show more: what both have was there in between. Two readings at the same time show as much, if
//! there is a moment before which each row was read by one of them, and after which by the other.
//!
//! So the second reading goes downwards while the first one goes upwards, in blocks of rows. When
//! they meet, every row was read once. That is the moment. Then it reads again what the first had
//! read until then, while the first reads on. With two processors this takes no longer than one
//! reading.
//!
//! A row that changes and changes back between its two readings goes unnoticed.

use crate::sys::procmap_query::{
    COVERING_OR_NEXT_VMA, ProcmapQuery, VMA_EXECUTABLE, VMA_READABLE, VMA_SHARED, VMA_WRITABLE,
    procmap_query,
};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use vmatlas_maps::{AddressRange, Mapping, Maps};

/// The rows of one block: some tens of microseconds.
const BLOCK: usize = 256;
/// The size of the first block, in bytes.
const FIRST_SPAN: u64 = 1 << 30;
/// The end of the addresses of most processes (x86-64 with four levels of page tables); those above
/// are one block.
const USUAL_END: u64 = 1 << 47;

/// How far the first reading has come.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// It has read the rows that start below.
    position: AtomicU64,
    /// The number of changes of `position`.
    steps: AtomicU64,
}

impl Progress {
    /// Reports that the rows that start below `position` are read, and no other is being read.
    pub(super) fn advance(&self, position: u64) {
        self.position.store(position, Ordering::SeqCst);
        self.steps.fetch_add(1, Ordering::SeqCst);
    }

    fn position(&self) -> u64 {
        self.position.load(Ordering::SeqCst)
    }

    fn steps(&self) -> u64 {
        self.steps.load(Ordering::SeqCst)
    }
}

/// A row without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brief {
    range: AddressRange,
    offset: u64,
    inode: u64,
    device: (u32, u32),
    perms: [bool; 4],
}

impl Brief {
    fn of_query(query: &ProcmapQuery) -> Brief {
        let has = |flag| query.vma_flags & flag != 0;
        Brief {
            range: AddressRange::new(query.vma_start, query.vma_end),
            offset: query.vma_offset,
            inode: query.inode,
            device: (query.dev_major, query.dev_minor),
            perms: [VMA_READABLE, VMA_WRITABLE, VMA_EXECUTABLE, VMA_SHARED].map(has),
        }
    }

    pub(super) fn of_row(row: &Mapping<'_>) -> Brief {
        let perms = row.perms;
        Brief {
            range: row.range,
            offset: row.offset,
            inode: row.inode,
            device: (row.device.major, row.device.minor),
            perms: [perms.read(), perms.write(), perms.execute(), perms.shared()],
        }
    }
}

/// Reads all rows a second time, while `progress` reports the first reading, which reads another
/// open file and reports `u64::MAX` at its end.
///
/// # Errors
/// `ENOTTY` the kernel is older than 6.11, or the file is none of the kernel's; `ESRCH` the address
/// space is gone.
pub(super) fn read_again(file: &OwnedFd, progress: &Progress) -> Result<Vec<Brief>, Errno> {
    let mut blocks: Vec<Vec<Brief>> = Vec::new();
    let (mut top, mut span) = (u64::MAX, u64::MAX - USUAL_END);
    // The place of a row with a whole block of rows between it and `top`.
    let mut dense: Option<u64> = None;
    while progress.position() < top {
        let bottom = match dense {
            Some(place) => place + (top - place) / 2,
            None => top.saturating_sub(span),
        };
        let mut rows = Vec::new();
        if let Some(place) = read_block(file, bottom, top, BLOCK, &mut rows)? {
            dense = Some(place);
            continue;
        }
        span = match rows.len() {
            _ if top == u64::MAX => FIRST_SPAN,
            0..64 => (top - bottom).saturating_mul(2),
            64..192 => top - bottom,
            _ => (top - bottom) / 2,
        };
        blocks.push(rows);
        (top, dense) = (bottom, None);
    }
    // The moment. What is being read now may have been read before it.
    let steps = progress.steps();
    let mut lower = Vec::new();
    let (mut next, mut end) = (0, None);
    let boundary = loop {
        if end.is_none() && (progress.steps() > steps || progress.position() == u64::MAX) {
            end = Some(progress.position());
        }
        match read_block(file, next, end.unwrap_or(u64::MAX), BLOCK, &mut lower)? {
            Some(place) => next = place,
            None => break end.map_or(u64::MAX, |end| end.max(next)),
        }
    };
    let upper = blocks.into_iter().rev().flatten();
    lower.extend(upper.filter(|row| row.range.start >= boundary));
    Ok(lower)
}

/// Appends the rows that start in a range, at most so many. Returns the end of the last of them if
/// there may be more.
fn read_block(
    file: &OwnedFd,
    bottom: u64,
    top: u64,
    most: usize,
    rows: &mut Vec<Brief>,
) -> Result<Option<u64>, Errno> {
    let mut next = bottom;
    let full = rows.len() + most;
    while next < top {
        let found = match procmap_query(file, next, COVERING_OR_NEXT_VMA, &mut []) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        if found.vma_start >= top {
            return Ok(None);
        }
        // The mapping that covers `bottom` starts below it.
        if found.vma_start >= next {
            rows.push(Brief::of_query(&found));
        }
        // The kernel returns what ends above the address.
        next = found.vma_end.max(next + 1);
        if rows.len() == full {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// The address ranges in which two readings differ, in order, disjoint and not adjacent.
pub(super) fn differences(first: &Maps, second: &[Brief]) -> Vec<AddressRange> {
    // The gate page is in no address space.
    let mut first =
        first.iter().filter(|row| row.range.start >> 63 == 0).map(|row| Brief::of_row(&row));
    let mut second = second.iter().copied();
    let mut changed = Vec::new();
    let (mut a, mut b) = (first.next(), second.next());
    loop {
        match (a, b) {
            (None, None) => return joined(changed),
            (Some(one), Some(other)) if one == other => (a, b) = (first.next(), second.next()),
            (one, other) => {
                let start = |row: Option<Brief>| row.map_or(u64::MAX, |row| row.range.start);
                let (is_first, is_second) =
                    (start(one) <= start(other), start(other) <= start(one));
                if is_first {
                    changed.extend(one.map(|row| row.range));
                    a = first.next();
                }
                if is_second {
                    changed.extend(other.map(|row| row.range));
                    b = second.next();
                }
            }
        }
    }
}

/// Sorts ranges and joins those that overlap or touch.
pub(super) fn joined(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut joined: Vec<AddressRange> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => *last = last.with_end(last.end.max(range.end)),
            _ => joined.push(range),
        }
    }
    joined
}
