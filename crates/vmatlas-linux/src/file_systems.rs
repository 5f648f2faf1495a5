//! The file systems for which the kernel answers by itself: no other process (FUSE) and no server
//! (NFS) can keep a reader waiting.

/// The contents of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// Files on one block device, whose number is the device of the mount.
    OnDevice,
    /// Files in memory or on several devices; the mount has a device number without a device.
    Files,
    /// Texts that the kernel makes when they are read. A read may wait, or take from others what
    /// they would read.
    Texts,
}

use Contents::{Files, OnDevice, Texts};

/// Names as in /proc/filesystems, and the numbers of statfs(2) (include/uapi/linux/magic.h, or the
/// file system's own header).
const LOCAL: [(&str, u32, Contents); 42] = [
    ("bcachefs", 0xca45_1a4e, Files),
    ("binfmt_misc", 0x4249_4e4d, Texts),
    ("bpf", 0xcafe_4a11, Texts),
    ("btrfs", 0x9123_683e, Files),
    ("cgroup", 0x0027_e0eb, Texts),
    ("cgroup2", 0x6367_7270, Texts),
    ("configfs", 0x6265_6570, Texts),
    ("cpuset", 0x0027_e0eb, Texts),
    ("cramfs", 0x28cd_3d45, OnDevice),
    ("debugfs", 0x6462_6720, Texts),
    ("devpts", 0x1cd1, Texts),
    ("devtmpfs", TMPFS, Files),
    ("efivarfs", 0xde5e_81e4, Texts),
    ("erofs", 0xe0f5_e1e2, OnDevice),
    ("exfat", 0x2011_bab0, OnDevice),
    ("ext4", 0xef53, OnDevice), // also ext2 and ext3
    ("f2fs", 0xf2f5_2010, OnDevice),
    ("fusectl", 0x6573_5543, Texts),
    ("hugetlbfs", 0x9584_58f6, Files),
    ("iso9660", 0x9660, OnDevice),
    ("jfs", 0x3153_464a, OnDevice),
    ("mqueue", 0x1980_0202, Texts),
    ("nilfs2", 0x3434, OnDevice),
    ("nsfs", 0x6e73_6673, Texts),
    ("ntfs3", 0x7366_746e, OnDevice),
    ("proc", 0x9fa0, Texts),
    ("pstore", 0x6165_676c, Texts),
    ("ramfs", 0x8584_58f6, Files),
    ("reiserfs", 0x5265_4973, OnDevice),
    ("resctrl", 0x0765_5821, Texts),
    ("rootfs", TMPFS, Files),
    ("securityfs", 0x7363_6673, Texts),
    ("selinuxfs", 0xf97c_ff8c, Texts),
    ("smackfs", 0x4341_5d53, Texts),
    ("squashfs", 0x7371_7368, OnDevice),
    ("sysfs", 0x6265_6572, Texts),
    ("tmpfs", TMPFS, Files),
    ("tracefs", 0x7472_6163, Texts),
    ("udf", 0x1501_3346, OnDevice),
    ("vfat", 0x4d44, OnDevice),
    ("xfs", 0x5846_5342, OnDevice),
    ("zfs", 0x2fc1_2fc1, Files),
];
const TMPFS: u32 = 0x0102_1994;

/// The contents of the file system with this name; `None` if others answer for it.
pub(crate) fn of_name(name: &[u8]) -> Option<Contents> {
    LOCAL.iter().find(|(known, ..)| known.as_bytes() == name).map(|(.., contents)| *contents)
}

/// The contents of the file system with this number; `None` if others answer for it.
pub(crate) fn of_number(number: u32) -> Option<Contents> {
    LOCAL.iter().find(|(_, known, _)| *known == number).map(|(.., contents)| *contents)
}
