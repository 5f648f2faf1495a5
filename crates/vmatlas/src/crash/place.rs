//! Facts from the file at the address of an access.

use crate::atlas::Atlas;
use std::sync::PoisonError;
use std::time::Duration;
use vmatlas_explain::explain::PlaceFacts;
use vmatlas_linux::elf::{self, ElfFile, FileOffset, Vaddr, demangle};
use vmatlas_linux::postmortem::Postmortem;
use vmatlas_linux::within;
use vmatlas_maps::Mapping;

/// The longest time to read a file.
const LIMIT: Duration = Duration::from_secs(5);

/// Facts about an address of a live process, whose files are certain; empty for other targets.
pub(super) fn of(atlas: &Atlas, address: u64) -> PlaceFacts {
    let found = || {
        let maps = atlas.maps();
        let index = maps.find(address).mapping?;
        let row = maps.get(index)?;
        let images = atlas.live()?.images(maps, |row| row == index)?;
        let bias = images.of_row(maps, index)?.bias();
        let (_, file) = images.shared(index)?;
        drop(images);
        let offset = FileOffset::new(row.offset_of(address));
        within(LIMIT, move || {
            let file = file.lock().unwrap_or_else(PoisonError::into_inner);
            of_file(&file, bias.map(|bias| Vaddr::in_file(address, bias)), offset)
        })
    };
    found().unwrap_or_default()
}

/// Facts about an address of a dead process. `bias` is the difference between addresses of the
/// process and of its file.
pub(super) fn of_dead(
    dead: &Postmortem<'_>,
    row: usize,
    mapping: &Mapping<'_>,
    address: u64,
    bias: Option<u64>,
) -> PlaceFacts {
    let size = dead.file_size(row);
    let elf = || {
        let file = dead.file(row)?;
        let offset = FileOffset::new(mapping.offset_of(address));
        within(LIMIT, move || {
            let elf = elf::read_regular(file).ok()??;
            Some(of_file(&elf, bias.map(|bias| Vaddr::in_file(address, bias)), offset))
        })?
    };
    let mut facts = elf().unwrap_or_default();
    facts.file_size = size;
    facts
}

fn of_file(elf: &ElfFile, vaddr: Option<Vaddr>, offset: FileOffset) -> PlaceFacts {
    let section = match vaddr {
        Some(vaddr) => elf.section_at(vaddr),
        None => elf.section_at_offset(offset),
    };
    let symbol = vaddr.and_then(|vaddr| elf.symbol_at(vaddr).ok()?);
    let mut facts = PlaceFacts::default();
    let name = section.map(|section| section.name.clone());
    facts.section = name.filter(|name| !name.is_empty());
    facts.symbol = symbol.map(|symbol| (demangle(symbol.name), symbol.offset));
    facts
}
