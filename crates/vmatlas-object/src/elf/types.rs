//! The parts of an ELF file, named as in elf(5).

use std::{fmt, ops::Range};

use object::elf;

/// The type of an ELF file: `e_type` of the ELF header, with a separate value for
/// position-independent executables.
///
/// A PIE is an `ET_DYN` file whose `DT_FLAGS_1` has `DF_1_PIE`, as in `readelf -h`. Older linkers
/// did not set the flag; their PIEs have the type [`Dyn`](ElfType::Dyn).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElfType {
    /// `ET_REL`: a relocatable object, `.o` or `.ko`.
    Rel,
    /// `ET_EXEC`: an executable at fixed addresses.
    Exec,
    /// `ET_DYN`: a shared object.
    Dyn,
    /// `ET_DYN` with `DF_1_PIE`: a position-independent executable.
    Pie,
    /// `ET_CORE`: a core dump.
    Core,
    /// Any other value.
    Other(u16),
}

impl fmt::Display for ElfType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ElfType::Rel => f.pad("REL"),
            ElfType::Exec => f.pad("EXEC"),
            ElfType::Dyn => f.pad("DYN"),
            ElfType::Pie => f.pad("PIE"),
            ElfType::Core => f.pad("CORE"),
            ElfType::Other(value) => write!(f, "{value:#x}"),
        }
    }
}

/// The machine of a file: `e_machine` of the ELF header; shown by its name in elf(5) without `EM_`,
/// such as `X86_64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine(pub u16);

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name_or_hex(f, elf::Machine(self.0).name(), "EM_", self.0.into())
    }
}

/// The type of a segment: `p_type` of a program header; shown as in `readelf -l`, such as `LOAD` or
/// `GNU_RELRO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentType(pub u32);

impl SegmentType {
    /// `PT_LOAD`: mapped into memory by the kernel or the dynamic linker.
    pub const LOAD: SegmentType = SegmentType(1);
    /// `PT_DYNAMIC`: the dynamic linker's table.
    pub const DYNAMIC: SegmentType = SegmentType(2);
    /// `PT_INTERP`: the path of the dynamic linker.
    pub const INTERP: SegmentType = SegmentType(3);
    /// `PT_NOTE`: notes, among them the build id.
    pub const NOTE: SegmentType = SegmentType(4);
    /// `PT_GNU_STACK`: whether the stack is executable.
    pub const GNU_STACK: SegmentType = SegmentType(0x6474_e551);
    /// `PT_GNU_RELRO`: made read-only once relocations are done.
    pub const GNU_RELRO: SegmentType = SegmentType(0x6474_e552);
}

impl fmt::Display for SegmentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name_or_hex(f, elf::ProgramType(self.0).name(), "PT_", self.0.into())
    }
}

/// The access that a segment permits: `p_flags` of a program header; shown as `R E`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SegmentFlags(pub u32);

impl SegmentFlags {
    /// `PF_X`.
    pub const EXECUTE: SegmentFlags = SegmentFlags(1);
    /// `PF_W`.
    pub const WRITE: SegmentFlags = SegmentFlags(2);
    /// `PF_R`.
    pub const READ: SegmentFlags = SegmentFlags(4);

    /// The flags that correspond to these permissions.
    pub fn new(read: bool, write: bool, execute: bool) -> Self {
        SegmentFlags(u32::from(read) << 2 | u32::from(write) << 1 | u32::from(execute))
    }

    /// Whether all flags of `other` are set.
    pub fn contains(self, other: SegmentFlags) -> bool {
        self.0 & other.0 == other.0
    }
}

impl fmt::Display for SegmentFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = |flag, letter| if self.contains(flag) { letter } else { ' ' };
        let letters: String =
            [letter(Self::READ, 'R'), letter(Self::WRITE, 'W'), letter(Self::EXECUTE, 'E')]
                .iter()
                .collect();
        f.pad(letters.trim_end())
    }
}

