//! Memory of sanitizers, which has fixed addresses on x86-64.
//!
//! The addresses are those of compiler-rt (asan_mapping.h, asan_allocator.h, msan.h,
//! msan_allocator.cpp, tsan_platform.h of LLVM 3.9 to 19), from which gcc's libraries are built.

use super::allocators::free_rows;
use super::words::size;
use super::{Confidence, Label, Labeller};
use crate::crash::Machine;
use vmatlas_maps::AddressRange;
use vmatlas_maps::Kind;

/// A sanitizer, recognised by a function that every instrumented program has.
struct Sanitizer {
    symbol: &'static str,
    name: &'static str,
    places: &'static [Place],
}

/// A fixed range of a sanitizer.
struct Place {
    range: AddressRange,
    group: &'static str,
    what: &'static str,
}

const fn place(start: u64, end: u64, group: &'static str, what: &'static str) -> Place {
    Place { range: AddressRange::new(start, end), group, what }
}

/// Longest sequence of large blocks that is followed.
const MAX_BLOCKS: usize = 65536;
const SHADOW: &str = "sanitizer shadow";
const HEAP: &str = "sanitizer heap";

const SANITIZERS: &[Sanitizer] = &[
    Sanitizer {
        symbol: "__asan_init",
        name: "AddressSanitizer",
        places: &[
            place(0x7fff_7000, 0x8fff_7000, SHADOW, "shadow of addresses below 2 GiB"),
            place(0x8fff_7000, 0x0200_8fff_7000, SHADOW, "shadow of the shadow, which is not used"),
            place(0x0200_8fff_7000, 0x1000_7fff_8000, SHADOW, "shadow: a byte for eight of memory"),
            // The start changed with LLVM 17.
            place(0x5000_0000_0000, 0x5400_0000_0000, HEAP, "heap"),
            place(0x6000_0000_0000, 0x6400_0000_2000, HEAP, "heap"),
        ],
    },
    Sanitizer {
        symbol: "__tsan_init",
        name: "ThreadSanitizer",
        places: &[
            place(0x0080_0000_0000, 0x0100_0000_0000, SHADOW, "addresses that must stay free"),
            place(
                0x0100_0000_0000,
                0x2000_0000_0000,
                SHADOW,
                "shadow: the last accesses to each word",
            ),
            place(0x3000_0000_0000, 0x4000_0000_0000, SHADOW, "states of blocks and locks"),
            place(0x6000_0000_0000, 0x6200_0000_0000, SHADOW, "traces of the events of threads"),
            // The heap moved with LLVM 18.
            place(0x7200_0000_0000, 0x7300_0000_2000, HEAP, "heap"),
            place(0x7b00_0000_0000, 0x7c00_0000_2000, HEAP, "heap"),
        ],
    },
    Sanitizer {
        symbol: "__msan_init",
        name: "MemorySanitizer",
        places: &[
            place(0x0100_0000_0000, 0x1000_0000_0000, SHADOW, "shadow: a bit for each of memory"),
            place(0x1100_0000_0000, 0x2000_0000_0000, SHADOW, "origins of memory without a value"),
            place(0x2000_0000_0000, 0x3000_0000_0000, SHADOW, "shadow: a bit for each of memory"),
            place(0x3000_0000_0000, 0x4000_0000_0000, SHADOW, "origins of memory without a value"),
            place(0x5000_0000_0000, 0x5100_0000_0000, SHADOW, "shadow: a bit for each of memory"),
            place(0x6000_0000_0000, 0x6100_0000_0000, SHADOW, "origins of memory without a value"),
            place(0x7000_0000_0000, 0x7400_0000_0000, HEAP, "heap"),
        ],
    },
];

pub(super) fn recognise(labeller: &mut Labeller<'_>) {
    if labeller.facts.machine != Some(Machine::X86_64) {
        return;
    }
    let images = &labeller.facts.images;
    let is_there = |sanitizer: &&Sanitizer| {
        images.iter().any(|image| image.symbol(sanitizer.symbol).is_some())
    };
    for sanitizer in SANITIZERS.iter().filter(is_there) {
        for place in sanitizer.places {
            of_place(labeller, sanitizer, place);
        }
        large_blocks(labeller, sanitizer);
    }
}

fn of_place(labeller: &mut Labeller<'_>, sanitizer: &Sanitizer, place: &Place) {
    let because = format!("{} has this place, and the program is made with it", sanitizer.name);
    let label = |group: &'static str, what: &str| {
        let text = format!("{}: {what}", sanitizer.name);
        Label::new(group, Confidence::Certain, text, because.as_str())
    };
    let used = label(place.group, place.what);
    let reserve = label("sanitizer reserve", "addresses kept for its heap");
    let from = labeller.maps.find(place.range.start);
    let Some(first) = from.mapping.or(from.after) else { return };
    let rows = (first..labeller.maps.len()).map_while(|index| labeller.maps.get(index));
    let rows: Vec<_> = rows.take_while(|row| row.range.start < place.range.end).collect();
    for row in rows.iter().filter(|row| row.kind() == Kind::Anonymous) {
        let start = row.range.start.max(place.range.start);
        let range = AddressRange::new(start, row.range.end.min(place.range.end));
        let is_reserve = row.perms.none() && place.group == HEAP;
        labeller.label(range, if is_reserve { &reserve } else { &used });
    }
}

/// Labels blocks too large for a size class, which begin with their address and size
/// (`LargeMmapAllocator`, sanitizer_allocator_secondary.h).
fn large_blocks(labeller: &mut Labeller<'_>, sanitizer: &Sanitizer) {
    if labeller.memory.is_none() {
        return;
    }
    for range in free_rows(labeller) {
        let mut start = range.start;
        for _ in 0..MAX_BLOCKS {
            let own = labeller.word(start);
            let length = start.checked_add(8).and_then(|at| labeller.word(at));
            let end = length.and_then(|length| start.checked_add(length));
            let Some(end) = end.filter(|end| own == Some(start) && *end <= range.end) else {
                break;
            };
            let block = AddressRange::new(start, end);
            let text = format!("{}: a single block of {}", sanitizer.name, size(block.size()));
            let because = "it begins with its own address and size";
            labeller.label(block, &Label::new(HEAP, Confidence::Certain, text, because));
            start = end;
        }
    }
}
