//! The table of row fields, which filters, columns, CSV and JSON share.

use crate::identity::Identity;
use crate::mapping::{Device, Mapping, OwnedMapping, Perms};
use crate::totals::Sizes as RowSizes;
use std::borrow::Cow;

/// A field of a row, as named by `--where`, `--columns` and `--sort` and printed in CSV and JSON.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Field {
    /// Its name, one word in lower case.
    pub name: &'static str,
    /// The type of its values.
    pub kind: FieldKind,
    /// The data that the field requires.
    pub needs: FieldNeeds,
    value: Compute,
}

/// How a value is computed.
#[derive(Clone, Copy, Debug)]
enum Compute {
    By(for<'r> fn(&'r dyn FieldRow) -> FieldValue<'r>),
    /// A field of smaps, by the kernel's name.
    Smaps(&'static str),
    /// A sum of fields of smaps.
    Sum(fn(&RowSizes) -> Option<u64>),
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldKind {
    /// An address or a file offset in bytes, written in hexadecimal.
    Address,
    /// A number of bytes.
    Bytes,
    /// A number without a unit.
    Number,
    /// Yes or no.
    Flag,
    /// Text, which need not be UTF-8.
    Text,
}

/// The data that a field requires besides the row itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldNeeds {
    /// The row is enough.
    Row,
    /// The fields of smaps.
    Sizes,
    /// A second source for the file's name.
    Names,
    /// The section headers of the file.
    Sections,
    /// The label of the memory.
    Labels,
    /// The origin of the memory: the call that mapped it.
    Origins,
    /// The process that the rows are of.
    Process,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// An address or a file offset in bytes.
    Address(u64),
    /// A number of bytes.
    Bytes(u64),
    /// A number without a unit.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// Bytes, which need not be UTF-8.
    Text(Cow<'a, [u8]>),
    /// The four characters of the permissions.
    Perms(Perms),
    /// The row has a value that this source does not know.
    Unknown,
    /// The row has no such value.
    Absent,
}

impl FieldValue<'_> {
    /// The value of an address, a size or a number; `None` for other types.
    pub fn number(&self) -> Option<u64> {
        match self {
            FieldValue::Address(number)
            | FieldValue::Bytes(number)
            | FieldValue::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The bytes that filters compare and CSV holds: numbers in decimal, addresses with `0x`,
    /// `true` or `false`, `?` for an unknown value.
    pub fn text(&self) -> Cow<'_, [u8]> {
        match self {
            FieldValue::Address(number) => Cow::Owned(format!("{number:#x}").into_bytes()),
            FieldValue::Bytes(number) | FieldValue::Number(number) => {
                Cow::Owned(number.to_string().into_bytes())
            }
            FieldValue::Flag(flag) => word(if *flag { "true" } else { "false" }),
            FieldValue::Text(text) => Cow::Borrowed(text),
            FieldValue::Perms(perms) => Cow::Borrowed(&perms.0),
            FieldValue::Unknown => word("?"),
            FieldValue::Absent => word(""),
        }
    }
}

/// A row with its fields. A field that the source does not know is absent.
pub trait FieldRow {
    /// The row itself.
    fn mapping(&self) -> Mapping<'_>;

    /// A field of smaps; the name is matched in any case. Sizes are in bytes.
    fn smaps(&self, _name: &str) -> Option<u64> {
        None
    }

    /// Sums of fields of smaps.
    fn sizes(&self) -> RowSizes {
        RowSizes::default()
    }

    /// The device; `None` if it is not known.
    fn device(&self) -> Option<Device> {
        Some(self.mapping().device)
    }

    /// The inode number; `None` if it is not known.
    fn inode(&self) -> Option<u64> {
        Some(self.mapping().inode)
    }

    /// The path of the row's file.
    fn path(&self) -> Option<Cow<'_, [u8]>> {
        Some(self.mapping().file_name()?.path.into_owned().into())
    }

    /// Whether the name of the row's file was unlinked.
    fn deleted(&self) -> Option<bool> {
        self.mapping().file_name()?.deleted
    }

    /// The change of the file since it was mapped, in one word; empty if it did not change.
    fn state(&self) -> &str {
        ""
    }

    /// The largest sections of the file within the row.
    fn sections(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    /// The label of the row; empty if it is not known.
    fn label(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }

    /// The confidence of the label, in one word.
    fn confidence(&self) -> &str {
        ""
    }

    /// The evidence for the label.
    fn because(&self) -> &str {
        ""
    }

    /// The process that the row is of; `None` if nothing is known of it.
    fn identity(&self) -> Option<&Identity> {
        None
    }

    /// The origin of the row in one line: the call that mapped it.
    fn origin(&self) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
}

impl FieldRow for Mapping<'_> {
    fn mapping(&self) -> Mapping<'_> {
        *self
    }
}

