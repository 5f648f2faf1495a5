//! The fields of smaps and smaps_rollup, printed after a row.

mod quick;

use crate::field::{FIELDS, Field, FieldKind};
use crate::names::Names;
use crate::render::decimal;
use std::collections::HashMap;
use std::fmt;

/// The value of a field of smaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmapsValue<'a> {
    /// A size; the kernel prints it in KiB (`kB`).
    Kib(u64),
    /// A number without a unit, such as `THPeligible`.
    Number(u64),
    /// The two-letter flags of `VmFlags`.
    Flags(VmFlags<'a>),
    /// Any other text after the name.
    Text(&'a [u8]),
}

impl SmapsValue<'_> {
    /// The value as a number: sizes in bytes, numbers as they are.
    pub fn number(&self) -> Option<u64> {
        match self {
            SmapsValue::Kib(kib) => Some(kib.saturating_mul(1024)),
            SmapsValue::Number(number) => Some(*number),
            // A size with other blanks than the kernel's.
            SmapsValue::Text(text) => {
                let kib = text.trim_ascii().strip_suffix(b" kB")?;
                Some(number(kib.trim_ascii())?.saturating_mul(1024))
            }
            SmapsValue::Flags(_) => None,
        }
    }

    /// The bytes behind the colon of a line with this field, as the kernel pads them.
    pub(crate) fn after(&self, name: &[u8]) -> Vec<u8> {
        let padded = |number, width, unit: &[u8]| {
            let mut text = vec![b' '; NAME_WIDTH.saturating_sub(name.len() + 1)];
            decimal(&mut text, number, width);
            text.extend_from_slice(unit);
            text
        };
        match *self {
            SmapsValue::Kib(kib) => padded(kib, NUMBER_WIDTH, b" kB"),
            SmapsValue::Number(number) => padded(number, 0, b""),
            SmapsValue::Flags(VmFlags(text)) | SmapsValue::Text(text) => [b" ", text].concat(),
        }
    }
}

/// A field of smaps: its name and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SmapsField<'a> {
    /// The name, without the colon.
    pub name: &'a [u8],
    /// The value.
    pub value: SmapsValue<'a>,
}

/// The flags of a VMA from the line `VmFlags` of smaps, in the kernel's order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VmFlags<'a>(&'a [u8]);

impl<'a> VmFlags<'a> {
    /// Wraps flags of two letters with a blank after each.
    pub fn new(flags: &'a [u8]) -> VmFlags<'a> {
        VmFlags(flags)
    }

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

/// Describes a flag of `VmFlags`; `None` for an unknown flag.
///
/// The flags are those of show_smap_vma_flags() in fs/proc/task_mmu.c, 3.8 to 7.3; the text
/// follows Documentation/filesystems/proc.rst.
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

/// How a field is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Kib,
    /// A number that is padded to eight places.
    Padded,
    Number,
    Flags,
    Text,
}

/// The name and form of a field; its value is a number, or the index of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    name: u32,
    form: Form,
}

/// The fields of all rows of a listing in order, including unknown ones.
///
/// A kernel prints nearly the same fields for each row, so the names are stored once as a shape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    names: Names,
    texts: Names,
    shapes: Vec<Shape>,
    shape_ids: HashMap<Vec<Key>, u32>,
    /// The values of all rows, concatenated.
    values: Vec<u64>,
    /// All rows that have fields, except the last.
    rows: Vec<RowFields>,
    /// The fields of the last row.
    open: Vec<Key>,
    /// The lines of the row before the last one.
    expected: quick::Lines,
}

/// The fields that a row has, in order.
#[derive(Clone, Debug)]
struct Shape {
    keys: Vec<Key>,
    /// The positions of [`SIZES`]; `None` if one of them is no plain number.
    sizes: Option<[Option<u32>; SIZES.len()]>,
    /// The position of `VmFlags`.
    flags: Option<u32>,
}

/// The fields that sums are made from.
pub(crate) const SIZES: [&[u8]; 11] = [
    b"Rss",
    b"Pss",
    b"Private_Clean",
    b"Private_Dirty",
    b"Shared_Dirty",
    b"Swap",
    b"Shared_Hugetlb",
    b"Private_Hugetlb",
    b"AnonHugePages",
    b"ShmemPmdMapped",
    b"FilePmdMapped",
];

/// The location of a row's fields.
#[derive(Clone, Copy, Debug)]
struct RowFields {
    shape: u32,
    values: usize,
}

/// The kernel pads the name with its colon to this width, and a size to eight digits after it.
const NAME_WIDTH: usize = 16;
const NUMBER_WIDTH: usize = 8;

