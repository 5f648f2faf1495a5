//! Rows as comma-separated values (RFC 4180).

use crate::output::columns::Column;
use crate::row::Row;
use crate::trouble::Trouble;
use std::borrow::Cow;
use std::io;

pub(crate) fn print<'a>(
    columns: &[Column],
    header: bool,
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<(), Trouble> {
    let mut writer = ::csv::Writer::from_writer(io::stdout().lock());
    let mut write = |record: Vec<Cow<'_, [u8]>>| writer.write_record(record).map_err(io_error);
    if header {
        write(columns.iter().map(|column| Cow::Borrowed(column.name.as_bytes())).collect())?;
    }
    for row in rows {
        write(columns.iter().map(|column| column.exact(&row)).collect())?;
    }
    Ok(writer.flush()?)
}

/// The input or output error that it is, so that a closed pipe can be told.
fn io_error(error: ::csv::Error) -> io::Error {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}
