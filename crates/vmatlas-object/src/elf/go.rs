//! Functions and lines of Go programs, including stripped ones.

use crate::Lease;
use crate::pclntab::Pclntab;

use super::{
    CodeFrame, ElfError, ElfFile, Section, SectionType, SegmentFlags, SourceLocation, Vaddr,
};

/// Large Go programs have some 50 MiB.
const LIMIT: u64 = 512 << 20;

pub(super) struct Table {
    header: Pclntab,
    bytes: Vec<u8>,
    _lease: Lease,
}

impl ElfFile {
    /// The Go function that contains `vaddr`, from `.gopclntab`, which `strip` keeps (Go 1.16 and
    /// later). `None` if the file has no such table or the code is not Go's. For inlined code, file
    /// and line are those of the inlined function.
    ///
    /// # Errors
    ///
    /// If the table is damaged or larger than 512 MiB.
    pub fn go_frame_at(&self, vaddr: Vaddr) -> Result<Option<CodeFrame>, ElfError> {
        let table = match self.go.get_or_init(|| self.go_table()) {
            Ok(Some(table)) => table,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.clone()),
        };
        let found = table.header.find(&table.bytes, vaddr.get());
        let found = found.map_err(|e| ElfError::malformed(".gopclntab", e.to_string()))?;
        Ok(found.map(|function| CodeFrame {
            name: Some(function.name.to_vec()),
            vaddr: Some(function.start),
            source: function.source.map(|(file, line)| SourceLocation {
                file: String::from_utf8_lossy(file).into_owned().into(),
                line: Some(line),
            }),
        }))
    }

    /// The version of Go that made this program or library, such as `1.26.5`, from `.go.buildinfo`
    /// (Go 1.18 and later; debug/buildinfo of Go's library). `None` if the file does not state it.
    pub fn go_version(&self) -> Option<String> {
        const MAGIC: &[u8] = b"\xff Go buildinf:";
        /// Offset of the version's length, a varint.
        const LENGTH: usize = 32;
        /// The flag for text that follows, instead of pointers to it.
        const INLINE: u8 = 2;
        let mut sections = self.sections().iter();
        let section = sections.find(|s| s.name == ".go.buildinfo" && s.kind != SectionType::NOBITS);
        // Without that section it is at the start of the variables.
        let data = || self.segments().iter().find(|s| s.flags.contains(SegmentFlags::WRITE));
        let place = section.map(|section| (section.offset, section.size.min(256)));
        let place = place.or_else(|| data().map(|data| (data.offset, data.filesz.min(1 << 20))));
        let (offset, size) = place.filter(|_| self.go_section().is_some() || section.is_some())?;
        let bytes = self.input.read(".go.buildinfo", offset, size, size).ok()?;
        let start = memchr::memmem::find(&bytes, MAGIC)?;
        let bytes = bytes.get(start..)?;
        let flags = *bytes.get(MAGIC.len() + 1)?;
        let length = usize::from(*bytes.get(LENGTH)?);
        if !bytes.starts_with(MAGIC) || flags & INLINE == 0 || length >= 128 {
            return None;
        }
        let text = bytes.get(LENGTH + 1..LENGTH + 1 + length)?;
        let text = std::str::from_utf8(text).ok()?;
        // Experiments and vendors add words, such as `go1.26.0 X:nodwarf5`.
        let version = text.strip_prefix("go")?.split(|c: char| !c.is_ascii_digit() && c != '.');
        version.into_iter().next().map(str::to_owned).filter(|version| !version.is_empty())
    }

    /// Whether this Go program contains functions that map memory for the program itself, as the
    /// packages `syscall` and `golang.org/x/sys/unix` have them; `None` if its table of functions
    /// cannot be read, or is larger than 64 MiB.
    pub fn go_calls_mmap(&self) -> Option<bool> {
        const LIMIT: u64 = 64 << 20;
        const NAMES: [&[u8]; 2] = [b"syscall.mmap\0", b"/unix.mmap\0"];
        let section = self.go_section()?;
        let bytes = self.input.read(".gopclntab", section.offset, section.size, LIMIT).ok()?;
        Some(NAMES.iter().any(|name| memchr::memmem::find(&bytes, name).is_some()))
    }

    fn go_section(&self) -> Option<&Section> {
        // A PIE stores the table in relocated data.
        let names = [".gopclntab", ".data.rel.ro.gopclntab"];
        let mut sections = self.sections().iter();
        sections.find(|s| names.contains(&s.name.as_str()) && s.kind != SectionType::NOBITS)
    }

    fn go_table(&self) -> Result<Option<Table>, ElfError> {
        let Some(section) = self.go_section() else { return Ok(None) };
        self.input.check(".gopclntab", section.offset, section.size, LIMIT)?;
        let lease = self.input.budget.take(".gopclntab", section.size)?;
        let bytes = self.input.read(".gopclntab", section.offset, section.size, LIMIT)?;
        let text = self.sections().iter().find(|s| s.name == ".text").map_or(0, |text| text.addr);
        let header = Pclntab::parse(&bytes, text)
            .map_err(|error| ElfError::malformed(".gopclntab", error.to_string()))?;
        Ok(Some(Table { header, bytes, _lease: lease }))
    }
}
