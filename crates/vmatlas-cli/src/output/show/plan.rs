//! Options for showing the map.

use crate::output::columns::Column;
use crate::output::fit::Fit;
use vmatlas::{Atlas, By, Filter, KernelVersion, MapTotals, Row, TextFormat};

impl Plan {
    /// All rows, in their order.
    pub(crate) fn of_all(atlas: &Atlas) -> Plan {
        Plan {
            columns: Vec::new(),
            header: true,
            in_order: true,
            wide: true,
            by: By::Kind,
            summary: false,
            typed: String::new(),
            is_default_target: false,
            deep: false,
            hints: false,
            fit: Fit::of_stdout().unlimited(),
            format: atlas.maps().format(),
            kernel: None,
            terminal: false,
        }
    }
}

/// Options for showing the map.
pub(crate) struct Plan {
    /// The requested columns; empty for the default ones.
    pub(crate) columns: Vec<Column>,
    pub(crate) header: bool,
    /// Whether all rows are shown in the order of their addresses, so that gaps can be shown and
    /// rows folded.
    pub(crate) in_order: bool,
    /// Whether each row has its line, with its sections and offset.
    pub(crate) wide: bool,
    /// The key of the totals.
    pub(crate) by: By,
    /// Whether the totals are all that is shown.
    pub(crate) summary: bool,
    /// The target as it is typed in a shell, for suggestions.
    pub(crate) typed: String,
    /// Whether the target is vmatlas itself, because none was given.
    pub(crate) is_default_target: bool,
    /// Whether labels were read from the target's memory.
    pub(crate) deep: bool,
    /// Whether to suggest the next commands.
    pub(crate) hints: bool,
    /// The width of the lines.
    pub(crate) fit: Fit,
    /// The format of the kernel's text.
    pub(crate) format: TextFormat,
    pub(crate) kernel: Option<KernelVersion>,
    /// Whether the reader is a terminal, to which exact bytes are commands.
    pub(crate) terminal: bool,
}

/// What is shown, and how.
pub(crate) struct Shown<'a> {
    pub(crate) atlas: &'a Atlas,
    /// The indexes of the shown rows, in display order.
    pub(crate) rows: &'a [usize],
    pub(crate) filter: Option<&'a Filter>,
    pub(crate) plan: &'a Plan,
}

impl Shown<'_> {
    pub(super) fn totals(&self) -> MapTotals {
        MapTotals::of(self.atlas, self.plan.by, |index| {
            let matches =
                |filter: &Filter| self.atlas.row(index).is_some_and(|row| filter.matches(&row));
            self.filter.is_none_or(matches)
        })
    }

    /// The row at a place of the display order.
    pub(super) fn row(&self, place: usize) -> Option<Row<'_>> {
        self.atlas.row(*self.rows.get(place)?)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().filter_map(|&index| self.atlas.row(index))
    }
}
