//! Fields of rows as columns, for `--columns` and `--sort`.

use crate::trouble::Trouble;
use std::borrow::Cow;
use std::cmp::Ordering;
use vmatlas::{FIELDS, Field, FieldKind, FieldNeeds, FieldValue, Row, words};

/// A field as a column of the table or of CSV.
#[derive(Clone, Copy)]
pub(crate) struct Column(pub(crate) &'static Field);

impl Column {
    /// Finds a column by its name. Columns of smaps fields require sizes.
    pub(crate) fn of(name: &str, sizes: bool) -> Result<Column, Trouble> {
        let needs_sizes = |field: &&Field| field.needs == FieldNeeds::Sizes;
        match Field::named(name) {
            Some(field) if sizes || !needs_sizes(&field) => Ok(Column(field)),
            found => {
                let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
                let help = if found.is_some() {
                    "needs the sizes of smaps (--sizes, or a text of smaps)"
                } else {
                    "is no column"
                };
                Err(Trouble::new(format!("`{name}` {help}; there are {}", names.join(", "))))
            }
        }
    }

    /// Finds columns by their names.
    pub(crate) fn list(names: &[String], sizes: bool) -> Result<Vec<Column>, Trouble> {
        names.iter().map(|name| Column::of(name, sizes)).collect()
    }

    pub(crate) fn name(self) -> &'static str {
        self.0.name
    }

    /// The exact value, for programs: numbers in full, addresses with `0x`.
    pub(crate) fn exact<'r>(self, row: &'r Row<'_>) -> Cow<'r, [u8]> {
        match self.0.value(row) {
            FieldValue::Text(text) => text,
            value => Cow::Owned(value.text().into_owned()),
        }
    }

    /// The short value, for people.
    pub(crate) fn short(self, row: &Row<'_>) -> String {
        match self.0.value(row) {
            FieldValue::Address(address) => format!("{address:x}"),
            FieldValue::Bytes(bytes) => words::size(bytes),
            value => words::name(&value.text()),
        }
    }

    /// Whether the column is aligned to the right.
    pub(crate) fn is_number(self) -> bool {
        matches!(self.0.kind, FieldKind::Address | FieldKind::Bytes | FieldKind::Number)
    }

    /// Whether the column requires a fact.
    pub(crate) fn needs(self, needs: FieldNeeds) -> bool {
        self.0.needs == needs
    }

    /// Compares two rows by this column: numbers of bytes from the largest to the smallest and then
    /// unknown ones, other values ascending.
    pub(crate) fn compare(self, a: &Row<'_>, b: &Row<'_>) -> Ordering {
        let (a, b) = (self.0.value(a), self.0.value(b));
        match self.0.kind {
            FieldKind::Bytes => b.number().cmp(&a.number()),
            FieldKind::Address | FieldKind::Number => a.number().cmp(&b.number()),
            _ => a.text().cmp(&b.text()),
        }
    }
}
