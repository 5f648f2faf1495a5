//! A process that was audited.

/// A process that was audited, or another target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditedProcess {
    /// Its process ID.
    pub pid: Option<u32>,
    /// The name of its command: any bytes.
    pub comm: Vec<u8>,
    /// The path of its executable; empty if unknown.
    pub exe: Vec<u8>,
    /// The build ID of its executable.
    pub build_id: Option<String>,
    /// Its effective user ID.
    pub uid: Option<u32>,
}
