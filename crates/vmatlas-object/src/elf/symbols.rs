//! Symbol lookup by address.

use std::{cmp::Reverse, fmt, iter::once_with};

use object::{
    Endianness, elf,
    read::elf::{FileHeader, Sym},
};

use crate::Lease;

use super::{
    ElfError, ElfFile, Section, SectionType, Vaddr,
    header::{Class, Elf32, Elf64, table},
    input::until_nul,
};

/// Chromium with all its symbols has some 60 MiB.
const MAX_SYMBOLS: u64 = 256 << 20;
/// Chromium has 300 MiB of symbol names.
const MAX_NAMES: u64 = 1 << 30;

/// The symbol that contains an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Symbol<'a> {
    /// The name as the file has it, with a version suffix (`memcpy@@GLIBC_2.14`) if it has one; not
    /// demangled, see [`demangle`](super::demangle()).
    pub name: &'a [u8],
    /// The start vaddr.
    pub vaddr: u64,
    /// Bytes from `vaddr` to the requested address.
    pub offset: u64,
    /// `st_size` in bytes. 0 is a label without a size, which contains the address only likely.
    pub size: u64,
    /// The symbol table that has the symbol.
    pub source: SymbolSource<'a>,
}

/// The symbol table that has a symbol; shown as `symtab`, `dynsym`, `debug file PATH`, or
/// `gnu_debugdata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SymbolSource<'a> {
    /// `.symtab`, which has every function unless the file is stripped.
    Symtab,
    /// `.dynsym`, which has only symbols exported to or imported from other files.
    Dynsym,
    /// `.symtab` of the separate debug file at this path.
    DebugFile(&'a [u8]),
    /// `.symtab` of the small ELF file in `.gnu_debugdata`, where Fedora stores function symbols.
    DebugData,
}

impl fmt::Display for SymbolSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SymbolSource::Symtab => f.pad("symtab"),
            SymbolSource::Dynsym => f.pad("dynsym"),
            SymbolSource::DebugData => f.pad("gnu_debugdata"),
            SymbolSource::DebugFile(path) => {
                write!(f, "debug file {}", String::from_utf8_lossy(path))
            }
        }
    }
}

