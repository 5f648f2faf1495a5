//! Buffers of OpenBLAS, the matrix library of numpy (driver/others/memory.c, OpenBLAS 0.3). A
//! variable points to each buffer. A buffer is mostly untouched; its size depends on how the library
//! was built (`BUFFER_SIZE` of param.h): 32 MiB is usual on x86-64, Debian's has 128 MiB.

use super::peek::{Peek, words};
use super::runs::{Run, runs};
use super::words::{file_name, size};
use super::{Confidence, Label, Labeller};
use std::collections::BTreeSet;
use vmatlas_maps::AddressRange;

/// Every known `BUFFER_SIZE` is a power of two and not smaller, in bytes.
const SMALLEST: u64 = 16 << 20;
/// No known one is larger.
const LARGEST: u64 = 1 << 30;
/// All buffers are a multiple of the usual size.
const USUAL: u64 = 32 << 20;
/// The default is two for each thread of the library.
const MAX_BUFFERS: u64 = 1024;
const GROUP: &str = "OpenBLAS buffer";
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
    let parts: Vec<AddressRange> = runs(labeller)
        .iter()
        .flat_map(Run::parts)
        .filter(|part| part.perms.read() && part.perms.write() && !part.perms.execute())
        .map(|part| part.range)
        .collect();
    if let Some(pointers) = &pointers {
        pointed_to(labeller, &parts, pointers);
    }
    // Without the buffers' pointers, for example because they lie in another library.
    if labeller.parts.values().any(|part| part.label.group == GROUP) {
        return;
    }
    for range in parts {
        if range.size().is_multiple_of(USUAL) && range.size() / USUAL <= MAX_BUFFERS {
            let text = format!("buffers of OpenBLAS, {}", size(range.size()));
            let because = "OpenBLAS is mapped, and its buffers have such sizes";
            labeller.label(range, &Label::new(GROUP, Confidence::Guess, text, because));
        }
    }
}

/// Labels the buffers that pointers lead to. All have the same size.
fn pointed_to(labeller: &mut Labeller<'_>, parts: &[AddressRange], pointers: &BTreeSet<u64>) {
    let page = labeller.page_size();
    let starts_in = |range: &AddressRange| {
        pointers.range(range.start..range.end).copied().filter(|at| at.is_multiple_of(page))
    };
    // The distance to the next buffer, or to the end of the row, which may go on behind the last
    // one.
    let mut sizes = Vec::new();
    for range in parts {
        let starts: Vec<u64> = starts_in(range).collect();
        let ends = starts.iter().skip(1).copied().chain([range.end]);
        sizes.extend(starts.iter().zip(ends).map(|(start, end)| end - start));
    }
    let is_size = |size: &u64| size.is_power_of_two() && (SMALLEST..=LARGEST).contains(size);
    let Some(buffer) = sizes.into_iter().filter(is_size).min() else { return };
    let text = format!("buffer of OpenBLAS, {}", size(buffer));
    let because = "a variable of OpenBLAS points to it, and buffers have such sizes";
    let label = Label::new(GROUP, Confidence::Likely, text, because);
    for range in parts {
        for start in starts_in(range) {
            if let Some(end) = start.checked_add(buffer).filter(|end| *end <= range.end) {
                labeller.label(AddressRange::new(start, end), &label);
            }
        }
    }
}
