//! Code of files that was copied to memory without a file.
//!
//! Programs move their code into huge pages, debuggers and instrumentation patch it, and Wine copies
//! the sections of Windows programs whose offsets are not multiples of a page. The rows of the file
//! around the copy show which part of the file is missing.

use super::runs::is_anonymous;
use super::words::file_name;
use super::{Confidence, Facts, ImageFacts, Label, Labeller};
use vmatlas_maps::{AddressRange, Kind, Mapping, Maps};

/// The sections of a Windows program begin at multiples of a page in memory, and of a smaller size
/// in the file, so a section may take somewhat more memory than file. So may an ELF segment.
const MAX_EXCESS: u64 = 64 << 10;

const GROUP: &str = "replaced file pages";

/// The label of code that was copied from a file; `range` is that of the copy.
pub(super) fn label(
    labeller: &Labeller<'_>,
    range: AddressRange,
    file: &[u8],
    confidence: Confidence,
    because: &str,
) -> Label {
    let is_equal = labeller.facts.copies.iter().any(|c| c.intersect(&range) == Some(range));
    let (confidence, because) = match is_equal {
        true => (Confidence::Certain, format!("{because}, and its bytes are those of the file")),
        false => (confidence, because.to_owned()),
    };
    let text = format!("code of {}, copied to memory without a file", file_name(file));
    Label::new(GROUP, confidence, text, because)
}

/// The row of the file whose code a row without a file is a copy of, by the same rules as the label:
/// a segment of a file has its addresses, or the rows of a file around it leave room for it. The
/// copy of a byte stands as far from that row as the byte in the file.
pub fn copied_from(maps: &Maps, facts: &Facts, index: usize) -> Option<usize> {
    let copy = maps.get(index)?;
    let is_file = |row: &Mapping<'_>| row.kind() == Kind::File;
    let covers = |image: &&ImageFacts| {
        let mut segments = image.segments.iter();
        segments.any(|(segment, ..)| segment.overlaps(&copy.range))
    };
    if let Some(image) = facts.images.iter().find(covers) {
        return maps.iter().position(|row| is_file(&row) && row.name == image.name);
    }
    let next = |from: usize, to: usize| Some((maps.get(from)?, maps.get(to)?));
    let adjacent = |below: usize| {
        next(below, below + 1).is_some_and(|(row, next)| row.range.end == next.range.start)
    };
    let is_copy = |index: usize| maps.get(index).is_some_and(|row| is_anonymous(&row));
    let first =
        (0..=index).rev().take_while(|&at| is_copy(at) && (at == index || adjacent(at))).last()?;
    let above =
        (index + 1..maps.len()).take_while(|&at| adjacent(at - 1)).find(|&at| !is_copy(at))?;
    let below = first.checked_sub(1).filter(|&below| adjacent(below));
    let below = below.and_then(|at| Some((at, maps.get(at).filter(is_file)?)));
    let between: Vec<Mapping<'_>> = (first..above).filter_map(|at| maps.get(at)).collect();
    let file = maps.get(above).filter(is_file)?;
    source(below.map(|(_, row)| row), &between, &file)?;
    let is_of_below = |(_, below): &(usize, Mapping<'_>)| is_same_file(below, &file);
    Some(below.filter(is_of_below).map_or(above, |(at, _)| at))
}

/// Why rows without a file are copies of the file above them, `None` if they are not.
fn source(
    below: Option<Mapping<'_>>,
    between: &[Mapping<'_>],
    above: &Mapping<'_>,
) -> Option<(Confidence, &'static str)> {
    match below.filter(|below| is_same_file(below, above)) {
        Some(below) => fit_between(&below, above),
        None => fit_before(between, above),
    }
}

/// Labels executable memory between rows of one file, or before them, if their offsets leave room
/// for it.
pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let mut found = Vec::new();
    // The last row of a file, and the adjacent rows without a file after it.
    let mut below: Option<Mapping<'_>> = None;
    let mut between: Vec<Mapping<'_>> = Vec::new();
    let mut end = 0;
    for row in labeller.maps.iter() {
        if row.range.start != end {
            below = None;
            between.clear();
        }
        end = row.range.end;
        if is_anonymous(&row) {
            between.push(row);
            continue;
        }
        if row.kind() == Kind::File
            && let Some((confidence, because)) = source(below, &between, &row)
        {
            found.extend(between.iter().map(|copy| (*copy, row.name, confidence, because)));
        }
        below = Some(row).filter(|row| row.kind() == Kind::File);
        between.clear();
    }
    for (row, file, confidence, because) in found {
        if row.perms.execute() && !row.perms.write() {
            let label = label(labeller, row.range, file, confidence, because);
            labeller.label(row.range, &label);
        }
    }
}

fn is_same_file(one: &Mapping<'_>, other: &Mapping<'_>) -> bool {
    one.name == other.name && one.inode == other.inode && one.device == other.device
}

/// Whether the rows around a gap leave out a part of the file that is as large.
fn fit_between(below: &Mapping<'_>, above: &Mapping<'_>) -> Option<(Confidence, &'static str)> {
    let gap = above.range.start.checked_sub(below.range.end).filter(|gap| *gap > 0)?;
    let room = above.offset.checked_sub(below.offset.checked_add(below.range.size())?)?;
    let excess = gap.abs_diff(room);
    if excess == 0 {
        let because = "the rows of the file around it leave out a part that is as large";
        return Some((Confidence::Likely, because));
    }
    let because = "the rows of the file around it leave out a part that is nearly as large";
    let is_small = excess <= MAX_EXCESS && room > 0;
    is_small.then_some(match excess <= gap / 8 {
        true => (Confidence::Likely, because),
        false => (Confidence::Guess, because),
    })
}

/// Whether the first of adjacent rows begins where the file's row above would have its begin.
fn fit_before(before: &[Mapping<'_>], above: &Mapping<'_>) -> Option<(Confidence, &'static str)> {
    let first = before.first()?;
    let start = above.range.start.checked_sub(above.offset)?;
    let fits = above.offset > 0 && above.perms.execute() && first.range.start == start;
    let because = "the file's row above it begins as far in the file as this is large";
    fits.then_some((Confidence::Likely, because))
}