impl ElfFile {
    /// Finds the symbol that contains `vaddr`.
    ///
    /// Functions (`STT_FUNC`, `STT_GNU_IFUNC`), data (`STT_OBJECT`) and labels (`STT_NOTYPE`)
    /// count. Sections, files, thread-local, undefined and absolute symbols do not, nor do ARM,
    /// AArch64 and RISC-V mapping symbols (`$d`). The tables are searched in this order: `.symtab`,
    /// `.dynsym`, `.symtab` of the debug file, `.symtab` of `.gnu_debugdata`. In each table:
    ///
    /// 1. A sized symbol that covers the address; among several, the one that begins last.
    /// 2. Among those that begin together: a typed symbol before a label, then global or weak
    ///    before local, then the fewest leading underscores (`read` before `__read`), then global
    ///    before weak, then the smallest.
    ///
    /// If no table has one, the nearest label before the address, from the first table that has
    /// such a label. A label extends to the next symbol or to the end of its section.
    ///
    /// # Errors
    ///
    /// If no symbol was found and one of the tables could not be read.
    pub fn symbol_at(&self, vaddr: Vaddr) -> Result<Option<Symbol<'_>>, ElfError> {
        let mut label = None;
        let mut damage = None;
        for (table, source) in self.tables() {
            match table {
                Ok(Some(table)) => match table.find(vaddr.get(), source) {
                    Some(symbol) if symbol.size > 0 => return Ok(Some(symbol)),
                    found => label = label.or(found),
                },
                Ok(None) => {}
                Err(error) => damage = damage.or(Some(error.clone())),
            }
        }
        match (label, damage) {
            (None, Some(error)) => Err(error),
            (label, _) => Ok(label),
        }
    }

    /// Finds the symbols whose name `is_it` accepts, in the order of their addresses: those of the
    /// first table that has any, in the order of [`symbol_at`](ElfFile::symbol_at). Names are as the
    /// file has them.
    ///
    /// # Errors
    ///
    /// If no symbol was found and one of the tables could not be read.
    pub fn find_symbols(&self, is_it: impl Fn(&[u8]) -> bool) -> Result<Vec<Symbol<'_>>, ElfError> {
        let mut damage = None;
        for (table, source) in self.tables() {
            match table {
                Ok(Some(table)) => {
                    let entries = table.entries.iter().filter(|entry| is_it(table.name(entry)));
                    let found: Vec<Symbol<'_>> =
                        entries.map(|entry| table.symbol(entry, entry.start, source)).collect();
                    if !found.is_empty() {
                        return Ok(found);
                    }
                }
                Ok(None) => {}
                Err(error) => damage = damage.or(Some(error.clone())),
            }
        }
        damage.map_or(Ok(Vec::new()), Err)
    }

    /// The symbol tables. Each is read only if the tables before it have no match.
    fn tables(&self) -> impl Iterator<Item = (&SymbolCell, SymbolSource<'_>)> {
        once_with(|| Some((self.symtab(), SymbolSource::Symtab)))
            .chain(once_with(|| Some((self.dynsym(), SymbolSource::Dynsym))))
            .chain(once_with(|| {
                let debug = self.debug_file()?;
                Some((debug.elf.symtab(), SymbolSource::DebugFile(&debug.path)))
            }))
            .chain(once_with(|| match self.debug_data() {
                Ok(Some(elf)) => Some((elf.symtab(), SymbolSource::DebugData)),
                _ => None,
            }))
            .flatten()
    }

    fn symtab(&self) -> &SymbolCell {
        self.symtab.get_or_init(|| self.symbols(SectionType::SYMTAB))
    }

    fn dynsym(&self) -> &SymbolCell {
        self.dynsym.get_or_init(|| self.symbols(SectionType::DYNSYM))
    }

    fn symbols(&self, kind: SectionType) -> SymbolCell {
        let Some(symbols) = self.sections().iter().find(|s| s.kind == kind) else {
            return Ok(None);
        };
        let place = |s: &Section| format!("section {} ({})", s.index, s.name);
        let bytes = self.input.read(place(symbols), symbols.offset, symbols.size, MAX_SYMBOLS)?;
        let Some(names) = self.sections().get(symbols.link as usize) else {
            return Err(ElfError::malformed(place(symbols), "sh_link is no section"));
        };
        let symbol = match self.header.class {
            Class::Elf32 => size_of::<<Elf32 as FileHeader>::Sym>(),
            Class::Elf64 => size_of::<<Elf64 as FileHeader>::Sym>(),
        };
        let entries = (bytes.len() / symbol * size_of::<Entry>()) as u64;
        let size = entries.saturating_add(names.size).saturating_add(bytes.len() as u64);
        self.input.check(place(names), names.offset, names.size, MAX_NAMES)?;
        let lease = self.input.budget.take(place(symbols), size)?;
        let names = self.input.read(place(names), names.offset, names.size, MAX_NAMES)?;
        Ok(Some(match self.header.class {
            Class::Elf32 => SymbolTable::new::<Elf32>(&bytes, names, self, lease),
            Class::Elf64 => SymbolTable::new::<Elf64>(&bytes, names, self, lease),
        }))
    }
}

type SymbolCell = Result<Option<SymbolTable>, ElfError>;

/// The symbols with addresses, sorted by start.
pub(super) struct SymbolTable {
    entries: Vec<Entry>,
    names: Vec<u8>,
    /// With the bytes from which they were made.
    _lease: Lease,
}

struct Entry {
    start: u64,
    /// First address after the symbol.
    end: u64,
    /// The greatest `end` of this entry and all before it. A backward search stops where this is at
    /// or below the address.
    reach: u64,
    /// Offset in `names`.
    name: u32,
    has_size: bool,
    /// Among entries with the same start, the greater rank wins.
    rank: u8,
}

impl SymbolTable {
    fn new<Elf: FileHeader<Endian = Endianness>>(
        bytes: &[u8],
        names: Vec<u8>,
        file: &ElfFile,
        lease: Lease,
    ) -> Self {
        let mut entries: Vec<Entry> = table::<Elf::Sym>(bytes)
            .iter()
            .filter_map(|symbol| Entry::new::<Elf>(symbol, &names, file))
            .collect();
        entries.sort_unstable_by_key(|e| (e.start, e.rank, Reverse((e.end, e.name))));
        limit_labels(&mut entries, file.sections());
        let mut reach = 0;
        for entry in &mut entries {
            reach = entry.end.max(reach);
            entry.reach = reach;
        }
        SymbolTable { entries, names, _lease: lease }
    }

