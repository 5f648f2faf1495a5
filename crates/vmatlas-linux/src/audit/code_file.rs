//! What a file of code is.

use super::writers::{self, Groups};
use crate::elf::{self, ElfFile, ElfType, SegmentFlags, SegmentType};
use crate::files::{FileTruth, Way};
use crate::regular_file::RegularFile;
use vmatlas_explain::audit::{CODE_MAKERS, CodeFile, ElfFacts};
use vmatlas_maps::{AddressRange, Mapping};
use vmatlas_object::Budget;

/// No program has more segments of code and data.
const MAX_LOADS: usize = 64;

/// Reads the file behind a row. `path` is where it can be reached; `None` if it is gone.
pub(super) fn read(
    way: &Way,
    row: &Mapping<'_>,
    truth: Option<&FileTruth>,
    path: Option<&[u8]>,
    groups: &Groups,
) -> Option<CodeFile> {
    let along = path.map(|path| way.along(path)).unwrap_or_default();
    let file = way.open(row, truth);
    if file.is_none() && along.is_empty() {
        return None;
    }
    let mut code = CodeFile::default();
    code.uid = match (&file, along.last()) {
        (Some(file), _) => Some(file.stat().uid),
        (None, Some((_, stat))) => Some(stat.uid),
        (None, None) => None,
    };
    code.writers = path.map(|path| writers::of(path, &along, groups)).unwrap_or_default();
    code.is_sealed = file.as_ref().is_some_and(RegularFile::is_sealed);
    code.elf = file.and_then(elf_facts);
    Some(code)
}

/// The headers of a file; `None` if it is not ELF.
pub(super) fn elf_facts(file: RegularFile) -> Option<ElfFacts> {
    let elf = elf::read_within(file, Budget::default()).ok()??;
    Some(of_elf(&elf))
}

fn of_elf(elf: &ElfFile) -> ElfFacts {
    let range = |start: u64, end: u64| AddressRange::try_new(start, end);
    let mut facts = ElfFacts::default();
    facts.build_id = elf.build_id();
    facts.is_movable = elf.elf_type() != ElfType::Exec;
    facts.is_program = elf.elf_type() == ElfType::Exec || elf.interpreter().is_some();
    facts.has_linker = elf.interpreter().is_some();
    facts.wants_executable_stack = elf.wants_executable_stack() == Some(true);
    facts.relro = elf.relro().and_then(|relro| range(relro.start, relro.end));
    facts.binds_now = elf.binds_now();
    facts.relocates_text = elf.relocates_text();
    facts.protections = elf.protections();
    facts.machine = elf.machine().0;
    let loads = elf.segments().iter().filter(|segment| segment.kind == SegmentType::LOAD);
    let load = |segment: &elf::Segment| {
        let vaddr = segment.vaddr_range();
        let is_code = segment.flags.contains(SegmentFlags::EXECUTE);
        Some((range(vaddr.start, vaddr.end)?, segment.offset, is_code))
    };
    facts.loads = loads.take(MAX_LOADS).filter_map(load).collect();
    let names: Vec<&'static str> = CODE_MAKERS.iter().map(|(name, _)| *name).collect();
    let defined = elf.symbols_named(&names, 0);
    let maker = CODE_MAKERS.iter().find(|(name, _)| defined.iter().any(|(known, _)| known == name));
    facts.makes_code = maker.map(|(_, maker)| *maker);
    facts
}
