//! Finds the files of a recording again.

use crate::elf::{self, ElfError, ElfFile, FileOffset, Vaddr, build_id_path};
use crate::file_server::FileStat;
use crate::own_files::open_regular;
use crate::regular_file::RegularFile;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vmatlas_maps::{Device, Maps, restore_line_feeds};
use vmatlas_object::Budget;

/// Opens a file by its path, for example in the root directory of another mount namespace. It
/// should open regular files only.
pub type OpenFile = dyn Fn(&Path) -> io::Result<RegularFile> + Send + Sync;

/// A mapped file, as recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Module {
    /// Its path as maps shows it, including ` (deleted)` and `\012`; `[vdso]` is the kernel's.
    pub path: Vec<u8>,
    /// Its device as maps shows it; 00:00 if unknown.
    pub device: Device,
    /// Its inode number; 0 if unknown.
    pub inode: u64,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its build id.
    pub build_id: Option<Vec<u8>>,
    /// The last time at which it may have been written, in nanoseconds since 1970: the start of the
    /// recording, the end of the core dump. A file without a build id that was written later is not
    /// used.
    pub written_by_ns: Option<u64>,
    /// Its executable LOAD segments, if recorded. They allow to use a debug file alone, which no
    /// longer has the file offsets.
    pub segments: Vec<ModuleSegment>,
}

/// An executable LOAD segment of a [`Module`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModuleSegment {
    /// Its offset in the file, in bytes (`p_offset`).
    pub offset: u64,
    /// Its size in the file, in bytes (`p_filesz`).
    pub size: u64,
    /// Its vaddr (`p_vaddr`).
    pub vaddr: u64,
}

/// The reason why a module's names are missing or doubtful. Its text is a sentence without a full
/// stop, with the path.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ModuleNote {
    /// No file could be opened at the path.
    Missing {
        /// The path.
        path: String,
        /// The error.
        error: Arc<io::Error>,
    },
    /// The current file differs from the recorded one; it is not used.
    Other {
        /// The path.
        path: String,
        /// The identity of the current file: `build id 1234`.
        found: String,
        /// The recorded identity.
        recorded: String,
    },
    /// The recording has no identity to verify the file; it is used.
    Unverified {
        /// The path.
        path: String,
    },
    /// The file was written after [`written_by_ns`](Module::written_by_ns), and has no build id to
    /// verify it; it is not used.
    Written {
        /// The path.
        path: String,
    },
    /// An attribute of the file was changed after that time, and perhaps the data, and it has no
    /// build id to verify it; it is used.
    Changed {
        /// The path.
        path: String,
    },
    /// The file is gone; its debug file exists and is used.
    DebugFileOnly {
        /// The path.
        path: String,
        /// The debug file.
        debug_file: PathBuf,
    },
    /// The file is not ELF.
    NotElf {
        /// The path.
        path: String,
    },
    /// The file is damaged; the readable parts are used.
    Damaged {
        /// The path.
        path: String,
        /// The place and kind of the damage.
        error: ElfError,
    },
    /// It took longer than the time limit.
    TimedOut {
        /// The path.
        path: String,
    },
    /// The debuginfod server did not return a debug file.
    Debuginfod {
        /// The path.
        path: String,
        /// The reason.
        why: String,
    },
}

impl fmt::Display for ModuleNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModuleNote::Missing { path, error } => write!(f, "{path} cannot be opened: {error}"),
            ModuleNote::Other { path, found, recorded } => {
                write!(f, "{path} is another file today ({found} instead of {recorded})")
            }
            ModuleNote::Unverified { path } => write!(
                f,
                "{path} may be another file than the one recorded: it has no build id, and neither \
                 inode nor size was recorded"
            ),
            ModuleNote::Written { path } => write!(
                f,
                "{path} was written after the start of the recording or after the core dump, and has \
                 no build id: its names are left out"
            ),
            ModuleNote::Changed { path } => write!(
                f,
                "{path} may be another file than the one recorded: it has no build id, and its \
                 inode was changed after the start of the recording or after the core dump"
            ),
            ModuleNote::DebugFileOnly { path, debug_file } => {
                write!(f, "{path} is gone; names are from {}", debug_file.display())
            }
            ModuleNote::NotElf { path } => write!(f, "{path} is no ELF file"),
            ModuleNote::Damaged { path, error } => write!(f, "{path}: {error}"),
            ModuleNote::TimedOut { path } => {
                write!(f, "{path} took too long to read: its names are left out")
            }
            ModuleNote::Debuginfod { path, why } => {
                write!(f, "{path}: no debug file from debuginfod: {why}")
            }
        }
    }
}