    fn find<'a>(&'a self, vaddr: u64, source: SymbolSource<'a>) -> Option<Symbol<'a>> {
        let before = &self.entries[..self.entries.partition_point(|e| e.start <= vaddr)];
        let mut covering = before
            .iter()
            .rev()
            .take_while(|e| vaddr < e.reach)
            .filter(|e| vaddr < e.end)
            .peekable();
        let nearest = covering.peek().copied();
        let entry = covering.find(|e| e.has_size).or(nearest)?;
        Some(self.symbol(entry, vaddr, source))
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        until_nul(&self.names[entry.name as usize..])
    }

    /// The symbol of an entry, for an address in it.
    fn symbol<'a>(&'a self, entry: &Entry, vaddr: u64, source: SymbolSource<'a>) -> Symbol<'a> {
        Symbol {
            name: self.name(entry),
            vaddr: entry.start,
            offset: vaddr - entry.start,
            size: if entry.has_size { entry.end - entry.start } else { 0 },
            source,
        }
    }
}

/// Sets the end of labels: the next symbol or the end of the section. A label in no section, such
/// as `_end`, stays empty.
fn limit_labels(entries: &mut [Entry], sections: &[Section]) {
    let mut sections: Vec<_> =
        sections.iter().filter(|s| s.is_mapped()).map(Section::vaddr_range).collect();
    sections.sort_unstable_by_key(|range| range.start);

    let mut next = u64::MAX; // the start of the next symbol that begins later
    for i in (0..entries.len()).rev() {
        if let Some(later) = entries.get(i + 1)
            && later.start > entries[i].start
        {
            next = later.start;
        }
        let entry = &mut entries[i];
        if !entry.has_size {
            let before = &sections[..sections.partition_point(|s| s.start <= entry.start)];
            let section_end = before.last().map_or(0, |section| section.end);
            entry.end = section_end.min(next);
        }
    }
}

impl Entry {
    fn new<Elf: FileHeader<Endian = Endianness>>(
        symbol: &Elf::Sym,
        names: &[u8],
        file: &ElfFile,
    ) -> Option<Self> {
        let endian = file.header.endian;
        let (kind, bind) = (symbol.st_type(), symbol.st_bind());
        let is_function = kind == elf::STT_FUNC || kind == elf::STT_GNU_IFUNC;
        if !is_function && kind != elf::STT_OBJECT && kind != elf::STT_NOTYPE {
            return None;
        }
        let section = symbol.st_shndx(endian);
        if let elf::SHN_UNDEF | elf::SHN_ABS | elf::SHN_COMMON = section {
            return None;
        }
        // Symbols of sections without addresses, such as glibc's link warnings, have other values.
        let section = file.sections().get(usize::from(section.0));
        if section.is_some_and(|section| !section.is_mapped()) {
            return None;
        }
        let machine = elf::Machine(file.header.machine.0);
        let name = symbol.st_name(endian);
        let first = names.get(name as usize..)?;
        if first.first().is_none_or(|&b| b == 0) {
            return None;
        }
        if kind == elf::STT_NOTYPE && bind == elf::STB_LOCAL && is_mapping_symbol(first, machine) {
            return None;
        }
        let mut start: u64 = symbol.st_value(endian).into();
        if machine == elf::EM_ARM && is_function {
            start &= !1; // set for Thumb code
        }
        let size: u64 = symbol.st_size(endian).into();
        let underscores = first.iter().take(15).take_while(|&&b| b == b'_').count() as u8;
        let rank = u8::from(kind != elf::STT_NOTYPE) << 6
            | u8::from(bind != elf::STB_LOCAL) << 5
            | (15 - underscores) << 1
            | u8::from(bind != elf::STB_WEAK);
        let end = start.saturating_add(size);
        Some(Entry { start, end, reach: 0, name, has_size: size > 0, rank })
    }
}

/// Whether `name` is a mapping symbol (`$a`, `$t`, `$x`, `$d`, alone or with a suffix), which marks
/// code and data for disassemblers (ELF for the Arm Architecture 5.5.5; RISC-V psABI).
fn is_mapping_symbol(name: &[u8], machine: elf::Machine) -> bool {
    matches!(machine, elf::EM_ARM | elf::EM_AARCH64 | elf::EM_RISCV)
        && matches!(name, [b'$', b'a' | b'd' | b't' | b'x', ..])
}
