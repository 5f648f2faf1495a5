//! What the small files of a process say.

use crate::access::Status;
use crate::facts::stack_limit;
use crate::process::Process;
use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};
use vmatlas_explain::audit::AuditFacts;

/// Most descriptors that are looked at; a process may have a million.
const MAX_DESCRIPTORS: usize = 4096;

/// `own_users` is `uid_map` of the reader.
pub(super) fn read(
    process: &Process,
    status: Option<&Status>,
    own_users: Option<&[u8]>,
    facts: &mut AuditFacts,
) {
    let text = |file| process.read(file).ok();
    if let Some(status) = status {
        facts.uids = status.words("Uid").filter_map(|uid| uid.parse().ok()).collect();
    }
    // All of this needs the permission of ptrace(2).
    facts.personality = text("personality").and_then(|bits| hexadecimal(&bits));
    facts.coredump_filter = text("coredump_filter").and_then(|bits| hexadecimal(&bits));
    facts.stack_limit = text("limits").and_then(|limits| {
        let is_unlimited = limits
            .split(|&byte| byte == b'\n')
            .find_map(|line| line.strip_prefix(b"Max stack size"))
            .is_some_and(|line| line.trim_ascii_start().starts_with(b"unlimited"));
        if is_unlimited { Some(u64::MAX) } else { stack_limit(&limits) }
    });
    if let (Some(its), Some(ours)) = (text("uid_map"), own_users) {
        facts.has_own_users = its != ours;
        // Root of its namespace owns the files there.
        facts.uids.extend(root_of(&its).filter(|_| facts.has_own_users));
    }
}

fn hexadecimal(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?.trim(), 16).ok()
}

/// The number here of user 0 there, see user_namespaces(7).
fn root_of(map: &[u8]) -> Option<u32> {
    let map = std::str::from_utf8(map).ok()?;
    map.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()? == "0").then(|| words.next()?.parse().ok())?
    })
}

/// The descriptors of a process that are the memory of another one, with that one.
pub(super) fn foreign_memory(process: &Process) -> Vec<(u32, u32)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(directory) = openat(process.dir(), "fd", flags, Mode::empty()) else {
        return Vec::new();
    };
    let Ok(entries) = Dir::read_from(&directory) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.take(MAX_DESCRIPTORS).map_while(Result::ok) {
        let Some(fd) = entry.file_name().to_str().ok().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let link = readlinkat(&directory, entry.file_name(), Vec::new());
        let memory_of = link.ok().and_then(|link| memory_of(link.to_str().ok()?));
        found.extend(memory_of.filter(|pid| *pid != process.id().pid).map(|pid| (fd, pid)));
    }
    found
}

/// The process whose memory a path below /proc is.
fn memory_of(path: &str) -> Option<u32> {
    let (pid, file) = path.strip_prefix("/proc/")?.split_once('/')?;
    let is_memory = file == "mem" || file.starts_with("task/") && file.ends_with("/mem");
    is_memory.then(|| pid.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::{memory_of, root_of};

    #[test]
    fn paths_of_memory() {
        assert_eq!(memory_of("/proc/17/mem"), Some(17));
        assert_eq!(memory_of("/proc/17/task/18/mem"), Some(17));
        for other in ["/proc/17/maps", "/proc/self/mem", "/x/proc/17/mem", "/proc/17/fd/mem"] {
            assert_eq!(memory_of(other), None, "{other}");
        }
    }

    #[test]
    fn root_has_a_number_here() {
        assert_eq!(root_of(b"         0     100000      65536\n"), Some(100_000));
        assert_eq!(root_of(b"      1000       1000          1\n"), None);
    }
}
