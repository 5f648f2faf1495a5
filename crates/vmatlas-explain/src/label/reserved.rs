//! Reservations: large rows without permissions and without another explanation.

use super::words::size;
use super::{BSS, Confidence, Label, Labeller};
use vmatlas_maps::{AddressRange, Kind, Maps, Sizes};

/// Smaller ranges are rather guards.
const SMALLEST: u64 = 1 << 20;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let mut found: Vec<(AddressRange, bool)> = Vec::new();
    for (index, row) in labeller.maps.iter().enumerate() {
        let is_closed = row.perms.none() && row.kind() == Kind::Anonymous;
        let contents = contents(labeller.maps, index);
        if is_closed && contents.is_none_or(|bytes| bytes == 0) {
            let free = labeller.unlabelled(row.range);
            let free = free.into_iter().filter(|free| free.size() >= SMALLEST);
            found.extend(free.map(|free| (free, contents.is_some())));
        }
    }
    for (range, is_empty) in found {
        // A reservation is made usable from one end, so the memory next to it is its owner.
        let owner = owner(labeller, range);
        let bytes = size(range.size());
        // A program may also have closed memory that it filled.
        let what = if is_empty { "reserved addresses" } else { "inaccessible addresses" };
        let label = match owner {
            Some((of, where_)) => {
                let text = format!("{what}, {bytes}, perhaps for {of}");
                let because = format!("nothing may access them, and that lies {where_}");
                let group = if is_empty { "reserved" } else { "inaccessible" };
                Label::new(group, Confidence::Guess, text, because)
            }
            None if is_empty => {
                let because = "nothing may access them, and guards are seldom as large";
                Label::new("reserved", Confidence::Likely, format!("{what}, {bytes}"), because)
            }
            None => {
                let because = "nothing may access them; whether they have contents is not known";
                let text = format!("{what}, {bytes}");
                Label::new("inaccessible", Confidence::Certain, text, because)
            }
        };
        labeller.label(range, &label);
    }
}

/// The bytes in memory and in swap of a row, as far as smaps shows any; `None` if they may be more
/// than none.
fn contents(maps: &Maps, index: usize) -> Option<u64> {
    let sizes = Sizes::of(maps, index);
    match (sizes.rss, sizes.swap) {
        (Some(rss), Some(swap)) => Some(rss.saturating_add(swap)),
        (rss, swap) => rss.or(swap).filter(|&bytes| bytes > 0),
    }
}

/// The label of the memory directly below or above, and its side.
fn owner(labeller: &Labeller<'_>, range: AddressRange) -> Option<(String, &'static str)> {
    let below = labeller.parts.range(..range.start).next_back().map(|(_, part)| part);
    let above = labeller.parts.range(range.end..).next().map(|(_, part)| part);
    let below =
        below.filter(|part| part.range.end == range.start).map(|part| (part, "directly below"));
    let above =
        above.filter(|part| part.range.start == range.end).map(|part| (part, "directly above"));
    // These groups have no reserve, or a known one.
    let has_none = |group: &str| {
        group.starts_with("glibc ")
            || matches!(
                group,
                "thread stack"
                    | "guard"
                    | "RELRO"
                    | BSS
                    | "loader"
                    | "vdso"
                    | "musl malloc"
                    | "large malloc block"
                    | "large blocks"
                    | "alternate signal stack"
                    | "replaced file pages"
            )
    };
    let mut sides = below.into_iter().chain(above);
    let (part, side) = sides.find(|(part, _)| !has_none(&part.label.group))?;
    Some((part.label.group.to_string(), side))
}
