//! ELF files: segments, sections, symbols, build id and source lines.
//!
//! [`ElfFile`] reads an ELF file of either class, either byte order and any machine from a
//! [`ReadAt`]. It trusts none of its contents: every read is bounded and stays inside the file, and
//! an [`ElfError`] names the damaged place. Symbols and DWARF are read on first use.
//!
//! ```
//! use vmatlas_object::elf::ElfFile;
//!
//! let bytes = std::fs::read("/proc/self/exe")?;
//! let elf = ElfFile::read(bytes)?.expect("a program is an ELF file");
//! let text = elf.section_at(elf.entry()).expect("a test program has section headers");
//! assert_eq!(text.name, ".text");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Not supported: the ELFv1 ABI of 64-bit PowerPC, where function symbols point to descriptors in
//! `.opd`; symbols of files without section headers. The tests compare with binutils.
//!
//! # References
//!
//! elf(5); System V gABI chapters 4 and 5; binutils `readelf`; GDB manual, "Separate Debug Files".

mod bias;
mod debug_data;
mod debug_file;
mod demangle;
mod dwarf;
mod dwarf_sections;
mod error;
mod facts;
mod go;
mod guard;
mod header;
mod input;
mod named;
mod path;
mod place;
mod split;
mod symbols;
mod types;

use std::{cell::OnceCell, ffi::OsStr, ops::Range};

use object::elf;

use crate::{Budget, Lease, ReadAt, Source};

pub use self::{
    bias::FileMapping,
    debug_file::build_id_path,
    demangle::demangle,
    dwarf::{CodeFrame, SourceLocation},
    error::ElfError,
    place::{FileOffset, Vaddr},
    symbols::{Symbol, SymbolSource},
    types::{ElfType, Machine, Section, SectionType, Segment, SegmentFlags, SegmentType},
};

use self::{
    debug_file::{DebugFile, OpenDebugFile},
    dwarf::Dwarf,
    facts::Dynamic,
    header::Header,
    input::Input,
    symbols::SymbolTable,
};

/// An ELF file. The headers are read at once, symbols and source lines on first use.
///
/// A `vaddr` is an address as the file has it. The address in a process is `vaddr` + [load
/// bias](ElfFile::load_bias).
pub struct ElfFile {
    input: Input,
    header: Header,
    dynamic: Dynamic,
    interpreter: Option<Vec<u8>>,
    build_id: Option<Vec<u8>>,
    damage: Vec<ElfError>,
    page_size: u64,
    path: Option<Vec<u8>>,
    open_debug_file: Box<OpenDebugFile>,
    symtab: OnceCell<Result<Option<SymbolTable>, ElfError>>,
    dynsym: OnceCell<Result<Option<SymbolTable>, ElfError>>,
    debug_file: OnceCell<Option<DebugFile>>,
    debug_data: OnceCell<Result<Option<DebugData>, ElfError>>,
    go: OnceCell<Result<Option<go::Table>, ElfError>>,
    dwarf: OnceCell<Result<Option<Dwarf>, ElfError>>,
}

/// The embedded file of `.gnu_debugdata`, and the memory of its bytes.
type DebugData = (Box<ElfFile>, Lease);

impl ElfFile {
    /// Reads the headers of an ELF file; `None` if `source` is not an ELF file.
    ///
    /// Separate debug files are opened only [`with_debug_files`](ElfFile::with_debug_files).
    ///
    /// # Errors
    ///
    /// If the source cannot be read or does not know its size, or if the ELF header or the program
    /// headers are damaged. Other damage is not an error: see [`damage`](ElfFile::damage).
    pub fn read(source: impl ReadAt + Send + 'static) -> Result<Option<ElfFile>, ElfError> {
        ElfFile::read_within(source, Budget::default())
    }

    /// Reads the headers of an ELF file, as [`read`](ElfFile::read) does. Its tables and those of
    /// its debug files take no more memory than the budget has.
    ///
    /// # Errors
    ///
    /// The same as [`read`](ElfFile::read).
    pub fn read_within(
        source: impl ReadAt + Send + 'static,
        budget: Budget,
    ) -> Result<Option<ElfFile>, ElfError> {
        ElfFile::from_input(Input::new(Box::new(source), budget)?)
    }