impl FieldRow for OwnedMapping {
    fn mapping(&self) -> Mapping<'_> {
        self.as_mapping()
    }
}

const fn field(
    name: &'static str,
    kind: FieldKind,
    needs: FieldNeeds,
    value: for<'r> fn(&'r dyn FieldRow) -> FieldValue<'r>,
) -> Field {
    Field { name, kind, needs, value: Compute::By(value) }
}

/// A size field of smaps; the kernel prints it in KiB.
const fn size(name: &'static str, kernel_name: &'static str) -> Field {
    let value = Compute::Smaps(kernel_name);
    Field { name, kind: FieldKind::Bytes, needs: FieldNeeds::Sizes, value }
}

/// A sum of size fields of smaps.
const fn sum(name: &'static str, sum: fn(&RowSizes) -> Option<u64>) -> Field {
    Field { name, kind: FieldKind::Bytes, needs: FieldNeeds::Sizes, value: Compute::Sum(sum) }
}

use FieldKind::{Address, Bytes, Flag, Number, Text};
use FieldNeeds::{Labels, Names, Origins, Process, Row, Sections, Sizes};

/// All fields, in listing order.
///
/// The smaps fields are those that fs/proc/task_mmu.c prints with a number, Linux 2.6.14 to 7.3.
/// A source may have others: [`Maps::fields`](crate::Maps::fields) returns all of them.
pub const FIELDS: &[Field] = &[
    field("start", Address, Row, |row| FieldValue::Address(row.mapping().range.start)),
    field("end", Address, Row, |row| FieldValue::Address(row.mapping().range.end)),
    field("size", Bytes, Row, |row| FieldValue::Bytes(row.mapping().range.size())),
    field("perms", Text, Row, |row| FieldValue::Perms(row.mapping().perms)),
    field("offset", Address, Row, |row| FieldValue::Address(row.mapping().offset)),
    field("device", Text, Row, |row| {
        let text = |device: Device| FieldValue::Text(device.text().into());
        row.device().map_or(FieldValue::Unknown, text)
    }),
    field("inode", Number, Row, |row| row.inode().map_or(FieldValue::Unknown, FieldValue::Number)),
    field("name", Text, Row, |row| FieldValue::Text(Cow::Borrowed(row.mapping().name))),
    field("kind", Text, Row, |row| FieldValue::Text(word(row.mapping().kind().word()))),
    field("path", Text, Row, |row| row.path().map_or(FieldValue::Absent, FieldValue::Text)),
    field("deleted", Flag, Row, |row| row.deleted().map_or(FieldValue::Absent, FieldValue::Flag)),
    field("state", Text, Names, |row| FieldValue::Text(word(row.state()))),
    field("sections", Text, Sections, |row| text(row.sections())),
    field("label", Text, Labels, |row| text(row.label())),
    field("confidence", Text, Labels, |row| FieldValue::Text(word(row.confidence()))),
    field("because", Text, Labels, |row| FieldValue::Text(word(row.because()))),
    field("origin", Text, Origins, |row| text(row.origin())),
    field("pid", Number, Process, |row| {
        number(row.identity().and_then(|of| of.pid.map(u64::from)))
    }),
    field("comm", Text, Process, |row| of_process(row.identity().map(|of| &of.comm[..]))),
    field("exe", Text, Process, |row| of_process(row.identity().map(|of| &of.exe[..]))),
    field("uid", Number, Process, |row| {
        number(row.identity().and_then(|of| of.uid.map(u64::from)))
    }),
    field("cgroup", Text, Process, |row| of_process(row.identity().map(|of| of.cgroup.as_bytes()))),
    field("container", Text, Process, |row| {
        of_process(row.identity().map(|of| of.container.as_bytes()))
    }),
    field("unit", Text, Process, |row| of_process(row.identity().map(|of| of.unit.as_bytes()))),
    field("started", Number, Process, |row| number(row.identity().and_then(|of| of.started))),
    size("kernelpagesize", "KernelPageSize"),
    size("mmupagesize", "MMUPageSize"),
    size("rss", "Rss"),
    size("pss", "Pss"),
    size("pss_dirty", "Pss_Dirty"),
    size("pss_anon", "Pss_Anon"),
    size("pss_file", "Pss_File"),
    size("pss_shmem", "Pss_Shmem"),
    size("shared_clean", "Shared_Clean"),
    size("shared_dirty", "Shared_Dirty"),
    size("private_clean", "Private_Clean"),
    size("private_dirty", "Private_Dirty"),
    size("referenced", "Referenced"),
    size("anonymous", "Anonymous"),
    size("ksm", "KSM"),
    size("lazyfree", "LazyFree"),
    size("anonhugepages", "AnonHugePages"),
    size("shmempmdmapped", "ShmemPmdMapped"),
    size("filepmdmapped", "FilePmdMapped"),
    size("shared_hugetlb", "Shared_Hugetlb"),
    size("private_hugetlb", "Private_Hugetlb"),
    sum("hugetlb", |sizes| sizes.hugetlb),
    sum("uss", |sizes| sizes.uss),
    sum("dirty", |sizes| sizes.dirty),
    sum("thp", |sizes| sizes.thp),
    size("swap", "Swap"),
    size("swappss", "SwapPss"),
    size("locked", "Locked"),
    Field { name: "thpeligible", kind: Number, needs: Sizes, value: Compute::Smaps("THPeligible") },
    Field {
        name: "protectionkey",
        kind: Number,
        needs: Sizes,
        value: Compute::Smaps("ProtectionKey"),
    },
];

