//! Results as a table for people, on the terminal and in Markdown.

use crate::measure::{Series, shown};
use std::fmt;

/// The results of one measure.
#[derive(Default)]
pub struct Section {
    title: String,
    lines: Vec<[String; 6]>,
    notes: Vec<String>,
    /// The targets that were missed, and the programs that gave a wrong answer.
    pub missed: Vec<String>,
}

/// The target of a line.
pub enum Target<'a> {
    /// No target; the line is shown for comparison.
    None,
    /// At most this number of nanoseconds.
    Within(f64),
    /// At most this multiple of the other program's time.
    AtMost(f64, &'a Series),
    /// The other program takes at least this multiple of this program's time.
    Faster(f64, &'a Series),
}

impl Section {
    /// Creates an empty table.
    pub fn new(title: impl Into<String>) -> Self {
        Section { title: title.into(), ..Section::default() }
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Adds a program: its times, their ratio to those of `reference`, and its targets.
    pub fn times(&mut self, series: &Series, reference: &Series, targets: &[Target<'_>]) {
        let (Some(median), Some(best)) = (series.median(), series.best()) else {
            let why = series.nanos.as_ref().err().map_or("not run", |why| why.as_str());
            if !targets.is_empty() || !why.starts_with("missing") {
                self.missed.push(format!("{}: {why}", series.name));
            }
            return self.line([&series.name, why, "", "", "", "NOT MEASURED"]);
        };
        let relative = series.ratio(reference).map_or(String::new(), |r| format!("{r:.2}"));
        let (mut wanted, mut verdicts) = (Vec::new(), Vec::new());
        for target in targets {
            let (text, found, reached) = match *target {
                Target::None => continue,
                Target::Within(most) => {
                    (format!("≤ {}", shown(most)), Some(shown(median)), median <= most)
                }
                Target::AtMost(most, other) => {
                    let ratio = series.ratio(other);
                    let reached = ratio.is_some_and(|ratio| ratio <= most);
                    let text = format!("≤ {most:.2} × {}", other.name);
                    (text, ratio.map(|ratio| format!("{ratio:.2} ×")), reached)
                }
                Target::Faster(least, other) => {
                    let ratio = other.ratio(series);
                    let reached = ratio.is_some_and(|ratio| ratio >= least);
                    let text = format!("≥ {least} × faster than {}", other.name);
                    (text, ratio.map(|ratio| format!("{ratio:.1} ×")), reached)
                }
            };
            let Some(found) = found else {
                verdicts.push("no peer".to_owned());
                wanted.push(text);
                continue;
            };
            if !reached {
                self.missed.push(format!("{}: {}: {text}, found {found}", self.title, series.name));
            }
            verdicts.push(format!("{} ({found})", if reached { "reached" } else { "MISSED" }));
            wanted.push(text);
        }
        self.line([
            &series.name,
            &shown(median),
            &shown(best),
            &relative,
            &wanted.join("; "),
            &verdicts.join("; "),
        ]);
    }

    /// Adds a line whose value is no time.
    pub fn count(&mut self, name: &str, value: &str, target: &str, reached: Option<bool>) {
        let verdict = match reached {
            None => "",
            Some(true) => "reached",
            Some(false) => "MISSED",
        };
        if reached == Some(false) {
            self.missed.push(format!("{}: {name}: {target}, found {value}", self.title));
        }
        self.line([name, value, "", "", target, verdict]);
    }

    fn line(&mut self, cells: [&str; 6]) {
        self.lines.push(cells.map(str::to_owned));
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEAD: [&str; 6] = ["program", "median", "best", "of the first", "target", "verdict"];
        let head = HEAD.map(str::to_owned);
        let rule: [String; 6] = ["---", "--:", "--:", "--:", "---", "---"].map(str::to_owned);
        let all: Vec<_> = [&head, &rule].into_iter().chain(&self.lines).collect();
        writeln!(f, "## {}\n", self.title)?;
        for line in &all {
            for (column, cell) in line.iter().enumerate() {
                let width = all.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
                write!(f, "| {cell:width$} ")?;
            }
            writeln!(f, "|")?;
        }
        for note in &self.notes {
            writeln!(f, "\n{note}")?;
        }
        writeln!(f)
    }
}
