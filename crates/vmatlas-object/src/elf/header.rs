//! The ELF header, program headers and section headers, of either class and byte order.

use object::{
    Endianness, elf, pod,
    read::elf::{FileHeader, ProgramHeader, SectionHeader},
};

use crate::Lease;

use super::{
    ElfError, Machine, Section, SectionType, Segment, SegmentFlags, SegmentType,
    input::{Input, until_nul},
};

pub(super) type Elf32 = elf::FileHeader32<Endianness>;
pub(super) type Elf64 = elf::FileHeader64<Endianness>;

/// The kernel refuses a program with more (`load_elf_phdrs` in fs/binfmt_elf.c).
const MAX_SEGMENTS: u64 = 65536;
/// 131072 headers of 64 bytes. A program has some 40; one compiled with a section per function has
/// a few thousand.
const MAX_SECTIONS: u64 = 8 << 20;
const MAX_SECTION_NAMES: u64 = 16 << 20;
const MAX_SECTION_NAME: usize = 255;

/// 32-bit or 64-bit: `EI_CLASS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Elf32,
    Elf64,
}

#[derive(Debug)]
pub(super) struct Header {
    pub(super) class: Class,
    pub(super) endian: Endianness,
    pub(super) e_type: u16,
    pub(super) machine: Machine,
    pub(super) entry: u64,
    pub(super) segments: Vec<Segment>,
    pub(super) sections: Vec<Section>,
    /// The memory of `sections`.
    _lease: Option<Lease>,
}

/// Reads the tables; `None` if the input is not ELF. Errors in the section headers go to `damage`:
/// a program runs without them, and they are at the end of the file, so truncation hits them first.
pub(super) fn read(input: &Input, damage: &mut Vec<ElfError>) -> Result<Option<Header>, ElfError> {
    const PLACE: &str = "ELF header";
    let start = input.read(PLACE, 0, input.size().min(size_of::<Elf64>() as u64), u64::MAX)?;
    if !start.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    match start.get(4).map(|&class| elf::FileClass(class)) {
        Some(elf::ELFCLASS32) => parse::<Elf32>(input, &start, Class::Elf32, damage).map(Some),
        Some(elf::ELFCLASS64) => parse::<Elf64>(input, &start, Class::Elf64, damage).map(Some),
        Some(class) => Err(ElfError::malformed(PLACE, format!("{class} is no class of ELF file"))),
        None => Err(ElfError::malformed(PLACE, "the file ends in it")),
    }
}

fn parse<Elf: FileHeader<Endian = Endianness>>(
    input: &Input,
    start: &[u8],
    class: Class,
    damage: &mut Vec<ElfError>,
) -> Result<Header, ElfError> {
    let header = Elf::parse(start).map_err(|e| ElfError::malformed("ELF header", e.to_string()))?;
    let endian = header.endian().map_err(|e| ElfError::malformed("ELF header", e.to_string()))?;
    let (sections, lease) = match sections(input, header, endian) {
        Ok((sections, lease)) => (sections, Some(lease)),
        Err(error) => {
            damage.push(error);
            (Vec::new(), None)
        }
    };
    Ok(Header {
        class,
        endian,
        e_type: header.e_type(endian).0,
        machine: Machine(header.e_machine(endian).0),
        entry: header.e_entry(endian).into(),
        segments: segments(input, header, endian)?,
        sections,
        _lease: lease,
    })
}

fn segments<Elf: FileHeader<Endian = Endianness>>(
    input: &Input,
    header: &Elf,
    endian: Endianness,
) -> Result<Vec<Segment>, ElfError> {
    const PLACE: &str = "program header table";
    let (offset, count) = (header.e_phoff(endian).into(), header.e_phnum(endian));
    if offset == 0 || count == 0 {
        return Ok(Vec::new());
    }
    let entry_size = size_of::<Elf::ProgramHeader>();
    if usize::from(header.e_phentsize(endian)) != entry_size {
        return Err(ElfError::malformed(PLACE, "e_phentsize is not the size of a program header"));
    }
    // PN_XNUM (more than 65534 headers, in core dumps) exceeds the limit as well.
    let bytes = input.read(PLACE, offset, u64::from(count) * entry_size as u64, MAX_SEGMENTS)?;
    let segment = |(index, p): (usize, &Elf::ProgramHeader)| Segment {
        index,
        kind: SegmentType(p.p_type(endian).0),
        flags: SegmentFlags(p.p_flags(endian).0),
        offset: p.p_offset(endian).into(),
        vaddr: p.p_vaddr(endian).into(),
        filesz: p.p_filesz(endian).into(),
        memsz: p.p_memsz(endian).into(),
        align: p.p_align(endian).into(),
    };
    Ok(table::<Elf::ProgramHeader>(&bytes).iter().enumerate().map(segment).collect())
}

fn sections<Elf: FileHeader<Endian = Endianness>>(
    input: &Input,
    header: &Elf,
    endian: Endianness,
) -> Result<(Vec<Section>, Lease), ElfError> {
    const PLACE: &str = "section header table";
    let offset: u64 = header.e_shoff(endian).into();
    if offset == 0 {
        return Ok((Vec::new(), input.budget.take(PLACE, 0)?));
    }
    let entry_size = size_of::<Elf::SectionHeader>() as u64;
    if u64::from(header.e_shentsize(endian)) != entry_size {
        return Err(ElfError::malformed(PLACE, "e_shentsize is not the size of a section header"));
    }
    // The null section holds the numbers that do not fit into the ELF header.
    let bytes = input.read(PLACE, offset, entry_size, MAX_SECTIONS)?;
    let null = &table::<Elf::SectionHeader>(&bytes)[0];
    let count = match header.e_shnum(endian) {
        0 => null.sh_size(endian).into(),
        count => count.into(),
    };
    let bytes = input.read(PLACE, offset, count.saturating_mul(entry_size), MAX_SECTIONS)?;
    // Most names have some 15 bytes.
    let size = count.saturating_mul(size_of::<Section>() as u64 + 32);
    let lease = input.budget.take(PLACE, size)?;
    let names_index = match header.e_shstrndx(endian) {
        elf::SHN_XINDEX => null.sh_link(endian),
        index => index.0.into(),
    };
    let headers = table::<Elf::SectionHeader>(&bytes);
    let names = match headers.get(names_index as usize) {
        Some(s) if names_index != 0 => {
            let (offset, size) = (s.sh_offset(endian).into(), s.sh_size(endian).into());
            input.read("section name table", offset, size, MAX_SECTION_NAMES)?
        }
        _ => Vec::new(),
    };
    let section = |(index, s): (usize, &Elf::SectionHeader)| {
        let name = names.get(s.sh_name(endian) as usize..).unwrap_or_default();
        let name = until_nul(&name[..name.len().min(MAX_SECTION_NAME)]);
        Section {
            index,
            name: String::from_utf8_lossy(name).into_owned(),
            kind: SectionType(s.sh_type(endian).0),
            flags: s.sh_flags(endian).0,
            addr: s.sh_addr(endian).into(),
            offset: s.sh_offset(endian).into(),
            size: s.sh_size(endian).into(),
            link: s.sh_link(endian),
            align: s.sh_addralign(endian).into(),
        }
    };
    Ok((headers.iter().enumerate().map(section).collect(), lease))
}

/// Casts `bytes` to a table of `T`, without a truncated last entry. The types of `object` have
/// alignment 1.
pub(super) fn table<T: pod::Pod>(bytes: &[u8]) -> &[T] {
    let whole = bytes.len() / size_of::<T>();
    pod::slice_from_bytes(bytes, whole).map_or(&[], |(table, _)| table)
}
