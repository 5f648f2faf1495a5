//! Reservations: large rows without permissions and without another explanation.

use super::words::size;
use super::{Confidence, Label, Labeller};
use vmatlas_maps::{AddressRange, Kind, Maps};

/// Smaller ranges are rather guards.
const SMALLEST: u64 = 1 << 20;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let mut found: Vec<AddressRange> = Vec::new();
    for (index, row) in labeller.maps.iter().enumerate() {
        let is_closed = row.perms.none() && row.kind() == Kind::Anonymous;
        if is_closed && !has_contents(labeller.maps, index) {
            let free = labeller.unlabelled(row.range);
            found.extend(free.into_iter().filter(|free| free.size() >= SMALLEST));
        }
    }
    for range in found {
        // A reservation is made usable from one end, so the memory next to it is its owner.
        let owner = owner(labeller, range);
        let text = match &owner {
            Some((of, _)) => {
                format!("reserved addresses, {}, perhaps for {of}", size(range.size()))
            }
            None => format!("reserved addresses, {}", size(range.size())),
        };
        let confidence = if owner.is_some() { Confidence::Guess } else { Confidence::Likely };
        let because = match owner {
            Some((_, where_)) => format!("nothing may access them, and that lies {where_}"),
            None => "nothing may access them, and guards are seldom as large".to_owned(),
        };
        labeller.label(range, &Label::new("reserved", confidence, text, because));
    }
}

/// Whether a row has contents, as far as smaps shows it: a program may close memory that it used.
fn has_contents(maps: &Maps, index: usize) -> bool {
    maps.fields(index).any(|field| {
        matches!(field.name, b"Rss" | b"Swap")
            && field.value.number().is_some_and(|bytes| bytes > 0)
    })
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
                    | ".bss"
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
