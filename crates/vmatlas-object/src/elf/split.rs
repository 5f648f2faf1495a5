//! DWARF in other files: packages (`.dwp`), `.dwo` files, and the parts that `dwz` moved out of
//! several debug files (`.gnu_debugaltlink`).

use std::{cell::OnceCell, sync::Arc};

use addr2line::SplitDwarfLoad;
use gimli::{DwarfFileType, DwarfPackage, Reader as _, SectionId};

use super::{
    ElfFile,
    debug_file::build_id_path,
    dwarf_sections::{Leases, Reader},
    guard::Guard,
    input::until_nul,
    path,
};

/// The DWARF package of a file, opened once.
#[derive(Default)]
pub(super) struct Split(OnceCell<Option<DwarfPackage<Reader>>>);

impl Split {
    /// Loads the DWARF of a unit that `main` has only a skeleton of. A missing or different file is
    /// not an error: the lines are in `main`, and its symbols may have the names.
    pub(super) fn load(
        &self,
        main: &ElfFile,
        leases: &Leases,
        guard: &Guard,
        load: &SplitDwarfLoad<Reader>,
    ) -> Option<Arc<gimli::Dwarf<Reader>>> {
        let package = self.0.get_or_init(|| package(main, leases)).as_ref();
        if let Some(dwarf) =
            package.and_then(|package| package.find_cu(load.dwo_id, &load.parent).ok()?)
        {
            return checked(dwarf, guard, load);
        }
        let bytes = |reader: &Reader| Some(reader.to_slice().ok()?.into_owned());
        let dir = load.comp_dir.as_ref().and_then(bytes).unwrap_or_default();
        let elf = main.open_other(&path::join(&dir, &load.path.as_ref().and_then(bytes)?))?;
        let section = |id: SectionId| elf.dwarf_section(id.dwo_name().unwrap_or_default(), leases);
        let mut dwarf = gimli::Dwarf::load(section).ok()?;
        dwarf.file_type = DwarfFileType::Dwo;
        dwarf.make_dwo(&load.parent);
        checked(dwarf, guard, load)
    }
}

/// The DWARF of a unit, if the unit id matches and the size is within bounds.
fn checked(
    dwarf: gimli::Dwarf<Reader>,
    guard: &Guard,
    load: &SplitDwarfLoad<Reader>,
) -> Option<Arc<gimli::Dwarf<Reader>>> {
    let header = dwarf.units().next().ok()??;
    let unit = dwarf.unit(header).ok()?;
    let same = unit.dwo_id == Some(load.dwo_id);
    (same && guard.functions(unit.unit_ref(&dwarf)).is_ok()).then(|| Arc::new(dwarf))
}

fn package(main: &ElfFile, leases: &Leases) -> Option<DwarfPackage<Reader>> {
    let debug_path = main.debug_file().map(|debug| debug.path.as_slice());
    let elf = [main.path.as_deref(), debug_path]
        .into_iter()
        .flatten()
        .find_map(|path| main.open_other(&[path, b".dwp"].concat()))?;
    let section = |id: SectionId| elf.dwarf_section(id.dwo_name().unwrap_or_default(), leases);
    let empty = elf.dwarf_section("", leases).ok()?;
    DwarfPackage::load(|id| section(id).map_err(|_| gimli::Error::Io), empty).ok()
}

impl ElfFile {
    /// Opens the file with the DWARF that `elf`, which is this file or its debug file, shares with
    /// other files.
    pub(super) fn alternate_of(&self, elf: &ElfFile) -> Option<ElfFile> {
        let section = elf.sections().iter().find(|s| s.name == ".gnu_debugaltlink")?;
        let bytes = elf.input.read(".gnu_debugaltlink", section.offset, section.size, 8192).ok()?;
        let name = until_nul(&bytes);
        let build_id = bytes.get(name.len() + 1..).filter(|id| !id.is_empty())?;
        let dir = self.debug_file_path(elf).and_then(path::parent);
        let beside = path::join(dir.unwrap_or_default(), name);
        [Some(beside), build_id_path(build_id).map(String::into_bytes)]
            .into_iter()
            .flatten()
            .filter_map(|path| self.open_other(&path))
            .find(|found| found.build_id.as_deref() == Some(build_id))
    }
}
