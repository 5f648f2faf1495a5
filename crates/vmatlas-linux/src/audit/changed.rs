//! Pages of code that are no longer those of the file.

use crate::process::Process;
use vmatlas_explain::audit::ChangedPages;
use vmatlas_maps::{Kind, Mapping, Maps};

/// Most ranges of changed pages that are listed: a process may have one for every other page.
#[cfg(target_pointer_width = "64")]
const MAX_RANGES: usize = 1024;

/// Whether a row is code that only its file should fill.
fn is_text(row: &Mapping<'_>) -> bool {
    let is_private = row.perms.execute() && !row.perms.write() && !row.perms.shared();
    is_private && matches!(row.kind(), Kind::File | Kind::Memfd { .. })
}

/// From the page tables, or from smaps if its fields were read. Dirty pages are not enough: the pages
/// of a file that was just written are dirty, too.
pub(super) fn pages(process: &Process, maps: &Maps) -> Vec<ChangedPages> {
    let by_tables = by_tables(process, maps);
    by_tables.unwrap_or_else(|| {
        let rows = maps.iter().enumerate().filter(|(_, row)| is_text(row));
        let changed = |(index, row): (usize, Mapping<'_>)| {
            let field = maps.fields(index).find(|field| field.name == b"Anonymous")?;
            let bytes = field.value.number().filter(|bytes| *bytes > 0)?;
            Some(ChangedPages::new(index, row.range, bytes))
        };
        rows.filter_map(changed).collect()
    })
}

/// `None` if the kernel does not report it.
#[cfg(target_pointer_width = "64")]
fn by_tables(process: &Process, maps: &Maps) -> Option<Vec<ChangedPages>> {
    let pagemap = process.open_file("pagemap").ok().filter(|_| process.is_live())?;
    let mut found = Vec::new();
    for (index, row) in maps.iter().enumerate().filter(|(_, row)| is_text(row)) {
        let left = MAX_RANGES - found.len();
        let ranges = crate::sys::pagemap_scan::own_pages(&pagemap, row.range, left).ok()?;
        found.extend(ranges.into_iter().map(|range| ChangedPages::new(index, range, range.size())));
        if found.len() >= MAX_RANGES {
            break;
        }
    }
    Some(found)
}

#[cfg(not(target_pointer_width = "64"))]
fn by_tables(_process: &Process, _maps: &Maps) -> Option<Vec<ChangedPages>> {
    None
}
