//! A process of a snapshot.

use super::rows::SavedRow;
use std::sync::Arc;
use vmatlas_maps::{Identity, Sizes};

/// How a process could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum State {
    /// Its rows and sizes are known.
    #[default]
    Read = 0,
    /// It may not be read.
    Refused = 1,
    /// It did not answer in time.
    Silent = 2,
}

impl State {
    pub(super) fn from_number(number: u8) -> Option<State> {
        [State::Read, State::Refused, State::Silent]
            .into_iter()
            .find(|state| *state as u8 == number)
    }
}

/// The numbers of a process in the order of the file: the sums of its sizes, and what its status
/// shows.
pub const NUMBERS: usize = 10;

/// A process of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedProcess {
    /// What identifies it.
    pub identity: Arc<Identity>,
    /// How it could be read.
    pub state: State,
    /// Resident memory by its status, in bytes.
    pub status_rss: Option<u64>,
    /// Its page tables, in bytes.
    pub page_tables: Option<u64>,
    /// Its threads.
    pub threads: Option<u64>,
    /// The sums over its rows.
    pub sizes: Sizes,
    pub(super) rows: Arc<[SavedRow]>,
    /// The fields of smaps of its rows, one row after the other.
    pub(super) fields: Arc<[Option<u64>]>,
}

impl SavedProcess {
    /// The number of its rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn numbers(&self) -> [Option<u64>; NUMBERS] {
        let Sizes { rss, pss, uss, swap, dirty, hugetlb, thp, .. } = self.sizes;
        let of_status = [self.status_rss, self.page_tables, self.threads];
        let [status_rss, page_tables, threads] = of_status;
        [rss, pss, uss, swap, dirty, hugetlb, thp, status_rss, page_tables, threads]
    }

    pub(super) fn set_numbers(&mut self, numbers: [Option<u64>; NUMBERS]) {
        let [rss, pss, uss, swap, dirty, hugetlb, thp, of_status @ ..] = numbers;
        let mut sizes = Sizes::default();
        (sizes.rss, sizes.pss, sizes.uss, sizes.swap) = (rss, pss, uss, swap);
        (sizes.dirty, sizes.hugetlb, sizes.thp) = (dirty, hugetlb, thp);
        self.sizes = sizes;
        [self.status_rss, self.page_tables, self.threads] = of_status;
    }
}
