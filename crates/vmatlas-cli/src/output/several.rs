//! Several processes as one target: a line for each.

use super::Answer;
use super::candidates::user;
use super::fit::Fit;
use super::json::formatter::Addresses;
use super::style::Paint;
use std::fmt::Write as _;
use std::io::{self, Write};
use vmatlas::words::{self, printable, size, utc};
use vmatlas::{Candidate, SurveyGroup};

/// A process with its sums.
pub(crate) struct Listed<'a> {
    pub(crate) candidate: Candidate,
    pub(crate) sum: &'a SurveyGroup,
}

/// The answer of `show` for several processes.
pub(crate) struct SeveralAnswer<'a> {
    /// The targets, as they are typed in a shell.
    pub(crate) names: String,
    /// The oldest first.
    pub(crate) listed: Vec<Listed<'a>>,
    pub(crate) all: &'a SurveyGroup,
    /// Whether page tables were read.
    pub(crate) sizes: bool,
    pub(crate) fit: Fit,
}

/// A column of sizes.
type Size = (&'static str, fn(&SurveyGroup) -> Option<u64>);

impl Answer for SeveralAnswer<'_> {
    fn text(&self, paint: Paint) -> String {
        let known = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), size);
        let count = words::count(self.all.rows.unwrap_or(0), "mapping");
        let resident = known(self.all.sizes.rss);
        let how = match self.all.sizes.pss {
            Some(pss) => format!("{resident} resident, {} with each page counted once", size(pss)),
            None => format!("{resident} resident by their status"),
        };
        let mut text = String::new();
        let summary = format!("{} processes: {count}, {how}.", self.listed.len());
        for line in self.fit.lines(&summary) {
            let _ = writeln!(text, "{line}");
        }
        let sizes: &[Size] = match self.sizes {
            true => &[
                ("rss", |sum| sum.sizes.rss),
                ("pss", |sum| sum.sizes.pss),
                ("uss", |sum| sum.sizes.uss),
            ],
            false => &[("rss", |sum| sum.sizes.rss)],
        };
        let mut header =
            format!("\n{:>8} {:<10} {:<16} {:>6}", "pid", "user", "started (UTC)", "rows");
        sizes.iter().for_each(|(name, _)| {
            let _ = write!(header, " {name:>6}");
        });
        let _ = writeln!(text, "{}", paint.dim(&format!("{header} command line")));
        for Listed { candidate, sum } in &self.listed {
            let mut started = candidate.started.map_or_else(|| "?".to_owned(), utc);
            // To the minute.
            started.truncate(16);
            let user = self.fit.end(&user(candidate.uid), 10);
            let rows = sum.rows.map_or_else(|| "?".to_owned(), |rows| rows.to_string());
            let mut line = format!("{:>8} {user:<10} {started:<16} {rows:>6}", candidate.pid);
            sizes.iter().for_each(|(_, of)| {
                let _ = write!(line, " {:>6}", known(of(sum)));
            });
            let command = printable(&candidate.command_line);
            let room = self.fit.room(line.len() + 1);
            let _ = writeln!(text, "{line} {}", self.fit.end(&command, room));
        }
        let next = match self.sizes {
            true => format!("Next: vmatlas PID, vmatlas all {} --by label", self.names),
            false => format!(
                "Next: vmatlas PID, --sizes (memory in use), --wide (every row), vmatlas all {} --by label",
                self.names
            ),
        };
        text.push('\n');
        for line in self.fit.lines(&next) {
            let _ = writeln!(text, "{}", paint.dim(&line));
        }
        text
    }

    fn json(&self, _: &mut dyn Write, _: Addresses) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "several processes have no document"))
    }
}
