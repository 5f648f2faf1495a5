//! Sums over the rows of one process, with their sizes (smaps).

use super::group::{GroupBy, SurveyGroup};
use super::layout::Layouts;
use super::options::SurveyOptions;
use crate::atlas::{Atlas, Open};
use crate::error::{Error, Result};
use crate::needs::Needs;
use crate::totals::{By, MapTotals};
use std::borrow::Cow;
use std::path::Path;
use vmatlas_linux::processes::{About, Brief};
use vmatlas_linux::{Process, ProcessId, Source};
use vmatlas_maps::{FieldNeeds, FieldRow, Filter, Identity, Mapping, Maps, Sizes, Total, Totals};

/// Sums up rows; keeps what several processes have in common.
pub(super) struct RowSums {
    layouts: Option<Layouts>,
}

/// The sum of all rows of a process, and the sums by key.
pub(super) type Sums = (SurveyGroup, Vec<SurveyGroup>);

impl RowSums {
    pub(super) fn new(by: GroupBy) -> RowSums {
        let layouts = match by {
            GroupBy::Rows(by @ (By::Label | By::Image | By::BuildId)) => Some(Layouts::new(by)),
            _ => None,
        };
        RowSums { layouts }
    }

    /// Measures a process; `None` if no row passes the filter.
    pub(super) fn measure(
        &self,
        process: &Process,
        about: &About,
        identity: Identity,
        proc: &Path,
        options: &SurveyOptions,
        filter: Option<&Filter>,
    ) -> Result<Option<Sums>> {
        let asks_more = |filter: &Filter| {
            let more =
                [FieldNeeds::Labels, FieldNeeds::Names, FieldNeeds::Sections, FieldNeeds::Origins];
            more.into_iter().any(|needs| filter.needs(needs))
        };
        if filter.is_some_and(|filter| asks_more(filter) || self.layouts.is_some()) {
            return by_atlas(about, proc, options, filter);
        }
        let maps = process.rows(Source::Smaps).map_err(Error::from)?.maps;
        let row = |index| {
            maps.get(index).map(|mapping| PlainRow {
                maps: &maps,
                index,
                mapping,
                identity: &identity,
            })
        };
        let counts = |index: usize| match filter {
            Some(filter) => row(index).is_some_and(|row| filter.matches(&row)),
            None => true,
        };
        let key = |index, _: &Mapping<'_>| match maps.get(index) {
            Some(row) => key(options.by, &row),
            None => Cow::Borrowed([].as_slice()),
        };
        let totals = Totals::sum_by(&maps, key, counts);
        if filter.is_some() && totals.all.mappings == 0 {
            return Ok(None);
        }
        let all = whole(&totals.all, &maps, counts);
        let groups = match &self.layouts {
            Some(layouts) => layouts.sum(&maps, about, proc, options)?,
            None => totals.groups,
        };
        Ok(Some((all, groups.iter().map(SurveyGroup::of_rows).collect())))
    }
}

/// The key of a row as its text shows it.
fn key<'r>(by: GroupBy, row: &Mapping<'r>) -> Cow<'r, [u8]> {
    match by {
        GroupBy::Rows(By::File) if row.inode != 0 => Cow::Borrowed(row.name),
        _ => Cow::Borrowed(row.kind().word().as_bytes()),
    }
}

/// Measures a process by all that is known of its rows.
fn by_atlas(
    about: &About,
    proc: &Path,
    options: &SurveyOptions,
    filter: Option<&Filter>,
) -> Result<Option<Sums>> {
    let id = ProcessId { pid: about.pid, tid: None };
    let asks = |needs| filter.is_some_and(|filter| filter.needs(needs));
    let by = match options.by {
        GroupBy::Rows(by) => by,
        _ => By::Kind,
    };
    let labels = by == By::Label || asks(FieldNeeds::Labels);
    let sections = if asks(FieldNeeds::Sections) { Needs::SECTIONS } else { Needs::ROWS };
    let needs = Needs::SIZES | sections | if labels { Needs::LABELS } else { Needs::ROWS };
    let open = Open::new(id).proc(proc).needs(needs).deep(options.deep).limits(options.limits);
    Ok(sum_atlas(&open.open()?, by, filter))
}

/// Sums up the rows of an atlas; `None` if no row passes the filter.
pub(super) fn sum_atlas(atlas: &Atlas, by: By, filter: Option<&Filter>) -> Option<Sums> {
    let counts = |index| match filter {
        Some(filter) => atlas.row(index).is_some_and(|row| filter.matches(&row)),
        None => true,
    };
    let totals = MapTotals::of(atlas, by, counts);
    if filter.is_some() && totals.all.mappings == 0 {
        return None;
    }
    let all = whole(&totals.all, atlas.maps(), counts);
    let groups = totals.groups.iter().map(|group| SurveyGroup::of_rows(&group.total));
    Some((all, groups.collect()))
}

/// The sum of a process, with the counts of its rows.
fn whole(all: &Total, maps: &Maps, counts: impl Fn(usize) -> bool) -> SurveyGroup {
    let mut brief = Brief::default();
    let rows = maps.iter().enumerate().filter(|(index, _)| counts(*index));
    rows.for_each(|(_, row)| brief.add(&row));
    let mut sum = SurveyGroup::of_rows(all);
    (sum.writable_code, sum.deleted_code) = (brief.writable_code, brief.deleted_code);
    sum
}

/// A row with its sizes and its process, of which no second source was asked.
struct PlainRow<'a> {
    maps: &'a Maps,
    index: usize,
    mapping: Mapping<'a>,
    identity: &'a Identity,
}

impl FieldRow for PlainRow<'_> {
    fn mapping(&self) -> Mapping<'_> {
        self.mapping
    }

    fn smaps(&self, name: &str) -> Option<u64> {
        let named = |field: &[u8]| field.eq_ignore_ascii_case(name.as_bytes());
        let mut fields = self.maps.fields(self.index);
        fields.find(|field| named(field.name)).and_then(|field| field.value.number())
    }

    fn sizes(&self) -> Sizes {
        Sizes::of(self.maps, self.index)
    }

    fn identity(&self) -> Option<&Identity> {
        Some(self.identity)
    }
}
