//! The annotated map.

pub(crate) mod document;
mod first_look;
mod hints;
pub(crate) mod plan;
mod rows;
pub(crate) mod table;
mod totals;

use super::csv::io_error;
use super::json::formatter::Addresses;
use super::style::Paint;
use super::{Answer, pieces};
use plan::Shown;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::io::{self, Write};
use vmatlas::words;

/// The map of a target, with all or some of its rows.
pub(crate) struct Show<'a> {
    pub(crate) shown: Shown<'a>,
    /// The heading of the rows, once they were formatted.
    heading: OnceCell<String>,
}

impl<'a> Show<'a> {
    pub(crate) fn new(shown: Shown<'a>) -> Show<'a> {
        Show { shown, heading: OnceCell::new() }
    }
}

impl Answer for Show<'_> {
    fn text(&self, paint: Paint) -> String {
        let mut text = Vec::new();
        // Only writing to memory could fail, and it cannot.
        drop(self.write_text(&mut text, paint));
        String::from_utf8_lossy(&text).into_owned()
    }

    fn write_text(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        let heading = table::show(out, &self.shown, || self.shown.totals(), paint)?;
        heading.map(|heading| self.heading.set(heading));
        Ok(())
    }

    fn heading(&self) -> Option<String> {
        self.heading.get().cloned()
    }

    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        document::json(out, addresses, &self.shown)
    }

    fn ndjson(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()> {
        document::ndjson(out, addresses, &self.shown)
    }

    fn csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = ::csv::Writer::from_writer(out);
        let plan = self.shown.plan;
        let columns = &plan.columns;
        let mut write = |record: Vec<Cow<'_, [u8]>>| writer.write_record(record).map_err(io_error);
        if plan.header {
            write(columns.iter().map(|column| Cow::Borrowed(column.name().as_bytes())).collect())?;
        }
        for row in self.shown.rows() {
            let exact = columns.iter().map(|column| column.exact(&row));
            match plan.terminal {
                true => write(exact.map(|value| words::name(&value).into_bytes().into()).collect()),
                false => write(exact.collect()),
            }?;
        }
        writer.flush()
    }

    fn raw(&self, out: &mut dyn Write) -> io::Result<()> {
        let Shown { atlas, rows, plan, .. } = self.shown;
        let maps = atlas.maps();
        if !plan.terminal {
            return pieces::write(out, rows.len(), |place, text| {
                maps.render_row(rows[place], plan.format, plan.kernel, text);
            });
        }
        // A line feed of a name would begin a line.
        let mut format = plan.format;
        format.escaped = true;
        pieces::write(out, rows.len(), |place, text| {
            let mut exact = Vec::new();
            maps.render_row(rows[place], format, plan.kernel, &mut exact);
            escape_lines(&exact, text);
        })
    }
}

/// Appends the lines of a row with their controls escaped. Kernels before 6.0 align smaps fields
/// with tabs, which become blanks.
fn escape_lines(exact: &[u8], text: &mut Vec<u8>) {
    for (number, line) in exact.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let is_field = number > 0;
        let blanks = |byte: &u8| if is_field && *byte == b'\t' { b' ' } else { *byte };
        let line: Vec<u8> = line.iter().map(blanks).collect();
        text.extend_from_slice(words::printable(&line).as_bytes());
        text.push(b'\n');
    }
}
