//! Containers of address ranges: the model, and crates that keep a value for each range.

use nodit::interval::ie;
use nodit::{Interval, NoditMap};
use std::ops::Range;
use vmatlas_maps::AddressRange;
use vmatlas_space::{AddressSpace, KernelProfile, Mmap, Prot};

const PAGE: u64 = 4096;
const BASE: u64 = 0x1000_0000_0000;
/// The number of pages of a mapping; operations change the pages in its middle.
const PAGES: u64 = 16;
const MIDDLE: Range<u64> = 6..10;

/// A container that supports the operations.
pub trait Ranges {
    /// Protects a range.
    fn protect(&mut self, range: Range<u64>, prot: Prot);
    /// Unmaps a range.
    fn unmap(&mut self, range: Range<u64>);
    /// Maps a range.
    fn map(&mut self, range: Range<u64>, prot: Prot);
    /// Counts the ranges.
    fn count(&self) -> u64;
}

/// The protection of a mapping by its number; neighbours differ, so that they do not merge.
fn prot(slot: u64) -> Prot {
    if slot % 2 == 1 { Prot::READ | Prot::WRITE } else { Prot::READ }
}

/// The mappings that each container begins with.
fn slots(mappings: u64) -> impl Iterator<Item = (Range<u64>, Prot)> {
    let size = PAGES * PAGE;
    (0..mappings).map(move |slot| (BASE + slot * size..BASE + (slot + 1) * size, prot(slot)))
}

/// Pseudorandom numbers, as peers/address_space.c makes them.
fn random() -> impl Iterator<Item = u64> {
    let mut state: u64 = 1;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}

/// Repeatedly splits a mapping, merges it, makes a hole and fills it.
pub fn operate(ranges: &mut impl Ranges, mappings: u64, operations: u64) {
    for slot in random().map(|number| number % mappings).take((operations / 4) as usize) {
        let first = BASE + slot * PAGES * PAGE;
        let middle = first + MIDDLE.start * PAGE..first + MIDDLE.end * PAGE;
        ranges.protect(middle.clone(), Prot::READ | Prot::EXEC);
        ranges.protect(middle.clone(), prot(slot));
        ranges.unmap(middle.clone());
        ranges.map(middle, prot(slot));
    }
}

/// Addresses in the mappings.
pub fn addresses(mappings: u64) -> impl Iterator<Item = u64> {
    random().map(move |number| BASE + number % (mappings * PAGES) * PAGE)
}

/// The start of the mapping that holds an address.
pub fn start_of(address: u64) -> u64 {
    let size = PAGES * PAGE;
    BASE + (address - BASE) / size * size
}

/// The model with this number of mappings.
pub fn space(mappings: u64) -> AddressSpace {
    let mut profile = KernelProfile::of("6.18".parse().expect("a version"));
    profile.max_map_count = usize::MAX;
    let mut space = AddressSpace::new(profile);
    for (range, prot) in slots(mappings) {
        space.map(range, prot);
    }
    space
}

impl Ranges for AddressSpace {
    fn protect(&mut self, range: Range<u64>, prot: Prot) {
        self.mprotect(AddressRange::new(range.start, range.end), prot).expect("it is mapped");
    }

    fn unmap(&mut self, range: Range<u64>) {
        self.munmap(AddressRange::new(range.start, range.end)).expect("it is mapped");
    }

    fn map(&mut self, range: Range<u64>, prot: Prot) {
        let request = Mmap::anonymous(range.end - range.start, prot).fixed(range.start);
        self.mmap(&request).expect("there is room");
    }

    fn count(&self) -> u64 {
        self.len() as u64
    }
}

/// The crate rangemap.
pub struct RangeMap(rangemap::RangeMap<u64, u8>);

impl RangeMap {
    /// Builds the container with this number of ranges.
    pub fn of(mappings: u64) -> RangeMap {
        let mut map = RangeMap(rangemap::RangeMap::new());
        slots(mappings).for_each(|(range, prot)| map.map(range, prot));
        map
    }

    /// The start of the range that holds an address.
    pub fn start(&self, address: u64) -> u64 {
        self.0.get_key_value(&address).map_or(0, |(range, _)| range.start)
    }
}

impl Ranges for RangeMap {
    fn protect(&mut self, range: Range<u64>, prot: Prot) {
        self.0.insert(range, prot.bits() as u8);
    }

    fn unmap(&mut self, range: Range<u64>) {
        self.0.remove(range);
    }

    fn map(&mut self, range: Range<u64>, prot: Prot) {
        self.0.insert(range, prot.bits() as u8);
    }

    fn count(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The crate nodit.
pub struct Nodit(NoditMap<u64, Interval<u64>, u8>);

impl Nodit {
    /// Builds the container with this number of ranges.
    pub fn of(mappings: u64) -> Nodit {
        let mut map = Nodit(NoditMap::new());
        slots(mappings).for_each(|(range, prot)| map.map(range, prot));
        map
    }

    /// The start of the range that holds an address.
    pub fn start(&self, address: u64) -> u64 {
        self.0.get_key_value_at_point(&address).map_or(0, |(range, _)| *range.start())
    }
}

impl Ranges for Nodit {
    fn protect(&mut self, range: Range<u64>, prot: Prot) {
        self.unmap(range.clone());
        self.map(range, prot);
    }

    fn unmap(&mut self, range: Range<u64>) {
        self.0.cut(&ie(range.start, range.end)).for_each(drop);
    }

    fn map(&mut self, range: Range<u64>, prot: Prot) {
        let interval = ie(range.start, range.end);
        self.0
            .insert_merge_touching_if_values_equal(interval, prot.bits() as u8)
            .unwrap_or_else(|_| panic!("nothing is mapped there"));
    }

    fn count(&self) -> u64 {
        self.0.len() as u64
    }
}
