//! The mounts of a process, see proc_pid_mountinfo(5).

use crate::error::Error;
use crate::file_systems::{Contents, of_name};
use crate::process::Process;
use std::sync::Arc;
use vmatlas_maps::Device;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount {
    /// Its id, unique while it is mounted; statx(2) returns it as `stx_mnt_id`.
    pub id: u64,
    /// The file system's device, as maps shows it.
    pub device: Device,
    /// The mount point, relative to the process's root.
    pub point: Vec<u8>,
    /// The type of the file system, such as `ext4`.
    pub fs_type: Vec<u8>,
    /// The mounted source: a block device's path or any word.
    pub source: Vec<u8>,
    /// The options of the mount, such as `rw,nosuid,noexec`.
    pub options: Vec<u8>,
}

/// The mounts of a process's mount namespace.
#[derive(Clone, Debug, Default)]
pub struct Mounts(Arc<[Mount]>);

impl Mounts {
    /// Reads the mounts of a process.
    ///
    /// # Errors
    /// The same as [`Process::read`].
    pub fn read(process: &Process) -> Result<Mounts, Error> {
        Ok(Mounts::parse(&process.read("mountinfo")?))
    }

    /// Parses the text of a mountinfo; skips invalid lines.
    pub fn parse(text: &[u8]) -> Mounts {
        Mounts(text.split(|&b| b == b'\n').filter_map(mount).collect())
    }

    /// The mount with this id.
    pub fn by_id(&self, id: u64) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.id == id)
    }

    /// The mount of `device` that contains `path`: the deepest mount point above the path,
    /// otherwise the first mount of the device.
    pub fn holding(&self, device: Device, path: &[u8]) -> Option<&Mount> {
        let of_device = || self.0.iter().filter(|mount| mount.device == device);
        let above = of_device().filter(|mount| mount.is_above(path));
        above.max_by_key(|mount| mount.point.len()).or_else(|| of_device().next())
    }

    /// Whether the kernel answers for all of them by itself.
    pub(crate) fn all_local(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(Mount::is_local)
    }

    /// A mount of a device.
    pub(crate) fn of_device(&self, device: Device) -> Option<&Mount> {
        self.0.iter().find(|mount| mount.device == device)
    }

    /// The mounts that a lookup of `path` passes through, the deepest last.
    pub(crate) fn on_the_way(&self, path: &[u8]) -> Vec<&Mount> {
        let mut above: Vec<&Mount> = self.0.iter().filter(|mount| mount.is_above(path)).collect();
        above.sort_by_key(|mount| mount.point.len());
        above
    }
}

/// File systems with a block device that need another machine or process to answer.
const SHARED: [&[u8]; 3] = [b"fuseblk", b"gfs2", b"ocfs2"];

impl Mount {
    /// Whether the kernel answers for the file system by itself. Otherwise a process (FUSE), a
    /// server (NFS) or another file system (overlay) has to, and may never do so.
    pub fn is_local(&self) -> bool {
        let fs_type = self.fs_type.as_slice();
        match self.device.major {
            // systemd mounts binfmt_misc when it is used.
            0 if self.point.starts_with(b"/proc/") && fs_type == b"autofs" => true,
            0 => matches!(of_name(fs_type), Some(Contents::Files | Contents::Texts)),
            _ => !SHARED.contains(&fs_type),
        }
    }

    /// Whether the mount has an option, such as `noexec`.
    pub fn has(&self, option: &str) -> bool {
        self.options.split(|&b| b == b',').any(|word| word == option.as_bytes())
    }

    fn is_above(&self, path: &[u8]) -> bool {
        let point = self.point.strip_suffix(b"/").unwrap_or(&self.point);
        path.strip_prefix(point).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

/// Parses `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&b| b == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let (major, minor) = std::str::from_utf8(fields.nth(1)?).ok()?.split_once(':')?;
    let device = Device { major: major.parse().ok()?, minor: minor.parse().ok()? };
    let point = unescape(fields.nth(1)?);
    let options = fields.next()?.to_vec();
    let mut after = fields.skip_while(|field| *field != b"-").skip(1);
    let (fs_type, source) = (unescape(after.next()?), unescape(after.next()?));
    Some(Mount { id, device, point, fs_type, source, options })
}

/// Decodes blanks, tabs, line feeds and backslashes, which are three octal digits (fs/seq_file.c).
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'\\', &[a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ref after @ ..]) => {
                plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file_systems::of_number;
    use rustix::fs::{major, minor, statfs};
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    const TEXT: &[u8] = br"21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 0:20 / /proc rw - proc proc rw
30 21 0:44 / /mnt/with\040blank\134 rw master:1 propagate_from:2 - tmpfs none rw,size=1k
31 21 0:44 /sub /mnt rw - tmpfs none rw
broken
";

    #[test]
    fn lines_become_mounts() {
        let mounts = Mounts::parse(TEXT);
        assert_eq!(mounts.0.len(), 4);
        let mount = mounts.by_id(30).unwrap();
        assert_eq!(
            (mount.device, mount.point.as_slice()),
            (Device::new(0, 44), br"/mnt/with blank\".as_slice())
        );
        assert_eq!(
            (mount.fs_type.as_slice(), mount.source.as_slice()),
            (b"tmpfs".as_slice(), b"none".as_slice())
        );
    }

    /// The table of file systems agrees with the running kernel on what is mounted here.
    #[test]
    fn numbers_of_file_systems_are_those_of_the_kernel() {
        let mounts = Mounts::parse(&fs::read("/proc/self/mountinfo").unwrap());
        let mut compared = 0;
        for mount in mounts.0.iter() {
            let path = Path::new(OsStr::from_bytes(&mount.point));
            let no_wait = mounts.on_the_way(&mount.point).into_iter().all(Mount::is_local);
            let Some(contents) = of_name(&mount.fs_type).filter(|_| no_wait) else { continue };
            // Another mount may cover it.
            let Ok(metadata) = path.metadata() else { continue };
            let (major, minor) = (major(metadata.dev()), minor(metadata.dev()));
            if mount.device == (Device { major, minor }) {
                let number = statfs(path).unwrap().f_type as u32;
                assert_eq!(of_number(number), Some(contents), "{mount:?}: {number:#x}");
                compared += 1;
            }
        }
        assert!(compared > 0);
    }

    #[test]
    fn the_deepest_mount_above_a_path_holds_it() {
        let mounts = Mounts::parse(TEXT);
        let point =
            |device, path: &[u8]| mounts.holding(device, path).map(|mount| mount.point.clone());
        assert_eq!(
            point(Device::new(0, 44), br"/mnt/with blank\/x"),
            Some(br"/mnt/with blank\".to_vec())
        );
        assert_eq!(point(Device::new(0, 44), b"/mnt/x"), Some(b"/mnt".to_vec()));
        assert_eq!(point(Device::new(0, 44), b"/gone/x"), Some(br"/mnt/with blank\".to_vec()));
        assert_eq!(point(Device::new(254, 0), b"/usr/x"), Some(b"/".to_vec()));
        assert_eq!(point(Device::new(9, 9), b"/usr/x"), None);
    }
}