    /// Reads the headers of an ELF file held in memory, such as the kernel's `[vdso]`.
    ///
    /// # Errors
    ///
    /// The same as [`read`](ElfFile::read).
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Option<ElfFile>, ElfError> {
        ElfFile::read(bytes)
    }

    fn from_input(input: Input) -> Result<Option<ElfFile>, ElfError> {
        let mut damage = Vec::new();
        let Some(header) = header::read(&input, &mut damage)? else { return Ok(None) };
        let dynamic = facts::dynamic(&input, &header).unwrap_or_else(|error| {
            damage.push(error);
            Dynamic::default()
        });
        let interpreter = facts::interpreter(&input, &header).unwrap_or_else(|error| {
            damage.push(error);
            None
        });
        let build_id = facts::build_id(&input, &header);
        Ok(Some(ElfFile {
            input,
            header,
            dynamic,
            interpreter,
            build_id,
            damage,
            page_size: 4096,
            path: None,
            open_debug_file: Box::new(|_| Err(std::io::ErrorKind::NotFound.into())),
            symtab: OnceCell::new(),
            dynsym: OnceCell::new(),
            debug_file: OnceCell::new(),
            debug_data: OnceCell::new(),
            go: OnceCell::new(),
            dwarf: OnceCell::new(),
        }))
    }

    /// Sets the path of the file. A debug file named by `.gnu_debuglink` is searched relative to
    /// it; a debug file found by build id needs no path.
    #[must_use]
    pub fn with_path(mut self, path: impl AsRef<OsStr>) -> Self {
        self.path = Some(path.as_ref().as_encoded_bytes().to_vec());
        self
    }

    /// Sets the function that opens debug files, `.dwo` files and packages. It receives absolute
    /// paths if [`with_path`](ElfFile::with_path) received one.
    #[must_use]
    pub fn with_debug_files(
        mut self,
        open: impl Fn(&[u8]) -> Result<Source, std::io::Error> + Send + 'static,
    ) -> Self {
        self.open_debug_file = Box::new(open);
        self
    }

    /// Sets the page size in bytes of the machine whose maps are compared with the file. The
    /// default is 4096.
    ///
    /// # Panics
    ///
    /// If `page_size` is 0.
    #[must_use]
    pub fn with_page_size(mut self, page_size: u64) -> Self {
        assert_ne!(page_size, 0, "a page has bytes");
        self.page_size = page_size;
        self
    }

    /// The ELF type (`e_type`).
    pub fn elf_type(&self) -> ElfType {
        match elf::FileType(self.header.e_type) {
            elf::ET_REL => ElfType::Rel,
            elf::ET_EXEC => ElfType::Exec,
            elf::ET_DYN if self.dynamic.is_pie => ElfType::Pie,
            elf::ET_DYN => ElfType::Dyn,
            elf::ET_CORE => ElfType::Core,
            elf::FileType(other) => ElfType::Other(other),
        }
    }

    /// The machine (`e_machine`).
    pub fn machine(&self) -> Machine {
        self.header.machine
    }

    /// The size of an address in bits, 32 or 64 (`EI_CLASS`).
    pub fn word_size(&self) -> u32 {
        match self.header.class {
            header::Class::Elf32 => 32,
            header::Class::Elf64 => 64,
        }
    }

    /// Whether the file is big-endian (`EI_DATA`).
    pub fn is_big_endian(&self) -> bool {
        self.header.endian == object::Endianness::Big
    }

    /// `e_entry`: the entry point, 0 if there is none.
    pub fn entry(&self) -> Vaddr {
        Vaddr::new(self.header.entry)
    }

