//! Kernel versions and word sizes.

use std::fmt;
use std::str::FromStr;

/// A Linux kernel version: the three numbers that its rules depend on.
///
/// ```
/// use vmatlas_maps::KernelVersion;
/// let running: KernelVersion = "6.18.44-cloud-amd64".parse()?;
/// assert_eq!(running, KernelVersion::new(6, 18, 44));
/// assert!(running > "2.6.39".parse()?);
/// # Ok::<(), vmatlas_maps::KernelVersionError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number.
    pub major: u16,
    /// The second number.
    pub minor: u16,
    /// The third number; 0 if none is given.
    pub patch: u16,
}

impl KernelVersion {
    /// The version `major.minor.patch`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        KernelVersion { major, minor, patch }
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The text does not begin with a kernel version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelVersionError;

impl fmt::Display for KernelVersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a kernel version is two or three numbers with dots between, like 6.18 or 2.6.39",
        )
    }
}

impl std::error::Error for KernelVersionError {}

/// Parses the output of `uname -r`: everything after the numbers is ignored.
impl FromStr for KernelVersion {
    type Err = KernelVersionError;

    fn from_str(text: &str) -> Result<Self, KernelVersionError> {
        let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or("");
        let mut parts = numbers
            .trim_end_matches('.')
            .split('.')
            .map(|n| n.parse().map_err(|_| KernelVersionError));
        let mut next = || parts.next().transpose();
        let (major, minor, patch) = (next()?, next()?, next()?);
        match (major, minor) {
            (Some(major), Some(minor)) => {
                Ok(KernelVersion { major, minor, patch: patch.unwrap_or(0) })
            }
            _ => Err(KernelVersionError),
        }
    }
}

/// The size of a *kernel* pointer. It determines the column of the name, also for 32-bit processes
/// on a 64-bit kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WordSize {
    /// 32 bits.
    Bits32,
    /// 64 bits.
    #[default]
    Bits64,
}

impl WordSize {
    /// The size in bits.
    pub const fn bits(self) -> u8 {
        match self {
            WordSize::Bits32 => 32,
            WordSize::Bits64 => 64,
        }
    }

    /// The column, counted from 0, at which a name begins unless the fields before it are too long:
    /// `25 + 6 * sizeof(void *)` minus one blank (fs/proc/task_mmu.c, 2.6.0 to 7.3).
    pub const fn name_column(self) -> usize {
        match self {
            WordSize::Bits32 => 49,
            WordSize::Bits64 => 73,
        }
    }
}
