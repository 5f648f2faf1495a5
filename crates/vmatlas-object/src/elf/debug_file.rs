//! Separate debug files, which have the symbols and source lines of stripped files.

use std::{cell::OnceCell, ffi::OsStr};

use super::{ElfFile, hex, input::until_nul, path};
use crate::{ReadAt, Source};

/// Opens a debug file by its path.
pub(super) type OpenDebugFile = dyn Fn(&[u8]) -> Result<Source, std::io::Error> + Send;

/// The directory in which distributions install debug files.
const DEBUG_DIR: &str = "/usr/lib/debug";
/// Larger debug files are not checksummed, because that would take seconds.
const MAX_CHECKSUM: u64 = 4 << 30;

pub(super) struct DebugFile {
    pub(super) path: Vec<u8>,
    pub(super) elf: Box<ElfFile>,
}

/// `.gnu_debuglink`: the name of a debug file and the CRC-32 of its bytes.
struct DebugLink {
    name: Vec<u8>,
    crc32: u32,
}

impl ElfFile {
    /// The separate debug file of this file, searched once: by build id, then by `.gnu_debuglink`.
    pub(super) fn debug_file(&self) -> Option<&DebugFile> {
        self.debug_file
            .get_or_init(|| self.debug_file_by_build_id().or_else(|| self.debug_file_by_link()))
            .as_ref()
    }

    /// Sets a debug file that the caller found. It is accepted only if it has this file's build id
    /// and no other debug file is known; returns whether it was accepted.
    pub fn give_debug_file(
        &mut self,
        path: impl AsRef<OsStr>,
        source: impl ReadAt + Send + 'static,
    ) -> bool {
        if self.debug_file().is_some() {
            return false;
        }
        let budget = self.input.budget.clone();
        let Ok(Some(elf)) = ElfFile::read_within(source, budget) else { return false };
        if elf.build_id.is_none() || elf.build_id != self.build_id {
            return false;
        }
        let path = path.as_ref().as_encoded_bytes().to_vec();
        self.debug_file = OnceCell::from(Some(DebugFile { path, elf: Box::new(elf) }));
        self.dwarf = OnceCell::new();
        true
    }

    /// The path of `elf`, which is this file or its debug file.
    pub(super) fn debug_file_path(&self, elf: &ElfFile) -> Option<&[u8]> {
        match self.debug_file.get() {
            Some(Some(debug)) if std::ptr::eq(&*debug.elf, elf) => Some(&debug.path),
            _ => self.path.as_deref(),
        }
    }

    fn debug_file_by_build_id(&self) -> Option<DebugFile> {
        let path = build_id_path(self.build_id.as_deref()?)?;
        self.open_debug_file(path.into_bytes()).filter(|debug| debug.elf.build_id == self.build_id)
    }

    fn debug_file_by_link(&self) -> Option<DebugFile> {
        let link = self.debug_link()?;
        let dir = path::parent(self.path.as_deref()?)?;
        let global = path::join(DEBUG_DIR.as_bytes(), path::from_root(dir));
        [dir, &path::join(dir, b".debug"), &global]
            .into_iter()
            .filter_map(|dir| self.open_debug_file(path::join(dir, &link.name)))
            .find(|debug| {
                let input = &debug.elf.input;
                input.size() <= MAX_CHECKSUM && input.crc32().is_ok_and(|crc| crc == link.crc32)
            })
    }

    /// Parses `.gnu_debuglink`: the name, its NUL, zeroes up to a multiple of 4, the checksum.
    fn debug_link(&self) -> Option<DebugLink> {
        let section = self.sections().iter().find(|s| s.name == ".gnu_debuglink")?;
        let bytes = self.input.read(".gnu_debuglink", section.offset, section.size, 8192).ok()?;
        let name = until_nul(&bytes);
        let checksum = bytes.get((name.len() + 1).next_multiple_of(4)..)?.first_chunk()?;
        let crc32 = match self.header.endian {
            object::Endianness::Little => u32::from_le_bytes(*checksum),
            object::Endianness::Big => u32::from_be_bytes(*checksum),
        };
        // Only a plain name: a path could lead elsewhere.
        let plain = !name.is_empty() && !name.contains(&b'/');
        plain.then(|| DebugLink { name: name.to_vec(), crc32 })
    }

    fn open_debug_file(&self, path: Vec<u8>) -> Option<DebugFile> {
        let elf = Box::new(self.open_other(&path)?);
        Some(DebugFile { path, elf })
    }

    /// Opens another ELF file with this file's open function.
    pub(super) fn open_other(&self, path: &[u8]) -> Option<ElfFile> {
        let source = (self.open_debug_file)(path).ok()?;
        ElfFile::read_within(source, self.input.budget.clone()).ok()?
    }
}

/// The path at which distributions install the debug file with this build id; `None` if it is
/// empty.
///
/// ```
/// let path = vmatlas_object::elf::build_id_path(&[0xab, 0xcd, 0xef]);
/// assert_eq!(path.as_deref(), Some("/usr/lib/debug/.build-id/ab/cdef.debug"));
/// ```
pub fn build_id_path(build_id: &[u8]) -> Option<String> {
    let (first, rest) = build_id.split_first()?;
    Some(format!("{DEBUG_DIR}/.build-id/{}/{}.debug", hex(&[*first]), hex(rest)))
}