    /// The build id as bytes; `None` if the file has none.
    pub fn build_id_bytes(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// The path of the dynamic linker (`PT_INTERP`); `None` if there is none.
    pub fn interpreter(&self) -> Option<&[u8]> {
        self.interpreter.as_deref()
    }

    /// The name under which other files need this shared object (`DT_SONAME`).
    pub fn soname(&self) -> Option<&[u8]> {
        self.dynamic.soname.as_deref()
    }

    /// The build id (the GNU note `NT_GNU_BUILD_ID`) as lower-case hexadecimal digits, as `readelf
    /// -n` shows it.
    pub fn build_id(&self) -> Option<String> {
        self.build_id.as_deref().map(hex)
    }

    /// The vaddr range that the dynamic linker makes read-only after relocation (`PT_GNU_RELRO`).
    pub fn relro(&self) -> Option<Range<u64>> {
        let relro = self.segments().iter().find(|s| s.kind == SegmentType::GNU_RELRO)?;
        Some(relro.vaddr_range())
    }

    /// Whether the dynamic linker resolves all symbols when it loads the file (`DF_BIND_NOW`), so that
    /// the table of functions can be read-only, too.
    pub fn binds_now(&self) -> bool {
        self.dynamic.binds_now
    }

    /// Whether the dynamic linker writes into the code of the file (`DT_TEXTREL`).
    pub fn relocates_text(&self) -> bool {
        self.dynamic.relocates_text
    }

    /// Whether the file asks for an executable stack (`PT_GNU_STACK`); `None` if it does not say.
    pub fn wants_executable_stack(&self) -> Option<bool> {
        let stack = self.segments().iter().find(|s| s.kind == SegmentType::GNU_STACK)?;
        Some(stack.flags.contains(SegmentFlags::EXECUTE))
    }

    /// The protections that all code of the file supports: the bits of
    /// `GNU_PROPERTY_X86_FEATURE_1_AND` (1 IBT, 2 shadow stack) or of
    /// `GNU_PROPERTY_AARCH64_FEATURE_1_AND` (1 BTI, 2 PAC), 0 without the note.
    pub fn protections(&self) -> u32 {
        facts::protections(&self.input, &self.header)
    }

    /// The parts that could not be read when the file was opened, such as the section headers of a
    /// truncated file. The other methods return no data from these parts.
    pub fn damage(&self) -> &[ElfError] {
        &self.damage
    }

    /// The program headers in file order, as `readelf -l` shows them.
    pub fn segments(&self) -> &[Segment] {
        &self.header.segments
    }

    /// The section headers, starting with the null section, as `readelf -S` shows them; empty if
    /// they are stripped.
    pub fn sections(&self) -> &[Section] {
        &self.header.sections
    }

    /// The LOAD segment that contains `vaddr`; otherwise the LOAD segment whose pages contain it,
    /// because mappings cover whole pages.
    pub fn segment_at(&self, vaddr: Vaddr) -> Option<&Segment> {
        let loads = || self.segments().iter().filter(|s| s.kind == SegmentType::LOAD);
        loads().find(|s| s.vaddr_range().contains(&vaddr.get())).or_else(|| {
            loads().find(|s| {
                let range = s.vaddr_range();
                (self.page_floor(range.start)..self.page_ceil(range.end)).contains(&vaddr.get())
            })
        })
    }

    /// The LOAD segment that contains the file byte at `offset`. This is exact to the byte, even in
    /// a page that two segments share.
    pub fn segment_at_offset(&self, offset: FileOffset) -> Option<&Segment> {
        let mut segments = self.segments().iter();
        segments.find(|s| s.kind == SegmentType::LOAD && s.file_range().contains(&offset.get()))
    }

    /// Reads exactly `size` bytes of the file at `offset`; an error if `size` exceeds `limit`.
    pub(crate) fn bytes(&self, offset: u64, size: u64, limit: u64) -> Result<Vec<u8>, ElfError> {
        self.input.read("part", offset, size, limit)
    }

    /// The section that contains `vaddr` in memory, including `.bss`.
    pub fn section_at(&self, vaddr: Vaddr) -> Option<&Section> {
        let mut sections = self.sections().iter();
        sections.find(|s| s.is_mapped() && s.vaddr_range().contains(&vaddr.get()))
    }

    /// Reads `size` bytes of the file.
    ///
    /// # Errors
    ///
    /// If they are not all in the file, cannot be read, or are more than 64 MiB.
    pub fn bytes_at(&self, offset: FileOffset, size: u64) -> Result<Vec<u8>, ElfError> {
        /// Callers that want more read in pieces.
        const LIMIT: u64 = 64 << 20;
        self.input.read("bytes", offset.get(), size, LIMIT)
    }

    /// The section that contains the file byte at `offset`, including sections that are never
    /// mapped.
    pub fn section_at_offset(&self, offset: FileOffset) -> Option<&Section> {
        self.sections().iter().find(|s| s.file_range().contains(&offset.get()))
    }
}

impl std::fmt::Debug for ElfFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ElfFile")
            .field("path", &self.path.as_deref().map(String::from_utf8_lossy))
            .field("type", &self.elf_type())
            .field("machine", &format_args!("{}", self.machine()))
            .field("build_id", &self.build_id())
            .finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
