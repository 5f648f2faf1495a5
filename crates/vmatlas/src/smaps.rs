//! The fields that smaps and smaps_rollup print below a row.

use crate::names::Names;
use std::fmt;

/// The value of a field of smaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A size; the kernel prints it in KiB (`kB`).
    Kib(u64),
    /// A number without a unit, such as `THPeligible`.
    Number(u64),
    /// The two-letter flags of `VmFlags`.
    Flags(VmFlags<'a>),
    /// Anything else, as it stands after the name.
    Text(&'a [u8]),
}

impl Value<'_> {
    /// The value as a number: sizes in bytes, numbers as they are.
    pub fn number(&self) -> Option<u64> {
        match self {
            Value::Kib(kib) => Some(kib.saturating_mul(1024)),
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// A field of smaps: its name, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without the colon.
    pub name: &'a [u8],
    /// The value.
    pub value: Value<'a>,
}

/// The flags of a VMA as smaps prints them (`VmFlags`), in the kernel's order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VmFlags<'a>(&'a [u8]);

impl<'a> VmFlags<'a> {
    /// The two letters of each flag.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        self.0.split(|&b| b == b' ').filter(|flag| !flag.is_empty())
    }

    /// Whether this flag is set.
    pub fn has(self, flag: &str) -> bool {
        self.iter().any(|f| f == flag.as_bytes())
    }
}

impl fmt::Debug for VmFlags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

/// What a flag of `VmFlags` means; `None` for a flag that is not known.
///
/// The flags of show_smap_vma_flags() in fs/proc/task_mmu.c, 3.8 to 7.3, as
/// Documentation/filesystems/proc.rst explains them.
pub fn vm_flag_meaning(flag: &[u8]) -> Option<&'static str> {
    Some(match flag {
        b"rd" => "readable",
        b"wr" => "writable",
        b"ex" => "executable",
        b"sh" => "shared",
        b"mr" => "may become readable",
        b"mw" => "may become writable",
        b"me" => "may become executable",
        b"ms" => "may become shared",
        b"gd" => "stack that grows down",
        b"pf" => "pure page frame numbers",
        b"dw" => "writes to the mapped file are refused",
        b"lo" => "locked in memory",
        b"io" => "memory-mapped input and output",
        b"sr" => "advised: read sequentially",
        b"rr" => "advised: read at random",
        b"dc" => "not copied on fork",
        b"de" => "does not grow on mremap",
        b"ac" => "counted as committed memory",
        b"nr" => "swap space is not reserved",
        b"ht" => "huge pages of hugetlbfs",
        b"sf" => "synchronous page faults",
        b"nl" => "non-linear",
        b"ar" => "architecture specific",
        b"wf" => "wiped on fork",
        b"dd" => "left out of core dumps",
        b"sd" => "soft-dirty",
        b"mm" => "mixed page frame numbers and pages",
        b"hg" => "advised: huge pages",
        b"nh" => "advised: no huge pages",
        b"mg" => "advised: merge equal pages",
        b"bt" => "guarded control flow (BTI)",
        b"mt" => "memory tags (MTE)",
        b"um" => "userfaultfd: missing pages",
        b"uw" => "userfaultfd: write protection",
        b"ui" => "userfaultfd: minor faults",
        b"ss" => "shadow or guarded control stack",
        b"sl" => "sealed",
        b"dp" => "pages may be dropped",
        b"gu" => "may hold guard pages",
        b"lf" => "locked when faulted",
        b"mp" => "memory protection extensions (MPX)",
        _ => return None,
    })
}

/// How a value is stored beside its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Kib,
    /// A number printed with that width.
    Number(u8),
    Flags,
    Text,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    name: u32,
    form: Form,
    /// The number, or the id of the text.
    value: u64,
}

/// The fields of all rows of a listing, kept in order, unknown ones too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// A row has some 25 fields of different names.
    names: Names<64>,
    texts: Names<16>,
    stored: Vec<Stored>,
    /// Where each row's fields end in `stored`.
    ends: Vec<usize>,
}

