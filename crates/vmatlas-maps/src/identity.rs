//! What identifies the process of an address space.

use crate::field::FieldRow;
use crate::mapping::{Device, Mapping, Perms};
use crate::range::AddressRange;

/// A process: its names, its user, its control group. What is not known is empty or `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Identity {
    /// The process ID.
    pub pid: Option<u32>,
    /// The name of its command (proc_pid_comm(5)): any bytes.
    pub comm: Vec<u8>,
    /// The path of its executable, without ` (deleted)`: any bytes.
    pub exe: Vec<u8>,
    /// Its effective user ID.
    pub uid: Option<u32>,
    /// Its control group (cgroups(7)), in the hierarchy of the memory controller; begins with `/`.
    pub cgroup: String,
    /// The container, by its control group.
    pub container: String,
    /// The unit of systemd, by its control group.
    pub unit: String,
    /// When it started, in seconds since 1970.
    pub started: Option<u64>,
}

impl Identity {
    /// Its name as a program: the path of its executable, or if that is not known the name of its
    /// command.
    pub fn program(&self) -> &[u8] {
        if self.exe.is_empty() { &self.comm } else { &self.exe }
    }
}

/// An identity as a row without memory, for filters that are about processes only.
impl FieldRow for Identity {
    fn mapping(&self) -> Mapping<'_> {
        let (range, perms) = (AddressRange::new(0, 0), Perms(*b"---p"));
        Mapping { range, perms, offset: 0, device: Device::default(), inode: 0, name: b"" }
    }

    fn identity(&self) -> Option<&Identity> {
        Some(self)
    }
}
