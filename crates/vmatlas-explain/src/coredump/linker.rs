//! File names from the list of the dynamic linker, for cores without `NT_FILE`.

use super::files::MappedFiles;
use super::headers_in_memory::ProgramHeader;
use super::{CoreDump, ReadAt};
use object::elf;
use std::collections::HashSet;
use vmatlas_maps::AddressRange;
use vmatlas_maps::uapi::auxvec::{AT_EXECFN, AT_PHDR, AT_PHNUM};
use vmatlas_object::Memory as _;

/// Maximum number of libraries to follow.
const MAX: usize = 4096;
/// Maximum number of rows to name.
const MAX_ROWS: usize = 1 << 16;
/// Maximum length of a path in bytes (`PATH_MAX`).
const MAX_NAME: usize = 4096;
/// Maximum number of entries in a dynamic section.
const MAX_ENTRIES: u64 = 1024;

impl<S: ReadAt> CoreDump<S> {
    /// The mappings of the program and its libraries, from their headers and the dynamic linker's
    /// list (`struct r_debug` and `struct link_map`, link.h of glibc and musl). A path is the one
    /// that the linker opened, so it may contain symbolic links.
    pub(super) fn files_of_linker(&self) -> MappedFiles {
        let mut found = Found { core: self, seen: HashSet::new(), rows: Vec::new() };
        let _ = found.program();
        MappedFiles::of(found.rows, self.page_size())
    }
}

struct Found<'a, S> {
    core: &'a CoreDump<S>,
    /// The visited images, because a list may be circular.
    seen: HashSet<u64>,
    rows: Vec<(AddressRange, u64, Vec<u8>)>,
}

impl<S: ReadAt> Found<'_, S> {
    fn program(&mut self) -> Option<()> {
        let core = self.core;
        let table = core.auxv.get(AT_PHDR)?;
        let count = usize::try_from(core.auxv.get(AT_PHNUM)?).ok()?;
        let headers = core.program_headers(table, count)?;
        let of_kind = |kind| headers.iter().find(|header| header.kind == kind);
        // A program that is not relocated need not have PT_PHDR.
        let own = of_kind(elf::PT_PHDR);
        let bias = own.map_or(0, |header| table.wrapping_sub(header.vaddr));
        if let Some(name) = core.auxv.get(AT_EXECFN).and_then(|address| self.text(address)) {
            self.image(bias, &headers, &name);
        }
        let dynamic = bias.wrapping_add(of_kind(elf::PT_DYNAMIC)?.vaddr);
        let word = core.layout.word as u64;
        let entry = |index: u64| {
            let at = dynamic.checked_add(index * 2 * word)?;
            Some((core.word_at(at)?, core.word_at(at.checked_add(word)?)?))
        };
        let entries = (0..MAX_ENTRIES).map_while(entry).take_while(|(tag, _)| *tag != 0);
        let (_, debug) = entries.into_iter().find(|(tag, _)| *tag == elf::DT_DEBUG.0 as u64)?;
        self.libraries(core.word_at(debug.checked_add(word)?)?)
    }

    /// Walks the list. Each entry has the bias, the name, the dynamic section and the next entry.
    fn libraries(&mut self, first: u64) -> Option<()> {
        let (core, mut entry) = (self.core, first);
        for _ in 0..MAX {
            let field =
                |index: u64| core.word_at(entry.checked_add(index * core.layout.word as u64)?);
            let (bias, name, next) = (field(0)?, field(1)?, field(3)?);
            if let (Some(name), Some(headers)) = (self.text(name), core.image_headers(bias)) {
                self.image(bias, &headers, &name);
            }
            entry = next;
        }
        Some(())
    }

    /// Names the mapped parts of the image's segments.
    fn image(&mut self, bias: u64, headers: &[ProgramHeader], name: &[u8]) {
        if name.first() != Some(&b'/') || !self.seen.insert(bias) {
            return;
        }
        let page = !self.core.page_size().saturating_sub(1);
        for header in headers.iter().filter(|h| h.kind == elf::PT_LOAD && h.file_size > 0) {
            let start = bias.wrapping_add(header.vaddr);
            let Some(end) = start.checked_add(header.file_size) else { continue };
            let (start, end) = (start & page, end.saturating_add(!page) & page);
            let segments = &self.core.segments;
            let first = segments.partition_point(|segment| segment.range.end <= start);
            let segments = segments.get(first..).unwrap_or_default();
            for segment in segments.iter().take_while(|segment| segment.range.start < end) {
                if self.rows.len() == MAX_ROWS {
                    return;
                }
                let from = segment.range.start.max(start);
                let range = AddressRange::new(from, segment.range.end.min(end));
                let offset = (header.offset & page).wrapping_add(from - start);
                self.rows.push((range, offset, name.to_vec()));
            }
        }
    }

    /// Reads the NUL-terminated text at an address.
    fn text(&self, address: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; MAX_NAME];
        let count = self.core.read(address, &mut bytes);
        bytes.truncate(memchr::memchr(0, bytes.get(..count)?)?);
        Some(bytes)
    }
}