fn number<'r>(number: Option<u64>) -> FieldValue<'r> {
    number.map_or(FieldValue::Absent, FieldValue::Number)
}

fn of_process(text: Option<&[u8]>) -> FieldValue<'_> {
    FieldValue::Text(Cow::Borrowed(text.unwrap_or_default()))
}

fn word(word: &str) -> Cow<'_, [u8]> {
    Cow::Borrowed(word.as_bytes())
}

fn text(text: Cow<'_, str>) -> FieldValue<'_> {
    FieldValue::Text(match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

impl Field {
    /// Looks up a field by name.
    ///
    /// ```
    /// use vmatlas_maps::{Field, FieldValue};
    /// let row = vmatlas_maps::parse_row(b"1000-3000 rw-p 00000000 00:00 0")?;
    /// let size = Field::named("size").unwrap();
    /// assert_eq!(size.value(&row), FieldValue::Bytes(0x2000));
    /// # Ok::<(), vmatlas_maps::RowError>(())
    /// ```
    pub fn named(name: &str) -> Option<&'static Field> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// Whether it is a sum of fields of smaps, and no field of its own.
    pub fn is_sum(&self) -> bool {
        matches!(self.value, Compute::Sum(_))
    }

    /// The value of this field among the sizes of a row, if it is a sum that the row has.
    pub fn sum_of(&self, sizes: &RowSizes) -> Option<u64> {
        match self.value {
            Compute::Sum(of) => of(sizes),
            _ => None,
        }
    }

    /// The kernel's name of a field of smaps, such as `Pss_Dirty`; `None` if the value is not
    /// printed in smaps.
    pub fn smaps_name(&self) -> Option<&'static str> {
        match self.value {
            Compute::Smaps(name) => Some(name),
            Compute::Sum(_) | Compute::By(_) => None,
        }
    }

    /// The value of this field in a row.
    pub fn value<'r>(&self, row: &'r dyn FieldRow) -> FieldValue<'r> {
        match self.value {
            Compute::By(compute) => compute(row),
            Compute::Smaps(name) => match (row.smaps(name), self.kind) {
                (Some(number), FieldKind::Number) => FieldValue::Number(number),
                (Some(number), _) => FieldValue::Bytes(number),
                (None, _) => FieldValue::Absent,
            },
            Compute::Sum(of) => of(&row.sizes()).map_or(FieldValue::Absent, FieldValue::Bytes),
        }
    }
}
