//! The facts that a program must have read from a text for its time to count.

use std::fmt;

/// Sums over all rows. A program that misreads a field gets a wrong sum.
///
/// Adding up is a part of every measured run: it takes little time, it is the same for all
/// programs, and none can leave out a field. Sums wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The number of rows.
    pub rows: u64,
    /// The sum of the first addresses.
    pub starts: u64,
    /// The sum of the end addresses.
    pub ends: u64,
    /// The sum of the file offsets.
    pub offsets: u64,
    /// The sum of the inode numbers.
    pub inodes: u64,
    /// The sum of the lengths of the names, in bytes.
    pub name_bytes: u64,
}

impl Answer {
    /// Adds a row.
    #[inline]
    pub fn add(&mut self, start: u64, end: u64, offset: u64, inode: u64, name_len: usize) {
        self.rows += 1;
        self.starts = self.starts.wrapping_add(start);
        self.ends = self.ends.wrapping_add(end);
        self.offsets = self.offsets.wrapping_add(offset);
        self.inodes = self.inodes.wrapping_add(inode);
        self.name_bytes += name_len as u64;
    }

    /// Parses kernel text in the plainest way, by the kernel's format alone: fields end at blanks,
    /// the name begins in column 73 or, after a longer header, after one blank (fs/proc/task_mmu.c,
    /// `show_map_vma`). The text must come from a current 64-bit kernel.
    pub fn naive(text: &[u8]) -> Answer {
        let mut answer = Answer::default();
        for line in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()) {
            let mut fields = line.splitn(6, |&b| b == b' ');
            let mut field = || std::str::from_utf8(fields.next().unwrap_or_default()).unwrap_or("");
            let hex = |text: &str| u64::from_str_radix(text, 16).expect("a number of the kernel");
            let (start, end) = field().split_once('-').expect("two addresses");
            let (_perms, offset, _device, inode) = (field(), field(), field(), field());
            let blanks = line.iter().filter(|&&b| b == b' ').count();
            let name = if blanks == 5 && line.ends_with(b" ") {
                0
            } else {
                let header: usize =
                    line.splitn(6, |&b| b == b' ').take(5).map(|f| f.len() + 1).sum();
                line.len() - header.max(73)
            };
            let inode = inode.parse().expect("an inode number");
            answer.add(hex(start), hex(end), hex(offset), inode, name);
        }
        answer
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { rows, starts, ends, offsets, inodes, name_bytes } = self;
        write!(
            f,
            "{rows} rows, starts {starts:x}, ends {ends:x}, offsets {offsets:x}, inodes {inodes}, \
             {name_bytes} bytes of names"
        )
    }
}
