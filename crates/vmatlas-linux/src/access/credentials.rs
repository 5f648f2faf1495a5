//! The reader's credentials: ids, capabilities, and the user namespaces in which they are valid.
use rustix::thread::CapabilitySet;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// A user or group id, as a number of our user namespace.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Id {
    /// This id.
    Known(u32),
    /// Shown as the overflow id (65534) because our user namespace does not map it, so two of these
    /// may be different ids. user_namespaces(7), "Unmapped user and group IDs".
    Unmapped,
    /// Unknown.
    Unknown,
}

impl Id {
    /// Whether both are the same kernel id; `None` if that is unknown.
    pub fn same(self, other: Id) -> Option<bool> {
        match (self, other) {
            (Id::Known(a), Id::Known(b)) => Some(a == b),
            (Id::Known(_), Id::Unmapped) | (Id::Unmapped, Id::Known(_)) => Some(false),
            _ => None,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Known(id) => id.fmt(f),
            Id::Unmapped => f.write_str("(not mapped here)"),
            Id::Unknown => f.write_str("(unknown)"),
        }
    }
}

/// A set of capabilities, as the bits in `/proc/PID/status`. capabilities(7)
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// `CAP_SYS_PTRACE` alone.
    pub const SYS_PTRACE: Capabilities = Capabilities(1 << 19);
    /// `CAP_SYS_ADMIN` alone.
    pub const SYS_ADMIN: Capabilities = Capabilities(1 << 21);
    /// `CAP_PERFMON` alone.
    pub const PERFMON: Capabilities = Capabilities(1 << 38);

    /// Whether this set contains all of `other`.
    pub fn contains(self, other: Capabilities) -> bool {
        other.0 & !self.0 == 0
    }

    /// The capabilities of this set that `other` lacks.
    pub fn without(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = CapabilitySet::from_bits_retain(self.0);
        if set == CapabilitySet::all() {
            return f.write_str("all capabilities");
        }
        for (index, (name, _)) in set.iter_names().enumerate() {
            write!(f, "{}CAP_{name}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// A user namespace: device and inode of `/proc/PID/ns/user`. namespaces(7)
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceId {
    /// Device of the nsfs file system.
    pub device: u64,
    /// Inode number, the one in `user:[4026531837]`.
    pub inode: u64,
}

impl NamespaceId {
    /// The initial namespace, on a kernel without user namespaces.
    pub(super) const INITIAL: NamespaceId = NamespaceId { device: 0, inode: 0xeffffffd };

    /// Whether it is the initial user namespace, whose inode number is fixed (`PROC_USER_INIT_INO`,
    /// Linux 3.8 `include/linux/proc_ns.h`).
    pub fn is_initial(self) -> bool {
        self.inode == Self::INITIAL.inode
    }
}

impl fmt::Display for NamespaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user:[{}]", self.inode)
    }
}

/// A user namespace and the effective user id of its creator.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserNamespace {
    /// The namespace.
    pub id: NamespaceId,
    /// The owner: in the parent namespace this user has every capability over it.
    pub owner: Id,
}

/// The credentials of a reader that the check uses. credentials(7)
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// The thread group id in that /proc; `None` for a reader that does not exist yet.
    pub process: Option<u32>,
    /// Effective user id: decides whether the reader owns a user namespace.
    pub euid: Id,
    /// File system user id: compared with the target's ids.
    pub fsuid: Id,
    /// File system group id: compared with the target's ids.
    pub fsgid: Id,
    /// Supplementary groups; only the `gid=` option of /proc uses them.
    pub groups: Vec<Id>,
    /// Effective capabilities, valid in `user_ns`.
    pub effective: Capabilities,
    /// The user namespace of the reader.
    pub user_ns: Option<NamespaceId>,
    /// Whether it is in a Landlock domain, which the kernel does not report. landlock(7)
    pub landlocked: Option<bool>,
}

impl Credentials {
    /// Whether these credentials have `capability` in the first namespace of `lineage`, which is a
    /// namespace and its ancestors up to the oldest visible one. `None` if the lineage is unknown.
    ///
    /// # References
    /// Linux 6.18 `cap_capable` in `security/commoncap.c`.
    pub(super) fn capable(
        &self,
        lineage: Option<&[UserNamespace]>,
        capability: Capabilities,
    ) -> Option<bool> {
        let own = self.user_ns?;
        let held = self.effective.contains(capability);
        if own.is_initial() && held {
            return Some(true); // the ancestor of all
        }
        let lineage = lineage?;
        match lineage.iter().position(|ns| ns.id == own) {
            None => Some(false), // not below the reader's namespace
            Some(0) => Some(held),
            Some(_) if held => Some(true),
            Some(depth) => lineage[depth - 1].owner.same(self.euid),
        }
    }
}

/// How this process sees ids: whether some are unmapped.
#[derive(Copy, Clone, Debug)]
pub(super) struct IdView {
    /// Our user namespace maps every id to itself.
    pub(super) identity: bool,
    overflow: u32,
}

impl IdView {
    pub(super) fn of_caller(proc_root: &Path) -> io::Result<IdView> {
        let map = fs::read_to_string(proc_root.join("thread-self/uid_map"))?;
        let overflow = fs::read_to_string(proc_root.join("sys/kernel/overflowuid"));
        Ok(IdView::of_map(&map, overflow.ok().as_deref()))
    }

    /// From the texts of `uid_map` and `overflowuid`.
    pub(super) fn of_map(map: &str, overflow: Option<&str>) -> IdView {
        IdView {
            identity: is_identity(map),
            overflow: overflow.and_then(|text| text.trim().parse().ok()).unwrap_or(65534),
        }
    }

    pub(super) fn id(self, shown: u32) -> Id {
        if !self.identity && shown == self.overflow { Id::Unmapped } else { Id::Known(shown) }
    }
}

/// Whether the text of a `uid_map` or `gid_map` maps every id to itself.
pub(super) fn is_identity(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capability_names() {
        let set = Capabilities(1 << 10 | 1 << 19);
        assert_eq!(set.to_string(), "CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE");
    }
}
