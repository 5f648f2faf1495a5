//! A core dump in a file.

use crate::elf::{self, ElfFile, build_id_path};
use crate::own_files::open_regular;
use crate::regular_file::RegularFile;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use vmatlas_object::Budget;

/// A core dump in a file, as a source of [`CoreDump`](vmatlas_explain::coredump::CoreDump).
pub type CoreFile = RegularFile;

/// Opens the file behind a core's mapping: the file at that path if it still has that build id,
/// otherwise its debug file. Opens only regular files, and may block on a file system. The file
/// takes its memory from `budget`.
///
/// # Errors
///
/// One line with the reason why neither can be used.
pub fn file_with_build_id(
    path: &[u8],
    build_id: &[u8],
    budget: &Budget,
) -> Result<ElfFile, String> {
    let path = Path::new(OsStr::from_bytes(path));
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if !path.is_absolute() {
        // The program's directory is not ours.
        return Err(format!("{}: not a whole path", path.display()));
    }
    let open = |path: &Path| -> Result<ElfFile, String> {
        let shown = path.display();
        let file = open_regular(path).map_err(|error| format!("{shown}: {error}"))?;
        let elf = elf::read_within(file, budget.clone());
        let elf = elf.map_err(|error| format!("{shown}: {error}"))?;
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
        open(Path::new(&debug_file)).map_err(|_| why)
    })
}
