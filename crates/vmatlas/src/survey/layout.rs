//! What the rows of processes are for, found once for all processes of the same layout.
//!
//! Processes that a server forked, and others of one program, have the same rows in the same order,
//! at the same or other addresses. What labels and images are made from without reading memory is
//! in these rows, in the headers of their files and in the threads: with one thread each, equal
//! layouts have equal labels.

use super::options::SurveyOptions;
use crate::atlas::{Atlas, Open};
use crate::error::Result;
use crate::needs::Needs;
use crate::totals::{By, RowParts};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use vmatlas_linux::ProcessId;
use vmatlas_linux::processes::About;
use vmatlas_maps::{Mapping, Maps, Sizes, Total};

/// The most rows of a layout that is kept: a hostile process has a million.
pub(super) const MAX_ROWS: usize = 10_000;

/// The layouts that were seen, by their hash.
pub(super) struct Layouts {
    by: By,
    /// Random, so that no two layouts have the same hash on purpose.
    hasher: RandomState,
    seen: Mutex<HashMap<u64, Arc<Vec<RowParts>>>>,
}

impl Layouts {
    pub(super) fn new(by: By) -> Layouts {
        Layouts { by, hasher: RandomState::new(), seen: Mutex::default() }
    }

    /// Sums up rows by key.
    pub(super) fn sum(
        &self,
        maps: &Maps,
        about: &About,
        proc: &Path,
        options: &SurveyOptions,
    ) -> Result<Vec<Total>> {
        let hash = (about.threads == Some(1) && maps.len() <= MAX_ROWS && !options.deep)
            .then(|| self.hash(maps));
        let lock = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hash.and_then(|hash| lock().get(&hash).cloned());
        let parts = match known {
            Some(parts) => parts,
            None => {
                let id = ProcessId { pid: about.pid, tid: None };
                let labels = if self.by == By::Label { Needs::LABELS } else { Needs::ROWS };
                let open = Open::new(id).proc(proc).needs(labels).deep(options.deep);
                let atlas = open.limits(options.limits).open()?;
                let parts = RowParts::all(&atlas, self.by);
                if !atlas.maps().iter().eq(maps.iter()) {
                    // It changed since its sizes were read.
                    return Ok(sums(maps, &moved(&atlas, parts, maps)));
                }
                let parts = Arc::new(parts);
                hash.map(|hash| lock().insert(hash, parts.clone()));
                parts
            }
        };
        Ok(sums(maps, &parts))
    }

    fn hash(&self, maps: &Maps) -> u64 {
        hash(&self.hasher, maps)
    }
}

/// A hash of all that a layout is but where it lies.
pub(super) fn hash(hasher: &RandomState, maps: &Maps) -> u64 {
    let mut hasher = hasher.build_hasher();
    let mut end = 0;
    for row in maps.iter() {
        hasher.write_u64(row.range.size());
        hasher.write_u8(u8::from(row.range.start == end));
        hasher.write(&row.perms.0);
        hasher.write_u64(row.offset);
        hasher.write_u32(row.device.major);
        hasher.write_u32(row.device.minor);
        hasher.write_u64(row.inode);
        hasher.write_usize(row.name.len());
        hasher.write(row.name);
        end = row.range.end;
    }
    hasher.finish()
}

/// The parts of each row by those of a later reading: of the row at the same address.
fn moved(atlas: &Atlas, parts: Vec<RowParts>, maps: &Maps) -> Vec<RowParts> {
    let mut parts: Vec<Option<RowParts>> = parts.into_iter().map(Some).collect();
    let mut of_row = |row: &Mapping<'_>| {
        let index = atlas.maps().find(row.range.start).mapping?;
        let is_same = atlas.maps().get(index)?.range == row.range;
        parts.get_mut(index)?.take_if(|_| is_same)
    };
    maps.iter().map(|row| of_row(&row).unwrap_or(RowParts::unexplained(row.range.size()))).collect()
}

/// Sums up the sizes of rows by the keys of their parts.
fn sums(maps: &Maps, parts: &[RowParts]) -> Vec<Total> {
    let mut totals: HashMap<&[u8], Total> = HashMap::new();
    for (index, (row, parts)) in maps.iter().zip(parts).enumerate() {
        let sizes = Sizes::of(maps, index);
        let (mut before, size) = (0, row.range.size());
        let last = parts.iter().len().saturating_sub(1);
        for (place, (key, part)) in parts.iter().enumerate() {
            // What rounding leaves over is of the last part.
            let until = if place == last { size } else { (before + part).min(size) };
            let share = sizes.share(until, size).minus(sizes.share(before, size));
            let total = totals.entry(key).or_default();
            total.mappings += u64::from(place == 0);
            total.size = total.size.saturating_add(until - before);
            total.sizes = total.sizes.plus(share);
            before = until;
        }
    }
    let keyed = |(key, total): (&[u8], Total)| {
        let mut keyed = total;
        keyed.key = key.to_vec();
        keyed
    };
    totals.into_iter().map(keyed).collect()
}
