//! The current state of the files in a strace(1) log.

use crate::elf::{self};
use crate::mounts::Mounts;
use crate::own_files::open_regular;
use rustix::fs::{AtFlags, CWD, StatxFlags};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use vmatlas_maps::{Device, KernelVersion, Kind, ReadAt as _};
use vmatlas_recording::strace::{ElfFacts, FileFacts, KernelMapping, Lookup, Program};
use vmatlas_space::{KernelProfile, Vsyscall};

/// Maximum depth of script interpreters (fs/exec.c).
const SCRIPTS: usize = 5;
/// Maximum length in bytes of a script's first line (`BINPRM_BUF_SIZE`).
const SHEBANG: usize = 256;

/// Looks up files in the file system of this machine. They may have changed since the log was
/// written: the caller should say so.
#[derive(Debug, Default)]
pub struct FilesNow {
    mounts: Mounts,
    files: HashMap<Vec<u8>, Option<FileFacts>>,
    programs: HashMap<Vec<u8>, Option<Program>>,
}

impl FilesNow {
    /// Uses the mounts of the calling process.
    pub fn new() -> FilesNow {
        let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        FilesNow { mounts: Mounts::parse(&mounts), ..FilesNow::default() }
    }

    /// The rules of the running kernel, as far as they can be read.
    pub fn profile() -> KernelProfile {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let release = rustix::system::uname();
        let version = release.release().to_str().ok().and_then(|release| release.parse().ok());
        let mut profile = KernelProfile::of(version.unwrap_or(KernelVersion::new(6, 12, 0)));
        let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
        let page = vmatlas_maps::rows(&maps).flatten().find(|row| row.kind() == Kind::Vsyscall);
        profile.vsyscall = match page {
            None => Vsyscall::None,
            Some(row) if row.perms.read() => Vsyscall::Emulate,
            Some(_) => Vsyscall::ExecuteOnly,
        };
        profile.page_shift = crate::page_size().trailing_zeros();
        profile.pkeys = text("/proc/cpuinfo").contains(" ospke");
        profile.overcommit_never = text("/proc/sys/vm/overcommit_memory").trim() == "2";
        profile
    }

    /// The number of files found.
    pub fn found(&self) -> usize {
        self.files.values().flatten().count()
    }

    /// Device and inode as maps shows them. The device is the mount's; stat may report another
    /// (btrfs, overlays).
    fn facts(&self, path: &Path) -> Option<FileFacts> {
        let real = path.canonicalize().ok()?;
        let wanted = StatxFlags::INO | StatxFlags::MNT_ID;
        let stat = rustix::fs::statx(CWD, &real, AtFlags::empty(), wanted).ok()?;
        let mount = self.mounts.by_id(stat.stx_mnt_id).map(|mount| mount.device);
        let device = mount.unwrap_or(Device::new(stat.stx_dev_major, stat.stx_dev_minor));
        Some(FileFacts { name: real.as_os_str().as_bytes().to_vec(), device, inode: stat.stx_ino })
    }

    fn image(&mut self, path: &Path) -> Option<(ElfFacts, Option<PathBuf>)> {
        let elf = elf::read_regular(open_regular(path).ok()?).ok()??;
        let file = self.file(path.as_os_str().as_bytes())?;
        let mapped = vmatlas_space::File::new(&file.name, file.device, file.inode);
        let image = elf::exec_image(&elf, &mapped);
        let image = ElfFacts {
            file,
            fixed: image.bias == Some(0),
            segments: image.segments,
            relro: elf.relro(),
        };
        let interpreter = elf.interpreter().map(|path| Path::new(OsStr::from_bytes(path)).into());
        Some((image, interpreter))
    }

    fn load(&mut self, path: &Path) -> Option<Program> {
        let mut path = path.to_owned();
        for _ in 0..SCRIPTS {
            match script(&path) {
                Some(interpreter) => path = interpreter,
                None => break,
            }
        }
        let (image, interpreter) = self.image(&path)?;
        let interpreter = match interpreter {
            Some(path) => Some(self.image(&path)?.0),
            None => None,
        };
        Some(Program { image, interpreter })
    }
}

impl Lookup for FilesNow {
    fn file(&mut self, path: &[u8]) -> Option<FileFacts> {
        if let Some(known) = self.files.get(path) {
            return known.clone();
        }
        let facts = self.facts(Path::new(OsStr::from_bytes(path)));
        self.files.insert(path.to_vec(), facts.clone());
        facts
    }

    fn program(&mut self, path: &[u8]) -> Option<Program> {
        if let Some(known) = self.programs.get(path) {
            return known.clone();
        }
        let program = self.load(Path::new(OsStr::from_bytes(path)));
        self.programs.insert(path.to_vec(), program.clone());
        program
    }

    fn kernel_rows(&mut self) -> Vec<KernelMapping> {
        let text = std::fs::read("/proc/self/maps").unwrap_or_default();
        let rows = vmatlas_maps::rows(&text).flatten();
        rows.filter(|row| matches!(row.kind(), Kind::Vdso | Kind::Vvar))
            .map(|row| KernelMapping {
                name: row.name.to_vec(),
                perms: row.perms,
                size: row.range.size(),
            })
            .collect()
    }
}

/// The interpreter in the first line of a script.
fn script(path: &Path) -> Option<PathBuf> {
    // A path in a log may refer to anything by now.
    let mut head = [0; SHEBANG];
    let (length, _) = open_regular(path).ok()?.read_full_at(0, &mut head);
    let line = head[..length].strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    let mut words = line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.next().map(|path| OsStr::from_bytes(path).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_scripts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("script");
        std::fs::write(&path, "#! /bin/sh -e\n").unwrap();
        let mut files = FilesNow::new();
        let shell = files.program(b"/bin/sh").unwrap();
        assert!(!shell.image.segments.is_empty());
        assert_eq!(files.program(path.as_os_str().as_bytes()), Some(shell));
        assert_eq!(files.program(b"/nonexistent"), None);
        assert_eq!(files.program(b"/dev/zero"), None);
    }

    #[test]
    fn a_file_is_as_maps_shows_it() {
        let text = std::fs::read("/proc/self/maps").unwrap();
        let row = vmatlas_maps::rows(&text).flatten().next().unwrap();
        let facts = FilesNow::new().file(row.name).unwrap();
        assert_eq!(
            (facts.name.as_slice(), facts.device, facts.inode),
            (row.name, row.device, row.inode)
        );
    }
}