impl Module {
    /// The module of a recorded file. With [`written_by_ns`](Module::written_by_ns), a file without a build
    /// id that was written later is not used.
    #[cfg(feature = "recordings")]
    pub fn from_entry(file: &vmatlas_recording::FileEntry) -> Module {
        Module {
            path: file.name.clone(),
            device: file.device,
            inode: file.inode,
            build_id: Some(file.build_id.clone()).filter(|id| !id.is_empty()),
            ..Module::default()
        }
    }

    /// The path as text.
    pub(super) fn display(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// The ELF file of this module if available, and its open file if it has one.
    pub(super) fn open(
        &self,
        given: Option<RegularFile>,
        open: &Arc<OpenFile>,
        budget: &Budget,
        notes: &mut Vec<ModuleNote>,
    ) -> Option<(ElfFile, Option<RegularFile>)> {
        if self.path == b"[vdso]" {
            let elf = elf::from_bytes(own_vdso().ok()?).ok()??;
            return Some((self.verified(elf, None, notes)?, None));
        }
        let given = given.into_iter().map(|file| (self.paths().pop(), Ok(file)));
        let by_path = self.paths().into_iter().map(|path| {
            let file = open(&path);
            (Some(path), file)
        });
        let mut complaints = Vec::new();
        for (path, file) in given.chain(by_path) {
            match file {
                Ok(file) => {
                    if let Some((elf, file)) = self.read(file, path, open, budget, &mut complaints)
                    {
                        notes.extend(complaints.into_iter().filter(ModuleNote::is_about_used));
                        return Some((elf, Some(file)));
                    }
                }
                Err(error) => {
                    let (path, error) = (self.display(), Arc::new(error));
                    complaints.push(ModuleNote::Missing { path, error });
                }
            }
        }
        // The most informative note: a different file rather than a missing one.
        let missing = |note: &ModuleNote| matches!(note, ModuleNote::Missing { .. });
        complaints.sort_by_key(missing);
        notes.extend(complaints.into_iter().next());
        let (elf, file) = self.stand_in(open, budget, notes)?;
        Some((elf, Some(file)))
    }

    /// The possible paths, the likeliest last: the text of maps is ambiguous.
    fn paths(&self) -> Vec<PathBuf> {
        if !self.path.starts_with(b"/") {
            return Vec::new(); // [heap], anon_inode:, names of anonymous memory
        }
        let restored = restore_line_feeds(&self.path);
        let mut paths: Vec<PathBuf> = Vec::new();
        for name in [&*self.path, &*restored] {
            for name in [Some(name), name.strip_suffix(b" (deleted)")].into_iter().flatten() {
                let path = PathBuf::from(OsStr::from_bytes(name));
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths
    }

    fn read(
        &self,
        file: RegularFile,
        path: Option<PathBuf>,
        open: &Arc<OpenFile>,
        budget: &Budget,
        notes: &mut Vec<ModuleNote>,
    ) -> Option<(ElfFile, RegularFile)> {
        let FileStat { device, inode, size, modified, changed, .. } = *file.stat();
        let identity = Some(Identity { device, inode, size, modified, changed });
        let elf = match elf::read_within(file.clone(), budget.clone()) {
            Ok(Some(found)) => found,
            Ok(None) => {
                notes.push(ModuleNote::NotElf { path: self.display() });
                return None;
            }
            Err(error) => {
                notes.push(ModuleNote::Damaged { path: self.display(), error });
                return None;
            }
        };
        let open = Arc::clone(open);
        let elf = elf.with_debug_files(elf::debug_files(move |path| open(path)));
        let elf = self.verified(elf, identity, notes)?;
        let elf = match path {
            Some(path) => elf.with_path(path),
            None => elf,
        };
        Some((elf, file))
    }

    /// The file, if it is the recorded one.
    fn verified(
        &self,
        elf: ElfFile,
        identity: Option<Identity>,
        notes: &mut Vec<ModuleNote>,
    ) -> Option<ElfFile> {
        let path = self.display();
        let since = |time| self.written_by_ns.is_some_and(|last| nanoseconds(time) > last.into());
        if let (None, Some(found)) = (&self.build_id, identity)
            && since(found.modified)
        {
            notes.push(ModuleNote::Written { path });
            return None;
        }
        let (found, recorded) = match (&self.build_id, identity) {
            (Some(recorded), _) => {
                let found = elf.build_id_bytes();
                if found == Some(recorded) {
                    return Some(elf);
                }
                let found = found.map_or("no build id".to_owned(), build_id_text);
                (found, build_id_text(recorded))
            }
            // The vDSO cannot be distinguished from that of an earlier kernel.
            (None, None) => {
                notes.push(ModuleNote::Unverified { path });
                return Some(elf);
            }
            (None, Some(found))
                if self.inode == 0 && self.size.is_none_or(|size| size == found.size) =>
            {
                if self.size.is_none() {
                    notes.push(ModuleNote::Unverified { path });
                }
                return Some(elf);
            }
            (None, Some(found)) if found.is(self) => {
                if since(found.changed) {
                    notes.push(ModuleNote::Changed { path });
                }
                return Some(elf);
            }
            (None, Some(found)) => (found.to_string(), self.recorded_identity()),
        };
        notes.push(ModuleNote::Other { path, found, recorded });
        None
    }

    /// The debug file of a missing file.
    fn stand_in(
        &self,
        open: &Arc<OpenFile>,
        budget: &Budget,
        notes: &mut Vec<ModuleNote>,
    ) -> Option<(ElfFile, RegularFile)> {
        if self.segments.is_empty() {
            return None;
        }
        let debug_file = PathBuf::from(build_id_path(self.build_id.as_deref()?)?);
        let file = open(&debug_file).or_else(|_| open_regular(&debug_file)).ok()?;
        let found = self.read(file, Some(debug_file.clone()), open, budget, &mut Vec::new())?;
        notes.push(ModuleNote::DebugFileOnly { path: self.display(), debug_file });
        Some(found)
    }

    /// The address in the file of the code at `offset`.
    pub(super) fn vaddr(&self, elf: &ElfFile, offset: u64) -> Option<Vaddr> {
        let recorded =
            self.segments.iter().find(|s| offset.checked_sub(s.offset).is_some_and(|n| n < s.size));
        if let Some(segment) = recorded {
            return (offset - segment.offset).checked_add(segment.vaddr).map(Vaddr::new);
        }
        let segment = elf.segment_at_offset(FileOffset::new(offset))?;
        (offset - segment.offset).checked_add(segment.vaddr).map(Vaddr::new)
    }

    fn recorded_identity(&self) -> String {
        let size = self.size.map(|size| format!(", {size} bytes")).unwrap_or_default();
        format!("inode {} of device {}{size}", self.inode, self.device)
    }
}

impl ModuleNote {
    /// Whether the note is about a file without a build id, which may be another than the one
    /// mapped.
    pub fn is_doubt(&self) -> bool {
        match self {
            // Every vDSO lacks the evidence.
            ModuleNote::Unverified { path } => path.starts_with('/'),
            ModuleNote::Written { .. } | ModuleNote::Changed { .. } => true,
            _ => false,
        }
    }

    /// Whether the note is about the file in use, not about a rejected one.
    fn is_about_used(&self) -> bool {
        matches!(self, ModuleNote::Unverified { .. } | ModuleNote::Changed { .. })
    }
}

/// Identifies a file without a build id.
#[derive(Clone, Copy)]
struct Identity {
    device: Device,
    inode: u64,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl Identity {
    fn is(self, module: &Module) -> bool {
        // On btrfs and overlayfs, stat(2) reports another device than maps, without a block device.
        self.inode == module.inode
            && module.size.is_none_or(|size| size == self.size)
            && (module.device == Device::default()
                || self.device == module.device
                || self.device.major == 0)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {} of device {}, {} bytes", self.inode, self.device, self.size)
    }
}

/// A time in nanoseconds since 1970.
fn nanoseconds((seconds, nanoseconds): (i64, u32)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

fn build_id_text(build_id: &[u8]) -> String {
    let digits: String = build_id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("build id {digits}")
}

/// The vDSO of this process; every process of this kernel has the same.
fn own_vdso() -> io::Result<Vec<u8>> {
    let maps = Maps::parse(&std::fs::read("/proc/self/maps")?).map_err(io::Error::other)?;
    let row = maps.iter().find(|row| row.name == b"[vdso]").ok_or(io::ErrorKind::NotFound)?;
    let mut memory = File::open("/proc/self/mem")?;
    memory.seek(SeekFrom::Start(row.range.start))?;
    let mut bytes = Vec::new();
    memory.take(row.range.size().min(ElfFile::MAX_VDSO)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
