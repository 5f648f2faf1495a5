//! mimalloc: segments of 32 MiB (4 MiB before version 2), aligned to their size.
//!
//! A segment's header has a cookie: its address combined with a random number that is also in the
//! main heap's data (`_mi_ptr_cookie`, src/segment.c and src/init.c, versions 1.0 to 2.1).

use super::allocators::{MIMALLOC, free_rows};
use super::{Confidence, ImageFacts, Label, Labeller};
use std::collections::HashSet;
use vmatlas_maps::AddressRange;

const SEGMENT: u64 = 32 << 20;
const OLD_SEGMENT: u64 = 4 << 20;
/// Number of bytes of a segment that contain the cookie.
const HEADER: usize = 512;
/// Upper limit of mimalloc's data in bytes.
const MAX_DATA: u64 = 1 << 20;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let Some(file) = labeller.file_with(&MIMALLOC) else { return };
    let image = labeller.image_with(&MIMALLOC);
    let numbers = image.map(|image| numbers(labeller, image)).unwrap_or_default();
    for range in free_rows(labeller) {
        if !range.start.is_multiple_of(OLD_SEGMENT) {
            continue;
        }
        if has_cookie(labeller, range.start, &numbers) {
            let because = format!(
                "the header at {:#x} has a cookie made from the random number of the main heap",
                range.start
            );
            label(labeller, range, Confidence::Certain, &because);
        } else if range.start.is_multiple_of(SEGMENT) && range.size() >= OLD_SEGMENT {
            let because =
                format!("it is aligned to 32 MiB, as the segments of mimalloc, which is in {file}");
            label(labeller, range, Confidence::Likely, &because);
        }
    }
}

fn label(labeller: &mut Labeller<'_>, range: AddressRange, confidence: Confidence, because: &str) {
    let text = "mimalloc: segments, memory for blocks";
    labeller.label(range, &Label::new("mimalloc", confidence, text, because));
}

/// The words of mimalloc's data that may be random numbers.
fn numbers(labeller: &Labeller<'_>, image: &ImageFacts) -> HashSet<u64> {
    let mut numbers = HashSet::new();
    let Some(memory) = labeller.memory else { return numbers };
    let word = labeller.word_size() as usize;
    for (range, _, _) in image.segments.iter().filter(|(_, _, writable)| *writable) {
        let size = range.size().min(MAX_DATA);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let length = memory.read(range.start, &mut bytes);
        numbers.extend(super::pointers(bytes.get(..length).unwrap_or_default(), word));
    }
    // Addresses are excluded, because headers contain them too.
    numbers.retain(|number| labeller.row_at(*number).is_none());
    numbers
}

fn has_cookie(labeller: &Labeller<'_>, start: u64, numbers: &HashSet<u64>) -> bool {
    let Some(memory) = labeller.memory.filter(|_| !numbers.is_empty()) else { return false };
    let mut header = [0; HEADER];
    let length = memory.read(start, &mut header);
    let word = labeller.word_size() as usize;
    let mut words = super::pointers(header.get(..length).unwrap_or_default(), word);
    words.any(|word| numbers.contains(&(word ^ start)))
}
