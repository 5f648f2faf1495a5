//! Detects programs that run without the privileges of their file.

use crate::access::Status;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use vmatlas_recording::Tid;

const S_ISUID: u32 = 0o4000;
const S_ISGID: u32 = 0o2000;
const S_IXGRP: u32 = 0o010;

/// The program that a task has just executed, if its file is set-user-id or set-group-id or has
/// capabilities and the task did not get them. A file system that ignores set-user-id is excluded.
pub(super) fn lost(tid: Tid) -> Option<PathBuf> {
    let exe = PathBuf::from(format!("/proc/{tid}/exe"));
    let file = std::fs::metadata(&exe).ok()?;
    let set_uid = file.mode() & S_ISUID != 0;
    let set_gid = file.mode() & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP;
    let mut attribute = [0; 64];
    let size = rustix::fs::getxattr(&exe, "security.capability", &mut attribute).unwrap_or(0);
    let capabilities = attribute.get(..size).map_or(0, permitted);
    if !set_uid && !set_gid && capabilities == 0 {
        return None;
    }
    let flags = rustix::fs::statvfs(&exe).ok()?.f_flag;
    if flags.contains(rustix::fs::StatVfsMountFlags::NOSUID) {
        return None;
    }
    let status = Status::new(&std::fs::read(format!("/proc/{tid}/status")).ok()?);
    let effective = |name| status.words(name).nth(1)?.parse::<u32>().ok();
    let has = u64::from_str_radix(status.words("CapPrm").next()?, 16).ok()?;
    let lost = set_uid && effective("Uid") != Some(file.uid())
        || set_gid && effective("Gid") != Some(file.gid())
        || capabilities & !has != 0;
    lost.then(|| std::fs::read_link(&exe).unwrap_or(exe))
}

/// Whether a task and its children gain no privileges by execve(2), see PR_SET_NO_NEW_PRIVS(2const).
pub(super) fn no_new_privs(tid: Tid) -> bool {
    has_no_new_privs(&format!("/proc/{tid}/status"))
}

/// The same of the recorder.
pub(super) fn own_no_new_privs() -> bool {
    has_no_new_privs("/proc/self/status")
}

fn has_no_new_privs(path: &str) -> bool {
    let status = std::fs::read(path).map(|text| Status::new(&text));
    status.is_ok_and(|status| status.number("NoNewPrivs") == Some(1))
}

/// The capabilities that `struct vfs_cap_data` grants to the executing task.
pub(super) fn permitted(attribute: &[u8]) -> u64 {
    let (words, _) = attribute.as_chunks::<4>();
    let word = |index: usize| words.get(index).map_or(0, |word| u32::from_le_bytes(*word));
    // From its second version on there are two words of each kind.
    let high = if word(0) >> 24 >= 2 { word(3) } else { 0 };
    u64::from(high) << 32 | u64::from(word(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_files() {
        // cap_net_raw=ep, as setcap(8) writes it.
        let ping = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(permitted(&ping), 1 << 13);
        let mut bpf = ping;
        bpf[12] = 0x80;
        assert_eq!(permitted(&bpf), 1 << 13 | 1 << 39);
        assert_eq!(permitted(&[]), 0);
    }
}
