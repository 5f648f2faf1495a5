//! Settles the files of a process while its sizes are read.
//!
//! The kernel walks the page tables for the sizes, which takes several times as long as the rows
//! alone. Meanwhile another thread reads the rows without sizes, and verifies and opens their files.
//! The results count only if both readings have the same rows.

use std::thread;
use vmatlas_linux::files::{FileTruths, Files};
use vmatlas_linux::{Images, Limits, Process, Snapshot, Source};
use vmatlas_maps::Maps;

/// The files of a process, settled for rows that were read without sizes.
pub(super) struct Ahead {
    maps: Maps,
    pub(super) files: Option<Files>,
    pub(super) truths: FileTruths,
    pub(super) images: Images,
}

impl Ahead {
    fn read(
        process: &Process,
        limits: Limits,
        wanted: impl Fn(&Maps, usize) -> bool,
    ) -> Option<Ahead> {
        let Snapshot { maps, changed, .. } = process.rows(Source::Maps).ok()?;
        if maps.is_empty() || !changed.is_empty() {
            return None;
        }
        let files = Files::read(process).ok()?;
        let truths = files.truths(process, &maps);
        let mut images = Images::new(&maps, limits.budget());
        images.open(&files, &maps, &truths, |index| wanted(&maps, index));
        Some(Ahead { maps, files: Some(files), truths, images })
    }

    /// Whether it is of these rows.
    pub(super) fn is_of(&self, maps: &Maps) -> bool {
        self.maps.iter().eq(maps.iter())
    }
}

/// Calls `read`, and meanwhile verifies the files of all rows and opens those that `wanted` accepts. A
/// copy of /proc has none.
pub(super) fn beside<T>(
    process: &Process,
    limits: Limits,
    wanted: impl Fn(&Maps, usize) -> bool + Send,
    read: impl FnOnce() -> T,
) -> (T, Option<Ahead>) {
    if !process.is_live() {
        return (read(), None);
    }
    thread::scope(|scope| {
        let name = thread::Builder::new().name("vmatlas-files".to_owned());
        let ahead = name.spawn_scoped(scope, || Ahead::read(process, limits, wanted)).ok();
        let read = read();
        let ahead = ahead
            .map(|ahead| ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        (read, ahead.flatten())
    })
}
