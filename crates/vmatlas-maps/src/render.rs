//! Renders rows as a kernel prints them.

use crate::kernel::{KernelVersion, WordSize};
use crate::kind::Kind;
use crate::mapping::Mapping;

/// How a kernel lays out a row.
///
/// The rules are those of fs/proc/array.c (2.0 to 2.4) and fs/proc/task_mmu.c (2.6.0 to 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TextFormat {
    /// The kernel's word size, which determines the column of the name.
    pub word_size: WordSize,
    /// Whether rows have names; 2.0 prints none.
    pub names: bool,
    /// Whether a row without a name ends in a blank, as it does since 2.6.0.
    pub trailing_blank: bool,
    /// Whether a 64-bit kernel pads addresses and offsets to 16 digits, as it did before 2.6.0.
    pub wide_numbers: bool,
    /// Whether a line feed in a name becomes `\012`, as it does since 2.6.10.
    pub escaped: bool,
    /// Whether an offset is truncated to 32 bits, as on 32-bit kernels before 2.6.28 (the exact
    /// release of 2.6.2x that fixed it is not established).
    pub narrow_offset: bool,
}

impl Default for TextFormat {
    /// The format of a current 64-bit kernel.
    fn default() -> Self {
        TextFormat::today(WordSize::Bits64)
    }
}

impl TextFormat {
    /// The format of kernels since 2.6.10.
    pub const fn today(word_size: WordSize) -> Self {
        TextFormat {
            word_size,
            names: true,
            trailing_blank: true,
            wide_numbers: false,
            escaped: true,
            narrow_offset: false,
        }
    }

    /// The format of a kernel of that version.
    pub fn of(version: KernelVersion, word_size: WordSize) -> Self {
        let since = |major, minor, patch| version >= KernelVersion::new(major, minor, patch);
        TextFormat {
            word_size,
            names: since(2, 1, 0),
            trailing_blank: since(2, 6, 0),
            wide_numbers: !since(2, 6, 0) && word_size == WordSize::Bits64,
            escaped: since(2, 6, 10),
            narrow_offset: !since(2, 6, 28) && word_size == WordSize::Bits32,
        }
    }

    /// Appends the row's line, with its line feed.
    ///
    /// ```
    /// let row = vmatlas_maps::parse_row(b"1000-2000 rw-p 0 0:0 0 [heap]")?;
    /// let mut line = Vec::new();
    /// vmatlas_maps::TextFormat::default().write_row(&row, &mut line);
    /// assert_eq!(
    ///     String::from_utf8_lossy(&line),
    ///     format!("{:73}[heap]\n", "00001000-00002000 rw-p 00000000 00:00 0")
    /// );
    /// # Ok::<(), vmatlas_maps::RowError>(())
    /// ```
    pub fn write_row(&self, row: &Mapping<'_>, line: &mut Vec<u8>) {
        let from = line.len();
        let digits = if self.wide_numbers { 16 } else { 8 };
        let offset_mask = if self.narrow_offset { u64::from(u32::MAX) } else { u64::MAX };
        // The widest fields take 74 bytes.
        let mut fields = Fixed { bytes: [0; 128], length: 0 };
        fields.hexadecimal(row.range.start, digits);
        fields.push(b"-");
        fields.hexadecimal(row.range.end, digits);
        fields.push(b" ");
        fields.push(&row.perms.0);
        fields.push(b" ");
        fields.hexadecimal(row.offset & offset_mask, digits);
        fields.push(b" ");
        fields.hexadecimal(u64::from(row.device.major), 2);
        fields.push(b":");
        fields.hexadecimal(u64::from(row.device.minor), 2);
        fields.push(b" ");
        line.extend_from_slice(&fields.bytes[..fields.length]);
        decimal(line, row.inode, 0);
        let named = self.names && !row.name.is_empty();
        if self.trailing_blank {
            line.push(b' ');
        }
        if named {
            // Since 2.6.0 one more blank follows even if the fields pass the column.
            let column = from + self.word_size.name_column();
            let least = line.len() + 1;
            line.resize(column.max(least), b' ');
            self.write_name(row.name, line);
        }
        line.push(b'\n');
    }

    fn write_name(&self, name: &[u8], line: &mut Vec<u8>) {
        if !self.escaped {
            line.extend_from_slice(name);
            return;
        }
        for (i, part) in name.split(|&b| b == b'\n').enumerate() {
            if i > 0 {
                line.extend_from_slice(br"\012");
            }
            line.extend_from_slice(part);
        }
    }
}

/// The name that a kernel of that version shows for the mapping of a row; the row's own name if
/// no difference is known.
///
/// This follows only what the row itself shows. The rows that a version joins or splits, and the
/// guard page of a stack that it hides (2.6.36 to 4.11), depend on the address space.
pub fn name_in<'a>(version: KernelVersion, row: &Mapping<'a>) -> &'a [u8] {
    let since = |major, minor, patch| version >= KernelVersion::new(major, minor, patch);
    let shown = match row.kind() {
        Kind::Heap | Kind::Stack => since(2, 6, 10),
        Kind::Vdso => since(2, 6, 16),
        Kind::ThreadStack { .. } => since(3, 4, 0) && !since(4, 5, 0),
        Kind::NamedAnonymous { .. } => since(5, 17, 0),
        // Android's /dev/ashmem is older and keeps its name.
        Kind::NamedSharedAnonymous { .. } if row.name[0] == b'[' && !since(6, 2, 0) => {
            return b"/dev/zero (deleted)";
        }
        Kind::Vvar if !since(6, 13, 0) => return b"[vvar]",
        _ => true,
    };
    if shown { row.name } else { b"" }
}

/// A buffer of bytes that are written at once.
struct Fixed {
    bytes: [u8; 128],
    length: usize,
}

impl Fixed {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// Appends `value` in lower-case hexadecimal, padded with zeros to at least `width`.
    fn hexadecimal(&mut self, value: u64, width: usize) {
        let needed = (u64::BITS - value.leading_zeros()).div_ceil(4) as usize;
        let width = needed.max(width);
        let digits = self.bytes[self.length..self.length + width].iter_mut().rev();
        for (place, digit) in digits.enumerate() {
            *digit = b"0123456789abcdef"[(value >> (4 * place)) as usize & 15];
        }
        self.length += width;
    }
}

/// Appends `value` in decimal, padded with blanks to at least `width`.
pub(crate) fn decimal(line: &mut Vec<u8>, mut value: u64, width: usize) {
    // The largest number has 20 digits.
    let mut digits = [b' '; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at.min(digits.len() - width.min(digits.len()))..]);
}
