//! Comma-separated values (RFC 4180): answers whose columns stand in one table each.

use super::json::MappingJson;
use std::io::{self, IsTerminal as _, Write};
use vmatlas::{Field, words};

/// A column: its name, and its value in a row.
pub(super) type Column<T> = (&'static str, fn(&T) -> Cell);

/// The exact value of a column in a row.
pub(super) struct Cell(Vec<u8>);

impl Cell {
    pub(super) fn text(text: &str) -> Cell {
        Cell(text.as_bytes().to_vec())
    }

    pub(super) fn bytes(bytes: &[u8]) -> Cell {
        Cell(bytes.to_vec())
    }

    pub(super) fn number(number: u64) -> Cell {
        Cell(number.to_string().into_bytes())
    }

    /// A change, with `-` if it is below 0.
    pub(super) fn change(change: i64) -> Cell {
        Cell(change.to_string().into_bytes())
    }

    /// An address or offset, with `0x`.
    pub(super) fn address(address: u64) -> Cell {
        Cell(format!("{address:#x}").into_bytes())
    }

    /// A value that may be unknown; an empty cell then.
    pub(super) fn known<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
        value.map_or(Cell(Vec::new()), cell)
    }

    /// A field of a mapping.
    pub(super) fn field(mapping: Option<&MappingJson<'_>>, name: &str) -> Cell {
        let field = Field::named(name);
        Cell::known(mapping.zip(field), |(mapping, field)| {
            Cell(field.value(&mapping.row).text().into_owned())
        })
    }
}

/// Writes a heading and a line for each row. On a terminal, names are escaped.
pub(super) fn write<T>(out: &mut dyn Write, columns: &[Column<T>], rows: &[T]) -> io::Result<()> {
    let is_terminal = io::stdout().is_terminal();
    let mut writer = ::csv::Writer::from_writer(out);
    writer.write_record(columns.iter().map(|(name, _)| name)).map_err(io_error)?;
    for row in rows {
        let cells = columns.iter().map(|(_, value)| value(row).0);
        match is_terminal {
            true => writer.write_record(cells.map(|cell| words::name(&cell))),
            false => writer.write_record(cells),
        }
        .map_err(io_error)?;
    }
    writer.flush()
}

/// Extracts the underlying I/O error, so that a closed pipe is recognised.
pub(super) fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
