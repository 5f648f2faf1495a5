//! Pages of Ruby's heap (gc.c; checked on Ruby 3.1).
//!
//! A page has 64 KiB since 3.2 and 16 KiB before, is aligned to its size, and begins with a pointer
//! to its `struct heap_page`, which contains a pointer to the page's first object.

use super::peek::{Peek, words};
use super::runs::{Run, runs};
use super::{Confidence, ImageFacts, Label, Labeller};
use vmatlas_maps::AddressRange;

const PAGES: [u64; 2] = [64 << 10, 16 << 10];
/// The first object follows the header, aligned to the object size.
const FIRST_OBJECT: u64 = 1024;
const MAX_PAGES: usize = 1 << 17;
/// The transient heap of Ruby 2.6 to 3.2, to which a variable points (transient_heap.c).
const TRANSIENT_HEAP: u64 = 32 << 20;
/// Upper limit of its variables; the file is not trusted.
const MAX_DATA: u64 = 16 << 20;

/// Whether the process contains Ruby.
pub(super) fn is_here(labeller: &Labeller<'_>) -> bool {
    labeller.facts.images.iter().any(|image| image.symbol("ruby_version").is_some())
}

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let images = &labeller.facts.images;
    let image = images.iter().find(|image| image.symbol("ruby_version").is_some());
    let (Some(peek), Some(image)) = (Peek::of(labeller), image) else { return };
    transient_heap(labeller, peek, image);
    let mut left = MAX_PAGES;
    for part in runs(labeller).iter().flat_map(Run::parts) {
        if !part.perms.read() || !part.perms.write() || part.perms.execute() {
            continue;
        }
        let [_, step] = PAGES;
        let mut at = part.range.start.checked_next_multiple_of(step).unwrap_or(u64::MAX);
        // Adjacent pages get one label.
        let mut heap = AddressRange::new(at, at);
        while at < part.range.end && left > 0 {
            left -= 1;
            let length = page(peek, at, part.range.end);
            if let Some(length) = length {
                heap = AddressRange::new(if heap.end == at { heap.start } else { at }, at + length);
            }
            let next = at.saturating_add(length.unwrap_or(step));
            if length.is_none() || next >= part.range.end {
                label(labeller, heap);
                heap = AddressRange::new(next, next);
            }
            at = next;
        }
    }
}

fn transient_heap(labeller: &mut Labeller<'_>, peek: Peek<'_>, image: &ImageFacts) {
    let all = runs(labeller);
    let sized = all.iter().flat_map(Run::parts).filter(|part| part.perms.write());
    let mut sized = sized.map(|part| part.range).filter(|range| range.size() == TRANSIENT_HEAP);
    let points_to = |start: u64| {
        let mut data = image.segments.iter().filter(|(_, _, writable)| *writable);
        data.any(|(range, _, _)| {
            let length = usize::try_from(range.size().min(MAX_DATA)).unwrap_or(0);
            words(&peek.bytes(range.start, length)).any(|word| word == start)
        })
    };
    if let Some(heap) = sized.find(|range| points_to(range.start)) {
        let because = "a variable of Ruby points to it, and it has this size";
        let text = "short-lived contents of Ruby objects (transient heap)";
        labeller.label(heap, &Label::new("Ruby heap", Confidence::Likely, text, because));
    }
}

fn label(labeller: &mut Labeller<'_>, heap: AddressRange) {
    if heap.size() > 0 {
        let because = "each page begins with a pointer to Ruby's description of it";
        let text = "heap of Ruby objects";
        labeller.label(heap, &Label::new("Ruby heap", Confidence::Certain, text, because));
    }
}

/// The size of the page at an address, if there is one.
fn page(peek: Peek<'_>, at: u64, end: u64) -> Option<u64> {
    let header = peek.u64(at).filter(|&header| header != 0 && header % 8 == 0)?;
    let fields = peek.bytes(header, 96);
    let is_first = |&word: &u64| word > at && word - at <= FIRST_OBJECT;
    if !words(&fields).any(|word| is_first(&word)) {
        return None;
    }
    // At the smaller size, a second page starts where the larger page has objects.
    let [large, small] = PAGES;
    let is_small = !at.is_multiple_of(large) || {
        let next = at.checked_add(small)?;
        next < end && page_begins(peek, next)
    };
    let length = if is_small { small } else { large };
    (at.checked_add(length)? <= end).then_some(length)
}

fn page_begins(peek: Peek<'_>, at: u64) -> bool {
    let header = peek.u64(at).filter(|&header| header != 0 && header % 8 == 0);
    let Some(header) = header else { return false };
    words(&peek.bytes(header, 96)).any(|word| word > at && word - at <= FIRST_OBJECT)
}