/// One program header without `p_paddr`. Addresses are the file's, without load bias.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Index in the table of program headers, from 0.
    pub index: usize,
    /// `p_type`.
    pub kind: SegmentType,
    /// `p_flags`.
    pub flags: SegmentFlags,
    /// `p_offset`: offset in bytes in the file.
    pub offset: u64,
    /// `p_vaddr`: address in memory.
    pub vaddr: u64,
    /// `p_filesz`: size in the file, in bytes.
    pub filesz: u64,
    /// `p_memsz`: size in memory, in bytes; the bytes beyond `filesz` are zero, as in `.bss`.
    pub memsz: u64,
    /// `p_align`: alignment in bytes.
    pub align: u64,
}

impl Segment {
    /// `[p_vaddr, p_vaddr + p_memsz)`.
    pub fn vaddr_range(&self) -> Range<u64> {
        self.vaddr..self.vaddr.saturating_add(self.memsz)
    }

    /// `[p_offset, p_offset + p_filesz)`.
    pub fn file_range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.filesz)
    }
}

/// The type of a section: `sh_type` of a section header; shown by its name in elf(5) without
/// `SHT_`, such as `PROGBITS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SectionType(pub u32);

impl SectionType {
    /// `SHT_SYMTAB`: the symbols for linkers and debuggers.
    pub const SYMTAB: SectionType = SectionType(2);
    /// `SHT_STRTAB`: strings.
    pub const STRTAB: SectionType = SectionType(3);
    /// `SHT_NOTE`: notes.
    pub const NOTE: SectionType = SectionType(7);
    /// `SHT_NOBITS`: zeroes in memory and nothing in the file, as for `.bss`. In a debug file,
    /// every section of the program itself.
    pub const NOBITS: SectionType = SectionType(8);
    /// `SHT_DYNSYM`: the symbols for the dynamic linker.
    pub const DYNSYM: SectionType = SectionType(11);
    /// `SHT_GNU_HASH`: the hash table of the dynamic symbols.
    pub const GNU_HASH: SectionType = SectionType(0x6fff_fff6);
}

impl fmt::Display for SectionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        name_or_hex(f, elf::SectionType(self.0).name(), "SHT_", self.0.into())
    }
}

/// One section header. Addresses are the file's, without load bias.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// Index in the table of section headers; 0 is the null section.
    pub index: usize,
    /// The name, such as `.text`. Invalid UTF-8 is replaced, and a name over 255 bytes is
    /// truncated.
    pub name: String,
    /// `sh_type`.
    pub kind: SectionType,
    /// `sh_flags`.
    pub flags: u64,
    /// `sh_addr`: address in memory, 0 if the section is not loaded.
    pub addr: u64,
    /// `sh_offset`: offset in bytes in the file.
    pub offset: u64,
    /// `sh_size`: size in bytes, in memory and (unless `NOBITS`) in the file.
    pub size: u64,
    /// `sh_link`: index of the associated section; for symbols, the section of their names.
    pub link: u32,
    /// `sh_addralign`: alignment in bytes.
    pub align: u64,
}

impl Section {
    /// Whether the section has its own addresses in memory: `SHF_ALLOC`, and not `.tbss`, which
    /// occupies no memory at its `sh_addr`.
    pub fn is_mapped(&self) -> bool {
        let tbss = self.kind == SectionType::NOBITS && self.has(elf::SHF_TLS);
        self.has(elf::SHF_ALLOC) && !tbss
    }

    /// `[sh_addr, sh_addr + sh_size)`.
    pub fn vaddr_range(&self) -> Range<u64> {
        self.addr..self.addr.saturating_add(self.size)
    }

    /// The range of its bytes in the file; empty for `NOBITS`.
    pub fn file_range(&self) -> Range<u64> {
        let size = if self.kind == SectionType::NOBITS { 0 } else { self.size };
        self.offset..self.offset.saturating_add(size)
    }

    pub(super) fn has(&self, flag: elf::SectionFlags) -> bool {
        self.flags & flag.0 != 0
    }
}

fn name_or_hex(
    f: &mut fmt::Formatter<'_>,
    name: Option<&str>,
    prefix: &str,
    value: u64,
) -> fmt::Result {
    match name {
        Some(name) => f.pad(name.strip_prefix(prefix).unwrap_or(name)),
        None => f.pad(&format!("{value:#x}")),
    }
}