/// The name is padded to this width with its colon, and a size to eight digits after it.
const NAME_WIDTH: usize = 16;
const NUMBER_WIDTH: usize = 8;

/// The name and the rest of a line that has the shape of a field.
pub(crate) fn field_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().take(64).position(|&b| b == b':')?;
    let (name, rest) = (&line[..colon], &line[colon + 1..]);
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    (name.first()?.is_ascii_alphabetic() && name.iter().all(word)).then_some((name, rest))
}

impl Fields {
    /// Adds a field to row number `row`, which is the last that has any.
    pub(crate) fn push(&mut self, row: usize, name: &[u8], rest: &[u8]) {
        self.ends.resize(row + 1, self.stored.len());
        let (form, value) = self.store(name, rest);
        let name = self.names.id(name);
        self.stored.push(Stored { name, form, value });
        self.ends[row] = self.stored.len();
    }

    /// How many rows there are up to the last that has a field.
    pub(crate) fn rows(&self) -> usize {
        self.ends.len()
    }

    /// Takes a value apart if that gives its bytes back when put together again.
    fn store(&mut self, name: &[u8], rest: &[u8]) -> (Form, u64) {
        if name == b"VmFlags" && rest.first() == Some(&b' ') {
            return (Form::Flags, u64::from(self.texts.id(&rest[1..])));
        }
        let number =
            rest.trim_ascii_start().strip_suffix(b" kB").unwrap_or(rest.trim_ascii_start());
        let number = std::str::from_utf8(number).ok().and_then(|n| n.parse::<u64>().ok());
        if let Some(number) = number {
            for form in [Form::Kib, Form::Number(0), Form::Number(NUMBER_WIDTH as u8)] {
                let mut line = name.to_vec();
                write_value(form, number, &mut line);
                if line[name.len() + 1..] == *rest {
                    return (form, number);
                }
            }
        }
        (Form::Text, u64::from(self.texts.id(rest)))
    }

    fn of_row(&self, row: usize) -> &[Stored] {
        let end = self.ends.get(row).copied().unwrap_or(self.stored.len());
        let start =
            if row == 0 { 0 } else { self.ends.get(row - 1).copied().unwrap_or(self.stored.len()) };
        &self.stored[start..end]
    }

    pub(crate) fn iter(&self, row: usize) -> impl Iterator<Item = Field<'_>> {
        self.of_row(row).iter().map(|stored| {
            let text = || self.texts.get(stored.value as u32);
            let value = match stored.form {
                Form::Kib => Value::Kib(stored.value),
                Form::Number(_) => Value::Number(stored.value),
                Form::Flags => Value::Flags(VmFlags(text())),
                Form::Text => Value::Text(text()),
            };
            Field { name: self.names.get(stored.name), value }
        })
    }

    /// Appends the lines of a row's fields as the kernel prints them.
    pub(crate) fn write(&self, row: usize, text: &mut Vec<u8>) {
        for stored in self.of_row(row) {
            let from = text.len();
            text.extend_from_slice(self.names.get(stored.name));
            match stored.form {
                Form::Flags => {
                    text.extend_from_slice(b": ");
                    text.extend_from_slice(self.texts.get(stored.value as u32));
                }
                Form::Text => {
                    text.push(b':');
                    text.extend_from_slice(self.texts.get(stored.value as u32));
                }
                form => {
                    let mut line = text.split_off(from);
                    write_value(form, stored.value, &mut line);
                    text.append(&mut line);
                }
            }
            text.push(b'\n');
        }
    }
}

/// Appends colon, padding and number to the name that is all of `line`.
fn write_value(form: Form, number: u64, line: &mut Vec<u8>) {
    line.push(b':');
    line.resize(line.len().max(NAME_WIDTH), b' ');
    let (width, unit) = match form {
        Form::Kib => (NUMBER_WIDTH, " kB"),
        Form::Number(width) => (usize::from(width), ""),
        Form::Flags | Form::Text => (0, ""),
    };
    line.extend_from_slice(format!("{number:width$}{unit}").as_bytes());
}
