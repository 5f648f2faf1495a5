//! What a survey reads and sums up.

use super::group::GroupBy;
use std::time::Duration;
use vmatlas_linux::Limits;
use vmatlas_maps::Filter;

/// How much of each process is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Depth {
    /// The rows without their sizes (`maps`), and resident memory as `status` shows it.
    Brief,
    /// The sums over its rows (`smaps_rollup`), and the number of rows.
    Rollup,
    /// Each row with its sizes (`smaps`).
    Rows,
}

/// What a survey is to sum up.
#[derive(Clone, Debug, Default)]
pub struct SurveyOptions {
    /// The key of the groups.
    pub by: GroupBy,
    /// The condition on processes or rows that count.
    pub filter: Option<Filter>,
    /// Whether to read rows only, without the page tables.
    pub cheap: bool,
    /// The time that the kernel may take for the page tables, by the estimate; without one all
    /// processes are read.
    pub budget: Option<Duration>,
    /// Whether labels may use the memory of the processes; see [`Open::deep`](crate::Open::deep).
    pub deep: bool,
    /// What reading the files of a process may cost.
    pub limits: Limits,
}

impl SurveyOptions {
    /// How much of each process is read.
    pub fn depth(&self) -> Depth {
        let asks_rows = self.filter.as_ref().is_some_and(|filter| !filter.is_about_processes());
        match self.by {
            GroupBy::Rows(_) => Depth::Rows,
            _ if asks_rows => Depth::Rows,
            _ if self.cheap => Depth::Brief,
            _ => Depth::Rollup,
        }
    }
}
