//! The output layer: the only place that formats answers.
//!
//! Every answer of a command is an [`Answer`], which writes itself in each format that it supports.

pub(crate) mod access;
pub(crate) mod all;
pub(crate) mod at;
pub(crate) mod audit;
pub(crate) mod blame;
pub(crate) mod candidates;
pub(crate) mod columns;
mod csv;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod fit;
mod flame;
pub(crate) mod json;
pub(crate) mod life;
pub(crate) mod machine_diff;
pub(crate) mod metrics;
pub(crate) mod notes;
pub(crate) mod origin;
pub(crate) mod overview;
mod pager;
mod pieces;
pub(crate) mod record;
pub(crate) mod several;
pub(crate) mod shared;
pub(crate) mod show;
pub(crate) mod style;
mod unread;
pub(crate) mod verify;
pub(crate) mod watch;

use self::json::formatter::Addresses;
use crate::args::CommonArgs;
use crate::trouble::Trouble;
use std::io::{self, Write};
use style::Paint;

/// The formats of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    Json(Addresses),
    /// A JSON document on each line.
    Ndjson(Addresses),
    Csv,
    /// Results of a static analysis (SARIF 2.1.0).
    Sarif,
    /// The kernel's text.
    Raw,
}

impl CommonArgs {
    /// How documents have addresses.
    pub(crate) fn addresses(&self) -> Addresses {
        if self.numbers { Addresses::WithNumbers } else { Addresses::Text }
    }
}

impl Format {
    pub(crate) fn of(args: &CommonArgs) -> Format {
        if args.json { Format::Json(args.addresses()) } else { Format::Text }
    }

    /// The format of a command that also has comma-separated values.
    pub(crate) fn with_csv(args: &CommonArgs, csv: bool) -> Format {
        if csv { Format::Csv } else { Format::of(args) }
    }
}

/// The answer of a command.
pub(crate) trait Answer {
    /// Formats the answer for people.
    fn text(&self, paint: Paint) -> String;

    /// Writes the answer for people. Long ones need not be in memory as a whole.
    fn write_text(&self, out: &mut dyn Write, paint: Paint) -> io::Result<()> {
        out.write_all(self.text(paint).as_bytes())
    }

    /// Writes the answer as one JSON document.
    fn json(&self, out: &mut dyn Write, addresses: Addresses) -> io::Result<()>;

    /// Writes the answer as a JSON document on each line.
    fn ndjson(&self, _out: &mut dyn Write, _addresses: Addresses) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there are no lines of JSON of it"))
    }

    /// Writes the answer as comma-separated values (RFC 4180).
    fn csv(&self, _out: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there are no comma-separated values of it"))
    }

    /// Writes the answer as a log of SARIF 2.1.0.
    fn sarif(&self, _out: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there is no SARIF of it"))
    }

    /// Writes the answer as the kernel does.
    fn raw(&self, _out: &mut dyn Write) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "the kernel has no text for it"))
    }

    /// Whether text that is longer than the screen goes through a pager.
    fn is_paged(&self) -> bool {
        true
    }

    /// The heading of a table, which stays on the screen while its rows are paged. Known after the
    /// text was formatted.
    fn heading(&self) -> Option<String> {
        None
    }
}

/// Prints an answer.
pub(crate) fn print(answer: &dyn Answer, format: Format, args: &CommonArgs) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    match format {
        Format::Text => {
            let paint = Paint(style::wanted(args.color));
            if answer.is_paged() && pager::may_page(&out) {
                drop(out);
                return pager::print(&answer.text(paint), answer.heading().as_deref());
            }
            answer.write_text(&mut out, paint)?;
        }
        Format::Json(addresses) => answer.json(&mut out, addresses)?,
        Format::Ndjson(addresses) => answer.ndjson(&mut out, addresses)?,
        Format::Csv => answer.csv(&mut out)?,
        Format::Sarif => answer.sarif(&mut out)?,
        Format::Raw => answer.raw(&mut out)?,
    }
    Ok(())
}
