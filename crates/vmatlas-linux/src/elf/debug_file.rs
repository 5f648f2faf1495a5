//! Where the symbols and source lines of a stripped file are.

use std::{
    cell::OnceCell,
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{ElfFile, hex, input::until_nul};

/// What opens a debug file.
pub(super) type OpenDebugFile = dyn Fn(&Path) -> io::Result<File> + Send;

/// Where distributions put them.
const DEBUG_DIR: &str = "/usr/lib/debug";
/// A larger debug file is not summed: that would take seconds.
const CHECKSUM_LIMIT: u64 = 4 << 30;

pub(super) struct DebugFile {
    pub(super) path: PathBuf,
    pub(super) elf: Box<ElfFile>,
}

/// `.gnu_debuglink`: the name of a debug file and the CRC-32 of its bytes.
struct DebugLink {
    name: PathBuf,
    crc32: u32,
}

impl ElfFile {
    /// The separate debug file that belongs to this file, looked for once: by build id, then by
    /// `.gnu_debuglink`.
    pub(super) fn debug_file(&self) -> Option<&DebugFile> {
        self.debug_file
            .get_or_init(|| self.debug_file_by_build_id().or_else(|| self.debug_file_by_link()))
            .as_ref()
    }

    /// Takes a debug file that was found elsewhere, if it has this file's build id and there is no
    /// other; says whether it was taken.
    pub(crate) fn give_debug_file(&mut self, path: PathBuf, file: File) -> bool {
        if self.debug_file().is_some() {
            return false;
        }
        let Ok(Some(elf)) = ElfFile::read(file) else { return false };
        if elf.build_id.is_none() || elf.build_id != self.build_id {
            return false;
        }
        self.debug_file = OnceCell::from(Some(DebugFile { path, elf: Box::new(elf) }));
        self.dwarf = OnceCell::new();
        true
    }

    /// The path of `elf`, which is this file or its debug file.
    pub(super) fn debug_file_path(&self, elf: &ElfFile) -> Option<&Path> {
        match self.debug_file.get() {
            Some(Some(debug)) if std::ptr::eq(&*debug.elf, elf) => Some(&debug.path),
            _ => self.path.as_deref(),
        }
    }

    fn debug_file_by_build_id(&self) -> Option<DebugFile> {
        let path = build_id_path(self.build_id.as_deref()?)?;
        self.open_debug_file(path).filter(|debug| debug.elf.build_id == self.build_id)
    }

    fn debug_file_by_link(&self) -> Option<DebugFile> {
        let link = self.debug_link()?;
        let dir = self.path.as_deref()?.parent()?;
        let global = Path::new(DEBUG_DIR).join(dir.strip_prefix("/").unwrap_or(dir));
        [dir, &dir.join(".debug"), &global]
            .into_iter()
            .filter_map(|dir| self.open_debug_file(dir.join(&link.name)))
            .find(|debug| {
                let input = &debug.elf.input;
                input.size() <= CHECKSUM_LIMIT && input.crc32().is_ok_and(|crc| crc == link.crc32)
            })
    }

    /// The name, its NUL, zeroes up to a multiple of 4, the checksum.
    fn debug_link(&self) -> Option<DebugLink> {
        let section = self.sections().iter().find(|s| s.name == ".gnu_debuglink")?;
        let bytes = self.input.read(".gnu_debuglink", section.offset, section.size, 8192).ok()?;
        let name = until_nul(&bytes);
        let checksum = bytes.get((name.len() + 1).next_multiple_of(4)..)?.first_chunk()?;
        let crc32 = match self.header.endian {
            object::Endianness::Little => u32::from_le_bytes(*checksum),
            object::Endianness::Big => u32::from_be_bytes(*checksum),
        };
        // A name, not a path that leads elsewhere.
        let plain = !name.is_empty() && !name.contains(&b'/');
        plain.then(|| DebugLink { name: OsStr::from_bytes(name).into(), crc32 })
    }

    fn open_debug_file(&self, path: PathBuf) -> Option<DebugFile> {
        let file = (self.open_debug_file)(&path).ok()?;
        let elf = ElfFile::read(file).ok()??;
        Some(DebugFile { path, elf: Box::new(elf) })
    }
}

/// Where the debug file with a build id is.
pub(crate) fn build_id_path(build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    Some(format!("{DEBUG_DIR}/.build-id/{}/{}.debug", hex(&[*first]), hex(rest)).into())
}

/// Opens a regular file of our own file system, and waits for nothing: whoever may write beside the
/// program may have put a pipe there.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a device may do things, so this asks before and, as it may have been replaced, after.
    let regular = |metadata: fs::Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    };
    regular(fs::metadata(path)?)?;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    regular(file.metadata()?)?;
    Ok(file)
}
