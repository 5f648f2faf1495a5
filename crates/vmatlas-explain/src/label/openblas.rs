//! Buffers of OpenBLAS, the matrix library of numpy (driver/others/memory.c, OpenBLAS 0.3). A buffer
//! has 32 MiB on x86-64, is mostly untouched, and a variable points to it.

use super::peek::{Peek, words};
use super::runs::{Run, runs};
use super::words::{file_name, size};
use super::{Confidence, Label, Labeller};
use std::collections::BTreeSet;
use vmatlas_maps::AddressRange;

/// `BUFFER_SIZE` of param.h.
const BUFFER: u64 = 32 << 20;
/// The default is two for each thread of the library.
const MAX_BUFFERS: u64 = 1024;
/// Upper limit of its variables; the file is not trusted.
const MAX_DATA: u64 = 16 << 20;

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    let images = &labeller.facts.images;
    let Some(library) = images.iter().find(|image| file_name(&image.name).contains("openblas"))
    else {
        return;
    };
    let pointers: Option<BTreeSet<u64>> = Peek::of(labeller).map(|peek| {
        let data = library.segments.iter().filter(|(_, _, writable)| *writable);
        let bytes = data.flat_map(|(range, _, _)| {
            peek.bytes(range.start, usize::try_from(range.size().min(MAX_DATA)).unwrap_or(0))
        });
        words(&bytes.collect::<Vec<u8>>()).collect()
    });
    let (confidence, because) = match &pointers {
        Some(_) => (Confidence::Likely, "a variable of OpenBLAS points to it, and buffers have"),
        None => (Confidence::Guess, "OpenBLAS is mapped, and its buffers have"),
    };
    let text = format!("buffer of OpenBLAS, {}", size(BUFFER));
    let because = format!("{because} this size");
    let label = Label::new("OpenBLAS buffer", confidence, text, because);
    for part in runs(labeller).iter().flat_map(Run::parts) {
        if !part.perms.read() || !part.perms.write() || part.perms.execute() {
            continue;
        }
        let (start, end) = (part.range.start, part.range.end);
        let starts: Vec<u64> = match &pointers {
            Some(pointers) => pointers.range(start..end).copied().collect(),
            None if part.range.size().is_multiple_of(BUFFER)
                && part.range.size() / BUFFER <= MAX_BUFFERS =>
            {
                (0..part.range.size() / BUFFER)
                    .filter_map(|i| start.checked_add(i * BUFFER))
                    .collect()
            }
            None => continue,
        };
        for start in starts {
            let Some(end) = start.checked_add(BUFFER) else { continue };
            if start.is_multiple_of(labeller.page_size()) && end <= part.range.end {
                labeller.label(AddressRange::new(start, end), &label);
            }
        }
    }
}