/// Whether the kernel prints the value of a field as a size.
fn is_size(name: &[u8]) -> bool {
    let is_it = |field: &Field| {
        let own = field.smaps_name().filter(|_| field.kind == FieldKind::Bytes);
        own.is_some_and(|own| own.as_bytes() == name)
    };
    // The column `size` is that of the row's range.
    name == b"Size" || FIELDS.iter().any(is_it)
}

/// Whether the value of a field should be a size and is none, as where the text was cut.
pub(crate) fn is_broken_size(name: &[u8], rest: &[u8]) -> bool {
    is_size(name) && SmapsValue::Text(rest).number().is_none()
}

/// Splits a line that has the shape of a field into its name and the rest.
pub(crate) fn field_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().take(64).position(|&b| b == b':')?;
    let (name, rest) = (&line[..colon], &line[colon + 1..]);
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    (name.first()?.is_ascii_alphabetic() && name.iter().all(word)).then_some((name, rest))
}

/// Whether the value of a field is one of smaps, and no other text behind a colon.
pub(crate) fn is_smaps_value(name: &[u8], rest: &[u8]) -> bool {
    rest.ends_with(b" kB") || name == b"VmFlags" || name == b"THPeligible"
}

/// Whether a field is a size that the kernel prints.
pub(crate) fn is_smaps_size(name: &[u8], rest: &[u8]) -> bool {
    rest.ends_with(b" kB") && is_size(name)
}

impl Fields {
    /// Adds a field to row number `row`; no later row may have fields yet.
    pub(crate) fn push(&mut self, row: usize, name: &[u8], rest: &[u8]) {
        self.begin(row);
        // Usually the row before has the same name at this position.
        let last = self.rows.last().and_then(|last| self.shapes.get(last.shape as usize));
        let expected = last.and_then(|shape| shape.keys.get(self.open.len())).map(|key| key.name);
        let name_id = match expected.filter(|&id| self.names.get(id) == name) {
            Some(id) => id,
            None => self.names.id(name),
        };
        let (form, value) = self.take_apart(name, rest);
        self.open.push(Key { name: name_id, form });
        self.values.push(value);
    }

    /// Finishes the fields of all rows before row number `row`.
    fn begin(&mut self, row: usize) {
        while self.rows.len() < row {
            self.close();
        }
    }

    /// Finishes the fields of the last row.
    fn close(&mut self) {
        let values = self.values.len() - self.open.len();
        let last = self.rows.last().map(|last| last.shape);
        let shape = match last.filter(|&shape| self.shapes[shape as usize].keys == self.open) {
            Some(shape) => shape,
            None => {
                let new = self.shapes.len() as u32;
                let shape = *self.shape_ids.entry(self.open.clone()).or_insert(new);
                if shape == new {
                    self.shapes.push(self.shape(self.open.clone()));
                }
                shape
            }
        };
        self.rows.push(RowFields { shape, values });
        self.open.clear();
    }

    /// The number of rows up to the last one with fields.
    pub(crate) fn rows(&self) -> usize {
        self.rows.len() + usize::from(!self.open.is_empty())
    }

    /// The approximate number of bytes stored.
    pub(crate) fn bytes(&self) -> usize {
        self.values.len() * size_of::<u64>() + self.texts.bytes() + self.names.bytes()
    }

    /// Splits a value into form and number if that reproduces its bytes.
    fn take_apart(&mut self, name: &[u8], rest: &[u8]) -> (Form, u64) {
        if name == b"VmFlags" && rest.first() == Some(&b' ') {
            return (Form::Flags, u64::from(self.texts.id(&rest[1..])));
        }
        if !rest.ends_with(b" kB") && is_size(name) {
            return (Form::Text, u64::from(self.texts.id(rest)));
        }
        let (padded, kib) = match rest.strip_suffix(b" kB") {
            Some(padded) => (padded, true),
            None => (rest, false),
        };
        let blanks = padded.iter().take_while(|&&b| b == b' ').count();
        let width = padded.len().checked_sub(NAME_WIDTH.saturating_sub(name.len() + 1));
        if let (Some(number), Some(width)) = (number(&padded[blanks..]), width) {
            let digits = padded.len() - blanks;
            let is_padded = width == digits.max(NUMBER_WIDTH);
            match (kib, is_padded) {
                (true, true) => return (Form::Kib, number),
                (false, true) => return (Form::Padded, number),
                (false, false) if width == digits => return (Form::Number, number),
                _ => {}
            }
        }
        (Form::Text, u64::from(self.texts.id(rest)))
    }

