//! What a survey costs, estimated before it is paid.

use super::options::Depth;
use std::time::Duration;
use vmatlas_linux::page_size;
use vmatlas_linux::processes::About;

/// Of `smaps_rollup` and `smaps`, for each entry of the page tables, and for each process. Measured
/// on Linux 6.18: 30 to 51 ns for a resident page, 28 µs for a process with few, 2.4 µs for a row.
const PER_PAGE: u64 = 35;
const PER_ROLLUP: u64 = 28_000;
/// A process has about a hundred rows.
const PER_SMAPS: u64 = 240_000;
const PER_MAPS: u64 = 70_000;
/// The bytes of an entry of a page table.
const ENTRY: u64 = 8;

/// The time that the kernel takes for a process.
pub(super) fn of(about: &About, depth: Depth) -> Duration {
    let resident = about.rss.unwrap_or(0) / page_size() as u64;
    // A huge page has one entry for all of its pages, and a page that is not mapped has none.
    let entries = about.page_tables.map_or(u64::MAX, |bytes| bytes / ENTRY);
    let pages = resident.min(entries).saturating_mul(PER_PAGE);
    Duration::from_nanos(match depth {
        Depth::Brief => PER_MAPS,
        Depth::Rollup => pages.saturating_add(PER_ROLLUP + PER_MAPS),
        Depth::Rows => pages.saturating_add(PER_SMAPS),
    })
}
