//! A core dump in a file.

use crate::elf::{ElfFile, build_id_path, open_regular};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use vmatlas_explain::coredump::ReadAt;

/// An open file as a source of [`CoreDump`](vmatlas_explain::coredump::CoreDump): it is read by offset, and
/// not mapped into memory, for a file that is cut meanwhile would kill us with SIGBUS.
#[derive(Debug)]
pub struct CoreFile {
    file: File,
    size: u64,
}

impl CoreFile {
    /// Takes a file.
    ///
    /// # Errors
    ///
    /// Where its size cannot be told, or it is no regular file: a pipe has no offsets.
    pub fn new(file: File) -> io::Result<CoreFile> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(CoreFile { file, size: metadata.len() })
    }
}

impl ReadAt for CoreFile {
    fn len(&self) -> Option<u64> {
        Some(self.size)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            match self.file.read_at(&mut bytes[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        done
    }
}

/// The file that a core was of: the one by that path, if it still has that build id, else its debug
/// file. Opens regular files only, and may wait for a file system.
///
/// # Errors
///
/// In a line, why neither can be used.
pub fn file_with_build_id(path: &[u8], build_id: &[u8]) -> Result<ElfFile, String> {
    let path = Path::new(OsStr::from_bytes(path));
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let open = |path: &Path| -> Result<ElfFile, String> {
        let shown = path.display();
        let file = open_regular(path).map_err(|error| format!("{shown}: {error}"))?;
        let elf = ElfFile::read(file).map_err(|error| format!("{shown}: {error}"))?;
        let elf = elf.ok_or_else(|| format!("{shown} is no ELF file today"))?;
        match elf.build_id_bytes() {
            Some(id) if id == build_id => Ok(elf.with_path(path)),
            Some(id) => Err(format!(
                "{shown} is another file today: its build id is {}, not {}",
                hex(id),
                hex(build_id)
            )),
            None => Err(format!("{shown} is another file today: it has no build id")),
        }
    };
    open(path).or_else(|why| {
        let debug_file = build_id_path(build_id).ok_or_else(|| why.clone())?;
        open(&debug_file).map_err(|_| why)
    })
}
