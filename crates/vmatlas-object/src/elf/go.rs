//! Functions and lines of Go programs, including stripped ones.

use crate::Lease;
use crate::pclntab::Pclntab;

use super::{CodeFrame, ElfError, ElfFile, SectionType, SourceLocation, Vaddr};

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

    fn go_table(&self) -> Result<Option<Table>, ElfError> {
        // A PIE stores the table in relocated data.
        let names = [".gopclntab", ".data.rel.ro.gopclntab"];
        let mut sections = self.sections().iter();
        let Some(section) =
            sections.find(|s| names.contains(&s.name.as_str()) && s.kind != SectionType::NOBITS)
        else {
            return Ok(None);
        };
        self.input.check(".gopclntab", section.offset, section.size, LIMIT)?;
        let lease = self.input.budget.take(".gopclntab", section.size)?;
        let bytes = self.input.read(".gopclntab", section.offset, section.size, LIMIT)?;
        let text = self.sections().iter().find(|s| s.name == ".text").map_or(0, |text| text.addr);
        let header = Pclntab::parse(&bytes, text)
            .map_err(|error| ElfError::malformed(".gopclntab", error.to_string()))?;
        Ok(Some(Table { header, bytes, _lease: lease }))
    }
}
