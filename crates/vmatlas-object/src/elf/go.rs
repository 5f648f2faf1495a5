//! Functions and lines of Go programs, stripped or not.

use crate::pclntab::Pclntab;

use super::{ElfError, ElfFile, SectionType, SourceLocation};

/// Large Go programs have some 50 MiB.
const LIMIT: u64 = 512 << 20;

/// A Go function that an address belongs to, by `.gopclntab`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GoFrame {
    /// Its name, as `main.(*T).Method`.
    pub name: String,
    /// The vaddr it begins at.
    pub vaddr: u64,
    /// File and line of the address; where a function was inlined, that one's.
    pub source: Option<SourceLocation>,
}

pub(super) struct Table {
    header: Pclntab,
    bytes: Vec<u8>,
}

impl ElfFile {
    /// The Go function that `vaddr` belongs to, from the table that the Go runtime needs and `strip`
    /// leaves (Go 1.16 and later). `None` where there is no such table, and for code that is not
    /// Go's.
    ///
    /// # Errors
    ///
    /// Where the table is damaged.
    pub fn go_frame_at(&self, vaddr: u64) -> Result<Option<GoFrame>, ElfError> {
        let table = match self.go.get_or_init(|| self.go_table()) {
            Ok(Some(table)) => table,
            Ok(None) => return Ok(None),
            Err(error) => return Err(error.clone()),
        };
        let found = table.header.find(&table.bytes, vaddr);
        let found = found.map_err(|e| ElfError::malformed(".gopclntab", e.to_string()))?;
        Ok(found.map(|function| GoFrame {
            name: String::from_utf8_lossy(function.name).into_owned(),
            vaddr: function.start,
            source: function.source.map(|(file, line)| SourceLocation {
                file: String::from_utf8_lossy(file).into_owned().into(),
                line: Some(line),
            }),
        }))
    }

    /// How many bytes of the table are in memory.
    pub(super) fn go_size(&self) -> u64 {
        match self.go.get() {
            Some(Ok(Some(table))) => table.bytes.len() as u64,
            _ => 0,
        }
    }

    fn go_table(&self) -> Result<Option<Table>, ElfError> {
        // In a PIE it has to be relocated.
        let names = [".gopclntab", ".data.rel.ro.gopclntab"];
        let mut sections = self.sections().iter();
        let Some(section) =
            sections.find(|s| names.contains(&s.name.as_str()) && s.kind != SectionType::NOBITS)
        else {
            return Ok(None);
        };
        let bytes = self.input.read(".gopclntab", section.offset, section.size, LIMIT)?;
        let text = self.sections().iter().find(|s| s.name == ".text").map_or(0, |text| text.addr);
        let header = Pclntab::parse(&bytes, text)
            .map_err(|error| ElfError::malformed(".gopclntab", error.to_string()))?;
        Ok(Some(Table { header, bytes }))
    }
}
