//! The executable of a process.

use super::{AuditShared, writers};
use crate::own_files::open_regular;
use crate::process::Process;
use crate::regular_file::RegularFile;
use rustix::fs::readlinkat;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use vmatlas_explain::audit::AuditFacts;
use vmatlas_maps::Maps;
use vmatlas_object::ReadAt as _;

/// Programs that run as a sealed copy of themselves, so that a container cannot change them
/// (CVE-2019-5736).
const COPIERS: [&str; 7] = [
    "/usr/bin/runc",
    "/usr/sbin/runc",
    "/usr/local/bin/runc",
    "/usr/local/sbin/runc",
    "/usr/bin/crun",
    "/usr/bin/lxc-attach",
    "/usr/bin/lxc-execute",
];
/// The largest program that is compared.
const MAX_SIZE: u64 = 128 << 20;
/// Bytes that are compared at a time.
const PIECE: usize = 64 << 10;

pub(super) fn read(process: &Process, maps: &Maps, shared: &AuditShared, facts: &mut AuditFacts) {
    let Ok(link) = readlinkat(process.dir(), "exe", Vec::new()) else { return };
    let link = link.into_bytes();
    let exe = &mut facts.exe;
    exe.is_memfd = link.starts_with(b"/memfd:") && link.ends_with(b" (deleted)");
    let plain = link.strip_suffix(b" (deleted)").unwrap_or(&link);
    exe.path = if exe.is_memfd { link.clone() } else { plain.to_vec() };
    let is_exe = |index: &usize| maps.get(*index).is_some_and(|row| row.name == link);
    let row =
        (0..maps.len()).filter(|index| facts.file_of_row.get(*index).is_some_and(Option::is_some));
    let file = row
        .filter(is_exe)
        .find_map(|index| facts.files.get(facts.file_of_row.get(index).copied()?? as usize));
    let Some(file) = file else { return };
    exe.build_id = file.code.elf.as_ref().and_then(|elf| elf.build_id.clone());
    exe.is_sealed = file.code.is_sealed;
    if exe.is_memfd && exe.is_sealed {
        exe.same_as = original(process, shared);
    }
}

/// A file of root with the same bytes as the executable.
fn original(process: &Process, shared: &AuditShared) -> Option<Vec<u8>> {
    let exe = open_regular(&process.path().join("exe")).ok()?;
    let arguments = process.read("cmdline").unwrap_or_default();
    let first = arguments.split(|&byte| byte == 0).next().unwrap_or_default();
    let first = Some(first).filter(|first| first.starts_with(b"/"));
    let candidates = COPIERS.iter().map(|path| path.as_bytes()).chain(first);
    let is_equal = |path: &&[u8]| {
        super::tracer::system_file(path, shared).is_some_and(|file| are_equal(&exe, &file))
    };
    candidates.into_iter().find(is_equal).map(<[u8]>::to_vec)
}

fn are_equal(one: &RegularFile, other: &RegularFile) -> bool {
    let size = one.stat().size;
    if size != other.stat().size || size > MAX_SIZE {
        return false;
    }
    let (mut left, mut right) = (vec![0; PIECE], vec![0; PIECE]);
    let mut offset = 0;
    while offset < size {
        let read = |file: &RegularFile, bytes: &mut [u8]| file.read_at(offset, bytes).unwrap_or(0);
        let (ours, theirs) = (read(one, &mut left), read(other, &mut right));
        let length = ours.min(theirs);
        if length == 0 || left[..length] != right[..length] {
            return false;
        }
        offset += length as u64;
    }
    true
}

/// Opens a path of ours.
pub(super) fn open(path: &[u8]) -> Option<RegularFile> {
    open_regular(Path::new(OsStr::from_bytes(path))).ok()
}

/// The groups of this machine.
pub(super) fn groups(shared: &AuditShared) -> &writers::Groups {
    shared.groups.get_or_init(writers::Groups::read)
}
