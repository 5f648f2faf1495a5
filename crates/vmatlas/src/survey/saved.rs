//! Sums over the processes of a snapshot.

use super::census::{Counts, Refused};
use super::closing::Closing;
use super::group::{GroupBy, SurveyGroup};
use super::measure::{Measured, Sums, Survey};
use super::options::{Depth, SurveyOptions};
use super::rows::sum_atlas;
use crate::atlas::Open;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;
use crate::source::saved::SavedSnapshot;
use crate::totals::By;
use vmatlas_linux::processes::{Brief, MachineMemory, Reach};
use vmatlas_recording::machine::{SavedProcess, State};

/// The numbers about a machine that a snapshot keeps, by their names.
pub(super) type Number = (&'static str, fn(&mut MachineMemory) -> &mut u64);
pub(super) const MEMORY: [Number; 11] = [
    ("total", |memory| &mut memory.total),
    ("free", |memory| &mut memory.free),
    ("unmapped_cache", |memory| &mut memory.unmapped_cache),
    ("slab", |memory| &mut memory.slab),
    ("reclaimable_slab", |memory| &mut memory.reclaimable_slab),
    ("page_tables", |memory| &mut memory.page_tables),
    ("kernel", |memory| &mut memory.kernel),
    ("huge_page_pool", |memory| &mut memory.huge_page_pool),
    ("zswap", |memory| &mut memory.zswap),
    ("anonymous", |memory| &mut memory.anonymous),
    ("mapped", |memory| &mut memory.mapped),
];
pub(super) const KERNEL_THREADS: &str = "kernel_threads";
pub(super) const ZOMBIES: &str = "zombies";
pub(super) const LEADERS_ENDED: &str = "leaders_ended";
pub(super) const GONE: &str = "gone";
pub(super) const MAX_MAP_COUNT: &str = "max_map_count";
pub(super) const REACH: &str = "reach";

/// What the number for a reach means.
pub(super) const REACHES: [Reach; 3] = [Reach::Own, Reach::All, Reach::Frames];

impl SavedSnapshot {
    /// Whether the sizes of rows were kept.
    pub fn has_row_sizes(&self) -> bool {
        !self.snapshot.header.fields.is_empty()
    }

    /// Sums up the processes, by what was kept of them.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] if the key of the groups was not kept.
    pub fn survey(&self, options: &SurveyOptions) -> Result<Survey> {
        let SurveyOptions { by, filter, .. } = options;
        let filter = filter.as_ref();
        if *by == GroupBy::Rows(By::BuildId) {
            let why = "a snapshot of a machine has no build IDs; --by image sums up by path";
            let name = self.path.display();
            return Err(Error::new(ErrorKind::Lacks, format!("{name}: {why}")));
        }
        let mut sums = Sums::new(*by);
        let mut counts = self.counts();
        for (place, process) in self.snapshot.processes.iter().enumerate() {
            let identity = &process.identity;
            let pid = identity.pid.unwrap_or(0);
            match process.state {
                State::Read => {}
                State::Silent => {
                    counts.silent.push(pid);
                    continue;
                }
                _ => {
                    let comm = identity.comm.clone();
                    counts.refused.push(Refused { pid, comm, rss: process.status_rss });
                    continue;
                }
            }
            let of_processes = filter.filter(|filter| filter.is_about_processes());
            if of_processes.is_some_and(|filter| !filter.matches(&**identity)) {
                continue;
            }
            let of_rows = filter.filter(|filter| !filter.is_about_processes());
            let rows_by = match by {
                GroupBy::Rows(by) => Some(*by),
                _ => of_rows.map(|_| By::Kind),
            };
            let key = by.key(identity);
            let (all, parts) = match rows_by {
                Some(by) => {
                    let (document, maps) = self.document(place);
                    let read = (Source::Document(Box::new(document)), maps, Vec::new());
                    let atlas = Open::new(self.path.clone()).with(read);
                    let Some((mut all, parts)) = sum_atlas(&atlas, by, of_rows) else { continue };
                    if of_rows.is_none() && !self.has_row_sizes() {
                        all.sizes = process.sizes;
                    }
                    (all, parts)
                }
                None => (self.whole(place, process), Vec::new()),
            };
            sums.add(Measured { key, all, parts });
        }
        let (all, groups) = sums.finish();
        let is_of_rows = options.depth() == Depth::Rows;
        let closing = match (self.memory(), filter) {
            (Some(memory), None) => Closing::of(memory, &all),
            _ => None,
        };
        Ok(Survey {
            by: *by,
            depth: if is_of_rows || self.has_row_sizes() { Depth::Rows } else { Depth::Rollup },
            reach: self.reach(),
            groups,
            all,
            counts,
            closing,
            group_closing: None,
            partial: None,
            max_map_count: self.fact(MAX_MAP_COUNT),
        })
    }

    fn whole(&self, place: usize, process: &SavedProcess) -> SurveyGroup {
        let mut brief = Brief::default();
        self.snapshot.maps(place).iter().for_each(|row| brief.add(&row));
        SurveyGroup {
            processes: 1,
            rows: Some(brief.rows),
            size: brief.size,
            sizes: process.sizes,
            most_rows: brief.rows,
            writable_code: brief.writable_code,
            deleted_code: brief.deleted_code,
            ..SurveyGroup::default()
        }
    }

    fn fact(&self, name: &str) -> Option<u64> {
        self.snapshot.facts.get(name).copied()
    }

    fn counts(&self) -> Counts {
        let count = |name| self.fact(name).unwrap_or(0);
        Counts {
            kernel_threads: count(KERNEL_THREADS),
            zombies: count(ZOMBIES),
            leaders_ended: count(LEADERS_ENDED),
            gone: count(GONE),
            ..Counts::default()
        }
    }

    fn reach(&self) -> Reach {
        let number = self.fact(REACH).and_then(|number| usize::try_from(number).ok());
        number.and_then(|number| REACHES.get(number).copied()).unwrap_or(Reach::Own)
    }

    fn memory(&self) -> Option<MachineMemory> {
        let mut memory = MachineMemory::default();
        for (name, field) in MEMORY {
            *field(&mut memory) = self.fact(name)?;
        }
        Some(memory)
    }
}
