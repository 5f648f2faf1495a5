//! The programs and libraries of a process.

use crate::elf::{self, ElfFile, SegmentFlags, SegmentType};
use crate::images::Images;
use std::collections::HashSet;
use std::ops::Range;
use vmatlas_explain::crash::Machine;
use vmatlas_explain::label::{Auxv, ImageFacts, WANTED_SYMBOLS};
use vmatlas_maps::uapi::auxvec::AT_ENTRY;
use vmatlas_maps::{AddressRange, Kind, Mapping, Maps};

/// No program has as many mapped sections, but a hostile file may.
const MAX_SECTIONS: usize = 256;
const MAX_SEGMENTS: usize = 64;
/// Browsers have some hundred programs and libraries mapped.
const MAX_IMAGES: usize = 4096;
/// Maximum size in bytes of a symbol table scanned where time matters; that takes a few ms.
const SMALL_TABLE: u64 = 4 << 20;
/// Maximum size in bytes with `deep`. Chromium with all its symbols has some 60 MiB.
const WHOLE_TABLE: u64 = 64 << 20;

/// The executable images, sorted by address, and their machine.
pub(super) fn of(
    images: &Images,
    maps: &Maps,
    auxv: &Auxv,
    deep: bool,
) -> (Vec<ImageFacts>, Option<Machine>) {
    let is_code = |row: &Mapping<'_>| row.perms.execute() && row.kind() == Kind::File;
    let mut all = Vec::new();
    let mut machine = None;
    let mut known = HashSet::new();
    for (index, row) in maps.iter().enumerate().filter(|(_, row)| is_code(row)) {
        let Some(image) = images.of_row(maps, index) else { continue };
        let Some(bias) = image.bias() else { continue };
        // A library may be mapped several times, and have several code rows.
        if all.len() < MAX_IMAGES
            && known.insert((row.name, row.inode, bias))
            && is_whole(maps, &row, image.elf(), bias)
        {
            let is_program = auxv.get(AT_ENTRY).is_some_and(|entry| row.range.contains(entry));
            all.push(facts(row.name, image.elf(), bias, tables(deep, is_program)));
            machine = machine.or_else(|| Some(machine_of(image.elf())));
        }
    }
    (all, machine)
}

/// The maximum size in bytes of the symbol tables to scan.
pub(super) fn tables(deep: bool, is_program: bool) -> u64 {
    match (deep, is_program) {
        (true, _) => WHOLE_TABLE,
        // Statically linked code is visible nowhere else.
        (false, true) => SMALL_TABLE,
        (false, false) => 0,
    }
}

/// Whether the first and the last segment are where the bias puts them. V8 maps a part of its code
/// a second time elsewhere, which is not a second image.
fn is_whole(maps: &Maps, row: &Mapping<'_>, elf: &ElfFile, bias: u64) -> bool {
    let loads = || elf.segments().iter().filter(|segment| segment.kind == SegmentType::LOAD);
    let with_bytes = || loads().filter(|segment| segment.filesz > 0);
    let is_there = |vaddr: u64| {
        let place = maps.find(vaddr.wrapping_add(bias)).mapping;
        let there = place.and_then(|index| maps.get(index));
        there.is_some_and(|there| there.name == row.name && there.inode == row.inode)
    };
    let (first, last) = (with_bytes().next(), with_bytes().next_back());
    [first, last].iter().all(|segment| segment.is_some_and(|segment| is_there(segment.vaddr)))
}

pub(super) fn facts(name: &[u8], elf: &ElfFile, bias: u64, tables: u64) -> ImageFacts {
    let here = |range: Range<u64>| {
        let start = range.start.wrapping_add(bias);
        AddressRange::new(start, start.saturating_add(range.end.saturating_sub(range.start)))
    };
    let loads = elf.segments().iter().filter(|segment| segment.kind == SegmentType::LOAD);
    let segments = loads.take(MAX_SEGMENTS).map(|segment| {
        let writable = segment.flags.contains(SegmentFlags::WRITE);
        (here(segment.vaddr_range()), segment.filesz.min(segment.memsz), writable)
    });
    let sections = elf.sections().iter().filter(|section| section.is_mapped());
    let symbols = elf.symbols_named(WANTED_SYMBOLS, tables).into_iter();
    let mut facts = ImageFacts::default();
    facts.name = name.to_vec();
    facts.bias = bias;
    facts.segments = segments.collect();
    facts.relro = elf.relro().map(here);
    let sections = sections.take(MAX_SECTIONS);
    facts.sections =
        sections.map(|section| (section.name.clone(), here(section.vaddr_range()))).collect();
    facts.versions = super::versions::of(name, elf);
    facts.go_calls_mmap = facts.version("Go").and_then(|_| elf.go_calls_mmap());
    facts.moves_break = elf.imports_any(&["sbrk", "brk", "__sbrk"]);
    facts.symbols = symbols.map(|(name, vaddr)| (name, vaddr.wrapping_add(bias))).collect();
    facts
}

/// The machine from `e_machine`, see elf(5).
fn machine_of(elf: &ElfFile) -> Machine {
    let elf::Machine(number) = elf.machine();
    match (number, elf.word_size()) {
        (62, _) => Machine::X86_64,
        (3, _) => Machine::X86,
        (183, _) => Machine::AArch64,
        (40, _) => Machine::Arm,
        (21, _) => Machine::PowerPc64,
        (22, 64) => Machine::S390x,
        (243, 64) => Machine::RiscV64,
        _ => Machine::Other(number),
    }
}
