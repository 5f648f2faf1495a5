//! The heap and the code of V8 in Node.js; in Chromium its pages are in a cage, see `chromium`.
//!
//! Heap pages have 256 KiB and are aligned to their size, except large objects, which have pages of
//! their own size. Each page is mapped at a random address below the kernel's mmap area (src/heap/
//! and src/base/platform/).

use super::peek::Peek;
use super::runs::{Run, is_anonymous, runs};
use super::words::size;
use super::{Confidence, Label, Labeller, others};
use vmatlas_maps::AddressRange;

const PAGE: u64 = 256 << 10;
/// Random addresses have 46 bits (`OS::GetRandomMmapAddr`).
const RANDOM: u64 = 1 << 46;
/// Other pages are this near, in bytes, only by chance.
const DISTANCE: u64 = 16 << 20;
/// The sizes of the code range (`kMaximalCodeRangeSize`).
const CODE_RANGES: [u64; 2] = [512 << 20, 128 << 20];
/// Number of pages whose headers are read, those of 16 GiB.
const MAX_PAGES: u64 = 1 << 16;

/// Arenas of other allocators are aligned to this or more.
const ARENA: u64 = 32 << 20;
/// A constant for debuggers that V8 exports.
const SYMBOL: &str = "v8dbg_APIObjectType";

const HEAP: &str = "V8 heap";
const CODE: &str = "V8 code";

/// Whether the process contains V8, which exports constants for debuggers as dynamic symbols.
pub(super) fn is_here(labeller: &Labeller<'_>) -> bool {
    let images = &labeller.facts.images;
    images.iter().any(|image| image.symbol(SYMBOL).is_some())
}

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    if !is_here(labeller) {
        return;
    }
    code_range(labeller);
    let peek = Peek::of(labeller);
    let mut left = MAX_PAGES;
    let other = other_code(labeller);
    for run in candidates(labeller) {
        let range = run.range();
        // With two hundred pages, two are near each other by chance once in a hundred processes.
        // Then only their headers identify them.
        let is_lonely = is_lonely(labeller, range);
        if let Some(peek) = peek
            && (is_lonely || page(peek, range.start, range.end).is_some())
        {
            let what = "page of the heap of JavaScript objects";
            pages(labeller, peek, range, (HEAP, what), &mut left);
        }
        if !is_lonely {
            continue;
        }
        let label = match &other {
            // mimalloc and Go place their arenas at random addresses, too.
            Some(other) if range.start.is_multiple_of(ARENA) => Label::new(
                HEAP,
                Confidence::Guess,
                "pages of the heap of JavaScript objects",
                format!("V8 is mapped, and they are placed so; but so may be memory of {other}"),
            ),
            _ => Label::new(
                HEAP,
                Confidence::Likely,
                "pages of the heap of JavaScript objects",
                "V8 is mapped, and address and alignment are as its heap has them",
            ),
        };
        labeller.label(range, &label);
    }
}

/// A file besides V8's that may map memory at random addresses, such as an addon with an allocator
/// of its own.
fn other_code(labeller: &Labeller<'_>) -> Option<String> {
    let program = labeller.files.first().copied();
    let is_v8 = |path: &[u8]| {
        let mut images = labeller.facts.images.iter();
        images.any(|image| image.name == path && image.symbol(SYMBOL).is_some())
    };
    let is_own = |path: &[u8], _: &str| Some(path) == program || is_v8(path);
    let known = others::other_than(labeller, "V8").map(str::to_owned);
    known.or_else(|| others::unknown_code(labeller, is_own))
}

/// Runs that may be pages of the heap by their address and permissions.
fn candidates(labeller: &Labeller<'_>) -> Vec<Run> {
    let mut all = runs(labeller);
    all.retain(|run| {
        let range = run.range();
        range.start.is_multiple_of(PAGE)
            && range.end <= RANDOM
            && run.parts().iter().all(|part| part.perms.read() && !part.perms.execute())
    });
    all
}

