//! A row of `/proc/PID/maps` as a value.

use crate::escape::{self, Escaped};
use crate::range::AddressRange;
use std::fmt;

/// The permission field: four characters, kept as the producer wrote them.
///
/// Linux writes `r`, `w`, `x` or `-` and then `p` (private) or `s` (`VM_MAYSHARE`; `S` too
/// on kernels without an MMU), see proc_pid_maps(5). Others write more: WSL 1 puts `-` last,
/// sources without the fourth field give `?`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Perms(pub [u8; 4]);

impl Perms {
    /// May be read.
    pub const fn read(self) -> bool {
        self.0[0] == b'r'
    }

    /// May be written.
    pub const fn write(self) -> bool {
        self.0[1] == b'w'
    }

    /// May be executed.
    pub const fn execute(self) -> bool {
        self.0[2] == b'x'
    }

    /// Changes are seen by everyone who maps the object (`s` or `S`).
    pub const fn shared(self) -> bool {
        matches!(self.0[3], b's' | b'S')
    }

    /// None of read, write and execute: a guard or reserved addresses. Not where `?` says that it
    /// is not known.
    pub const fn none(self) -> bool {
        matches!(self.0, [b'-', b'-', b'-', _])
    }

    /// Which part of a file is mapped so, as words before its name: `code of`.
    pub const fn part_of_file(self) -> &'static str {
        if self.execute() {
            "code of"
        } else if self.write() {
            "writable data of"
        } else if self.read() {
            "read-only data of"
        } else {
            "addresses kept for"
        }
    }

    /// The four characters; anything but printable ASCII becomes `?`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0)
            .ok()
            .filter(|s| s.bytes().all(|b| b.is_ascii_graphic()))
            .unwrap_or("????")
    }
}

impl fmt::Display for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Perms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The device of a mapping's file system, as two numbers.
///
/// Linux holds 12 bits of major and 20 of minor number, so up to 3 and 5 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Device {
    /// Major number; 0 for file systems without a block device.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl Device {
    /// The device with these two numbers.
    pub const fn new(major: u32, minor: u32) -> Self {
        Device { major, minor }
    }
}

/// Written as `maps` writes it: hexadecimal, each at least two digits.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}", self.major, self.minor)
    }
}

/// One row of a map: what `/proc/PID/maps` says of a stretch of addresses.
///
/// ```
/// let row = b"7f00-8f00 r-xp 00001000 fe:00 42    /usr/bin/cat";
/// let mapping = vmatlas_maps::parse_row(row)?;
/// assert_eq!(mapping.range.size(), 0x1000);
/// assert!(mapping.perms.execute());
/// assert_eq!(mapping.name, b"/usr/bin/cat");
/// # Ok::<(), vmatlas_maps::RowError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Mapping<'a> {
    /// The addresses it covers.
    pub range: AddressRange,
    /// What may be done there.
    pub perms: Perms,
    /// Where in the file the mapping begins, in bytes; 0 without a file.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::address"))]
    pub offset: u64,
    /// The file system's device; `00:00` without a file.
    pub device: Device,
    /// The file's inode number; 0 without a file.
    pub inode: u64,
    /// The last field, byte for byte as the kernel shows it; empty where it shows none.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::encoding::name::serialize"))]
    pub name: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// The name as text that is safe to print, see [`escape::name`].
    ///
    /// ```
    /// let row = vmatlas_maps::parse_row(b"7f00-8f00 r--p 0 fe:00 42 /tmp/\x1b[2J")?;
    /// assert_eq!(row.name_display().to_string(), r"/tmp/\x1b[2J");
    /// # Ok::<(), vmatlas_maps::RowError>(())
    /// ```
    pub fn name_display(&self) -> Escaped<'a> {
        escape::name(self.name)
    }

    /// Copies the name, so that the row can outlive the text.
    pub fn into_owned(self) -> OwnedMapping {
        OwnedMapping {
            range: self.range,
            perms: self.perms,
            offset: self.offset,
            device: self.device,
            inode: self.inode,
            name: self.name.to_vec(),
        }
    }
}

/// A [`Mapping`] with a name of its own. [`Maps`](crate::Maps) keeps many rows in less memory.
///
/// ```
/// # use vmatlas_maps::{OwnedMapping, parse_row};
/// let kept: OwnedMapping = {
///     let text = String::from("7f00-8f00 r-xp 00001000 fe:00 42    /usr/bin/cat");
///     parse_row(text.as_bytes())?.into_owned()
/// };
/// assert_eq!(kept.as_mapping().kind().word(), "file");
/// # Ok::<(), vmatlas_maps::RowError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OwnedMapping {
    /// The addresses it covers.
    pub range: AddressRange,
    /// What may be done there.
    pub perms: Perms,
    /// Where in the file the mapping begins, in bytes; 0 without a file.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::address"))]
    pub offset: u64,
    /// The file system's device; `00:00` without a file.
    pub device: Device,
    /// The file's inode number; 0 without a file.
    pub inode: u64,
    /// The last field, byte for byte as the kernel shows it; empty where it shows none.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::name"))]
    pub name: Vec<u8>,
}

impl OwnedMapping {
    /// The row, on which everything else is defined.
    pub fn as_mapping(&self) -> Mapping<'_> {
        Mapping {
            range: self.range,
            perms: self.perms,
            offset: self.offset,
            device: self.device,
            inode: self.inode,
            name: &self.name,
        }
    }
}

impl From<Mapping<'_>> for OwnedMapping {
    fn from(mapping: Mapping<'_>) -> Self {
        mapping.into_owned()
    }
}
