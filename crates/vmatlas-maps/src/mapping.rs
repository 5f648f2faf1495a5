//! A row of `/proc/PID/maps` as a value.

use crate::escape::{self, Escaped};
use crate::kind::Kind;
use crate::range::AddressRange;
use std::fmt;

/// The permission field: four characters, kept as the producer wrote them.
///
/// Linux writes `r`, `w`, `x` or `-` and then `p` (private) or `s` (`VM_MAYSHARE`; also `S` on
/// kernels without an MMU), see proc_pid_maps(5). Other producers differ: WSL 1 writes `-` last;
/// sources without the fourth field yield `?`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Perms(pub [u8; 4]);

impl Perms {
    /// Whether the pages can be read.
    pub const fn read(self) -> bool {
        self.0[0] == b'r'
    }

    /// Whether the pages can be written.
    pub const fn write(self) -> bool {
        self.0[1] == b'w'
    }

    /// Whether the pages can be executed.
    pub const fn execute(self) -> bool {
        self.0[2] == b'x'
    }

    /// Whether writes are visible to every process that maps the object (`s` or `S`).
    pub const fn shared(self) -> bool {
        matches!(self.0[3], b's' | b'S')
    }

    /// Whether read, write and execute are all denied: a guard or reserved addresses. False if any
    /// of them is unknown (`?`).
    pub const fn none(self) -> bool {
        matches!(self.0, [b'-', b'-', b'-', _])
    }

    /// The part of a file that these permissions imply, as words before its name: `code of`.
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

    /// The four characters; bytes other than printable ASCII become `?`.
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

/// The device of a mapping's file system, as major and minor number.
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
    /// Makes a device from its two numbers.
    pub const fn new(major: u32, minor: u32) -> Self {
        Device { major, minor }
    }

    /// The text of `Display`, without the cost of formatting, which counts in a listing.
    pub(crate) fn text(self) -> Vec<u8> {
        let mut text = Vec::with_capacity(8);
        for (number, end) in [(self.major, Some(b':')), (self.minor, None)] {
            let digits = (u32::BITS - number.leading_zeros()).div_ceil(4).max(2);
            let digit = |place| b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
            text.extend((0..digits).rev().map(digit));
            text.extend(end);
        }
        text
    }
}

/// Formats the device as `maps` does: hexadecimal, each number at least two digits.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}", self.major, self.minor)
    }
}

/// One row of `/proc/PID/maps`: a range of addresses and its attributes.
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
    /// The range of addresses.
    pub range: AddressRange,
    /// The permissions.
    pub perms: Perms,
    /// The file offset of the start, in bytes; 0 without a file.
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

/// The page of vsyscalls of x86-64.
pub(crate) const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;

impl Mapping<'_> {
    /// Whether this is the row of smaps_rollup. It is no mapping: its range includes all that lies
    /// between the first one and the last, mapped or not.
    pub fn is_rollup(&self) -> bool {
        self.perms.0 == *b"---p" && self.name == b"[rollup]"
    }

    /// Whether this is the page for system calls that kernels show at the same address in every
    /// process: that of vsyscalls on x86-64, or that of i386 before the vdso had other addresses
    /// (Linux 2.6). Programs execute its code. Old kernels show it without permissions, and without
    /// a name.
    pub fn is_gate(&self) -> bool {
        const OF_I386: AddressRange = AddressRange::new(0xffff_e000, 0xffff_f000);
        let is_there = self.range == OF_I386 || self.range.start == VSYSCALL;
        is_there && matches!(self.kind(), Kind::Anonymous | Kind::Vdso | Kind::Vsyscall)
    }
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

    /// The file offset in bytes of the byte at `address`; meaningful for an address in the row.
    ///
    /// ```
    /// let row = vmatlas_maps::parse_row(b"7f00-8f00 r-xp 00001000 fe:00 42    /usr/bin/cat")?;
    /// assert_eq!(row.offset_of(0x7f10), 0x1010);
    /// # Ok::<(), vmatlas_maps::RowError>(())
    /// ```
    pub fn offset_of(&self, address: u64) -> u64 {
        self.offset.wrapping_add(address.wrapping_sub(self.range.start))
    }

    /// Copies the name, so that the row outlives the text.
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

/// A [`Mapping`] that owns its name. [`Maps`](crate::Maps) keeps many rows in less memory.
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
    /// The range of addresses.
    pub range: AddressRange,
    /// The permissions.
    pub perms: Perms,
    /// The file offset of the start, in bytes; 0 without a file.
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
    /// Borrows the row as a [`Mapping`].
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

#[cfg(test)]
mod tests {
    use super::Device;

    #[test]
    fn both_texts_of_a_device_are_equal() {
        for (major, minor) in [(0, 0), (0, 0x1b), (0xfe, 0), (0x103, 0xf), (0xfff, 0xf_ffff)] {
            let device = Device::new(major, minor);
            assert_eq!(device.text(), device.to_string().into_bytes());
        }
    }
}