/// Whether a range is far from all other memory, as heap pages mostly are.
fn is_lonely(labeller: &Labeller<'_>, range: AddressRange) -> bool {
    let place = |address: u64| labeller.maps.find(address);
    let row = |index: Option<usize>| index.and_then(|index| labeller.maps.get(index));
    let before = row(place(range.start).before).map_or(0, |row| row.range.end);
    let after = row(place(range.end.saturating_sub(1)).after);
    let after = after.map_or(u64::MAX, |row| row.range.start);
    range.start.saturating_sub(before) >= DISTANCE && after.saturating_sub(range.end) >= DISTANCE
}

/// Labels pages by their headers.
fn pages(
    labeller: &mut Labeller<'_>,
    peek: Peek<'_>,
    range: AddressRange,
    (group, what): (&'static str, &str),
    left: &mut u64,
) {
    let mut at = range.start;
    while at < range.end && *left > 0 {
        *left -= 1;
        let length = page(peek, at, range.end);
        if let Some(length) = length {
            let because = format!("the header at {at:#x} has its size and bounds");
            let text = format!("{what}, {}", size(length));
            let end = at.saturating_add(length);
            labeller.label(
                AddressRange::new(at, end),
                &Label::new(group, Confidence::Certain, text, because),
            );
        }
        let length = length.unwrap_or(PAGE).max(PAGE);
        let next = at.checked_add(length).and_then(|next| next.checked_next_multiple_of(PAGE));
        let Some(next) = next else { return };
        at = next;
    }
}

/// The length in whole pages of the V8 page with a header at `at`. The layouts are those of V8 11
/// (`size`, `flags`, `heap`, `area_start`, `area_end`), 12 (`flags`, its own address, `size`,
/// `heap`, `area_start`, `area_end`) and 13 (`flags`, a pointer to its metadata, in which a pointer
/// back and `size` follow the vtable), of Node.js 20, 22 and 24.
fn page(peek: Peek<'_>, at: u64, end: u64) -> Option<u64> {
    let [first, second, third, fourth, fifth, sixth] = peek.words(at)?;
    let is_length = |length: u64| {
        length.is_multiple_of(4096) && length > 0 && Some(length) <= end.checked_sub(at)
    };
    let is_area = |length: u64, start: u64, end: u64| {
        let inside = |address: u64| at < address && address - at <= length;
        // The header is before the area.
        inside(start) && inside(end) && start < end && start - at < PAGE
    };
    if is_length(first) && is_area(first, fourth, fifth) {
        return Some(first);
    }
    if second == at {
        return Some(third).filter(|&third| is_length(third) && is_area(third, fifth, sixth));
    }
    let [_, back, length] = peek.words(second)?;
    Some(length).filter(|&length| back == at && is_length(length))
}

/// Labels the reservation for all code, by its size. V8 maps its builtins into it a second time
/// from the program's file.
fn code_range(labeller: &mut Labeller<'_>) {
    let all = runs(labeller);
    let codes = all.iter().flat_map(Run::parts).filter(|part| part.perms.execute());
    let pages: Vec<u64> = codes.map(|part| part.range.start - part.range.start % PAGE).collect();
    for start in pages {
        // The first code page is at its start.
        let range = CODE_RANGES
            .iter()
            .map(|size| AddressRange::new(start, start.saturating_add(*size)))
            .find(|range| is_code_range(labeller, *range));
        let Some(range) = range else { continue };
        if let Some(peek) = Peek::of(labeller) {
            let mut left = MAX_PAGES;
            self::pages(labeller, peek, range, (CODE, "page of JavaScript code"), &mut left);
        }
        let because = "V8 is mapped, and this has the size of its code range and holds code";
        let label = |text| Label::new(CODE, Confidence::Likely, text, because);
        let used = label("code of JavaScript, in pages of the heap");
        labeller.label_reservation(range, &used, &label("reserved for code of JavaScript"));
        return;
    }
}

/// Whether unnamed memory and executable file mappings cover all of a range, and rows begin and end
/// with it.
fn is_code_range(labeller: &Labeller<'_>, range: AddressRange) -> bool {
    let mut at = range.start;
    while let Some(row) = labeller.row_at(at) {
        let is_part = is_anonymous(&row) || row.has_file() && row.perms.execute();
        if !is_part || at == range.start && row.range.start != at {
            return false;
        }
        at = row.range.end;
        if at >= range.end {
            return at == range.end;
        }
    }
    // V8 unmaps no part of it.
    false
}
