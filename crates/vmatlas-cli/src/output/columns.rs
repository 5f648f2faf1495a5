//! The columns of the table and of CSV: what `--columns` and `--sort` name.

use crate::output::words;
use crate::row::Row;
use crate::trouble::Trouble;
use std::borrow::Cow;
use std::cmp::Ordering;

/// A column: its name, whether it is a number, and how to get its value.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    value: Value,
}

#[derive(Clone, Copy)]
enum Value {
    /// An address or offset, shown in hexadecimal.
    Hexadecimal(fn(&Row<'_>) -> u64),
    /// A size in bytes.
    Size(fn(&Row<'_>) -> u64),
    /// A number, where it is known.
    Number(fn(&Row<'_>) -> Option<u64>),
    /// Bytes, which need not be UTF-8.
    Text(for<'a> fn(&Row<'a>) -> Cow<'a, [u8]>),
    /// A size of smaps, by its name in lower case.
    Smaps,
}

use Value::{Hexadecimal, Number, Size, Smaps, Text};

const COLUMNS: [Column; 17] = [
    Column { name: "start", value: Hexadecimal(|row| row.mapping.range.start) },
    Column { name: "end", value: Hexadecimal(|row| row.mapping.range.end) },
    Column { name: "size", value: Size(|row| row.mapping.range.size()) },
    Column { name: "perms", value: Text(|row| Cow::Owned(row.mapping.perms.0.to_vec())) },
    Column { name: "offset", value: Hexadecimal(|row| row.mapping.offset) },
    Column {
        name: "device",
        value: Text(|row| {
            row.device().map_or(word("?"), |device| Cow::Owned(device.to_string().into()))
        }),
    },
    Column { name: "inode", value: Number(|row| row.inode()) },
    Column { name: "kind", value: Text(|row| word(row.mapping.kind().word())) },
    Column { name: "name", value: Text(|row| Cow::Borrowed(row.mapping.name)) },
    Column { name: "path", value: Text(|row| row.path().unwrap_or_default()) },
    Column {
        name: "deleted",
        value: Text(|row| {
            word(row.deleted().map_or("", |deleted| if deleted { "true" } else { "false" }))
        }),
    },
    Column {
        name: "state",
        value: Text(|row| word(row.truth.map_or("", |truth| truth.now.note()))),
    },
    Column { name: "sections", value: Text(|row| word(row.sections())) },
    Column { name: "label", value: Text(|row| Cow::Owned(row.label_text().into_bytes())) },
    Column {
        name: "confidence",
        value: Text(|row| word(row.label().map_or("", |label| label.confidence.word()))),
    },
    Column {
        name: "because",
        value: Text(|row| word(row.label().map_or("", |label| &label.because))),
    },
    Column { name: "origin", value: Text(|row| Cow::Owned(row.origin().into_bytes())) },
];

fn word(word: &str) -> Cow<'_, [u8]> {
    Cow::Borrowed(word.as_bytes())
}

/// The sizes of smaps that have columns.
const SMAPS: [&str; 10] = [
    "rss",
    "pss",
    "shared_clean",
    "shared_dirty",
    "private_clean",
    "private_dirty",
    "referenced",
    "anonymous",
    "swap",
    "locked",
];

impl Column {
    /// The column of that name.
    pub(crate) fn of(name: &str, sizes: bool) -> Result<Column, Trouble> {
        let smaps = SMAPS.iter().map(|name| Column { name, value: Smaps });
        let found =
            COLUMNS.into_iter().chain(smaps.filter(|_| sizes)).find(|column| column.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).chain(SMAPS).collect();
            let help = if SMAPS.contains(&name) { "needs --sizes" } else { "is no column" };
            Trouble::new(format!("`{name}` {help}; there are {}", names.join(", ")))
        })
    }

    /// Columns by their names.
    pub(crate) fn list(names: &[String], sizes: bool) -> Result<Vec<Column>, Trouble> {
        names.iter().map(|name| Column::of(name, sizes)).collect()
    }

    /// The value as it stands in a file for programs: numbers whole, addresses with `0x`.
    pub(crate) fn exact<'a>(&self, row: &Row<'a>) -> Cow<'a, [u8]> {
        let text = match self.value {
            Text(value) => return value(row),
            Hexadecimal(value) => format!("{:#x}", value(row)),
            Size(value) => value(row).to_string(),
            Number(value) => value(row).map_or("?".to_owned(), |number| number.to_string()),
            Smaps => row.size(self.name).map_or(String::new(), |size| size.to_string()),
        };
        Cow::Owned(text.into_bytes())
    }

    /// The value as people read it.
    pub(crate) fn short(&self, row: &Row<'_>) -> String {
        match self.value {
            Hexadecimal(value) => format!("{:x}", value(row)),
            Size(value) => words::size(value(row)),
            Number(value) => value(row).map_or("?".to_owned(), |number| number.to_string()),
            Text(value) => words::name(&value(row)),
            Smaps => row.size(self.name).map_or(String::new(), words::size),
        }
    }

    /// Whether it is aligned to the right.
    pub(crate) fn is_number(&self) -> bool {
        !matches!(self.value, Text(_))
    }

    /// Whether its value takes a look into files.
    pub(crate) fn needs_sections(&self) -> bool {
        self.name == "sections"
    }

    /// Whether its value takes labels.
    pub(crate) fn needs_labels(&self) -> bool {
        matches!(self.name, "label" | "confidence" | "because")
    }

    /// The order of two rows by this column.
    pub(crate) fn compare(&self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        match self.value {
            Hexadecimal(value) | Size(value) => value(a).cmp(&value(b)),
            Number(value) => value(a).cmp(&value(b)),
            Text(value) => value(a).cmp(&value(b)),
            Smaps => a.size(self.name).cmp(&b.size(self.name)),
        }
    }
}