    fn shape(&self, keys: Vec<Key>) -> Shape {
        let mut sizes = [None; SIZES.len()];
        let mut are_plain = true;
        for (at, key) in keys.iter().enumerate() {
            let name = self.names.get(key.name);
            if let Some(size) = SIZES.iter().position(|size| *size == name) {
                are_plain &= key.form == Form::Kib;
                // No kernel prints a field twice: of a damaged text the first counts.
                sizes[size] = sizes[size].or(Some(at as u32));
            }
        }
        let flags = keys.iter().position(|key| key.form == Form::Flags).map(|at| at as u32);
        Shape { keys, sizes: are_plain.then_some(sizes), flags }
    }

    /// The fields named in [`SIZES`] of a row, in bytes.
    pub(crate) fn sizes(&self, row: usize) -> [Option<u64>; SIZES.len()] {
        let fields = self.rows.get(row);
        let plain = fields.and_then(|fields| {
            Some((fields.values, self.shapes.get(fields.shape as usize)?.sizes.as_ref()?))
        });
        if let Some((values, sizes)) = plain {
            let value = |at: Option<u32>| self.values.get(values + at? as usize);
            return sizes.map(|at| value(at).map(|kib| kib.saturating_mul(1024)));
        }
        let mut sizes = [None; SIZES.len()];
        for field in self.iter(row) {
            if let Some(size) = SIZES.iter().position(|size| *size == field.name) {
                sizes[size] = sizes[size].or(field.value.number());
            }
        }
        sizes
    }

    /// The flags of a row.
    pub(crate) fn flags(&self, row: usize) -> Option<VmFlags<'_>> {
        let Some(fields) = self.rows.get(row) else {
            return self.iter(row).find_map(|field| match field.value {
                SmapsValue::Flags(flags) => Some(flags),
                _ => None,
            });
        };
        let at = self.shapes.get(fields.shape as usize)?.flags?;
        let text = *self.values.get(fields.values + at as usize)?;
        Some(VmFlags(self.texts.get(text as u32)))
    }

    fn of_row(&self, row: usize) -> Pairs<'_> {
        let (keys, values) = match self.rows.get(row) {
            Some(fields) => (self.shapes[fields.shape as usize].keys.as_slice(), fields.values),
            None if row == self.rows.len() => {
                (self.open.as_slice(), self.values.len() - self.open.len())
            }
            None => (&[][..], 0),
        };
        keys.iter().zip(&self.values[values..])
    }

    pub(crate) fn iter(&self, row: usize) -> FieldsOfRow<'_> {
        FieldsOfRow(Some((self, self.of_row(row))))
    }

    /// Appends the field lines of a row as the kernel prints them.
    pub(crate) fn write(&self, row: usize, text: &mut Vec<u8>) {
        for (key, &number) in self.of_row(row) {
            let from = text.len();
            text.extend_from_slice(self.names.get(key.name));
            text.push(b':');
            let value_at = text.len().max(from + NAME_WIDTH);
            let mut write_number = |width, unit: &[u8]| {
                text.resize(value_at, b' ');
                decimal(text, number, width);
                text.extend_from_slice(unit);
            };
            match key.form {
                Form::Kib => write_number(NUMBER_WIDTH, b" kB"),
                Form::Padded => write_number(NUMBER_WIDTH, b""),
                Form::Number => write_number(0, b""),
                Form::Flags => {
                    text.push(b' ');
                    text.extend_from_slice(self.texts.get(number as u32));
                }
                Form::Text => text.extend_from_slice(self.texts.get(number as u32)),
            }
            text.push(b'\n');
        }
    }
}

/// Names and values of the fields of a row.
type Pairs<'a> = std::iter::Zip<std::slice::Iter<'a, Key>, std::slice::Iter<'a, u64>>;

/// The fields of a row in order; none if the listing has no fields.
#[derive(Clone, Default)]
pub(crate) struct FieldsOfRow<'a>(Option<(&'a Fields, Pairs<'a>)>);

impl<'a> Iterator for FieldsOfRow<'a> {
    type Item = SmapsField<'a>;

    #[inline]
    fn next(&mut self) -> Option<SmapsField<'a>> {
        let (fields, pairs) = self.0.as_mut()?;
        let (key, &number) = pairs.next()?;
        let text = || fields.texts.get(number as u32);
        let value = match key.form {
            Form::Kib => SmapsValue::Kib(number),
            Form::Padded | Form::Number => SmapsValue::Number(number),
            Form::Flags => SmapsValue::Flags(VmFlags(text())),
            Form::Text => SmapsValue::Text(text()),
        };
        Some(SmapsField { name: fields.names.get(key.name), value })
    }
}

/// Parses a decimal number without leading zeros.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        number.checked_mul(10)?.checked_add(u64::from(digit)).filter(|_| digit < 10)
    })
}
