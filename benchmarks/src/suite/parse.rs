//! Rows from text in memory. Target: 30 ns per row, ten times as fast as `procfs`.

use super::Scale;
use crate::answer::Answer;
use crate::measure::{Contender, race};
use crate::peers::{procfs, rsprocmaps, vmatlas};
use crate::report::{Section, Target};
use crate::text::{Text, mixed};

type Parse = fn(&[u8]) -> Result<Answer, String>;

/// Measures a text of this number of rows and returns the table.
pub fn run(scale: Scale, rows: u64, rounds: usize) -> Section {
    let text = mixed(rows);
    let size = text.bytes.len() as f64 / rows as f64;
    let mut section = Section::new(format!(
        "parse {rows} rows of mixed text ({size:.0} bytes each); times a row"
    ));
    let (procfs_text, procfs_note) = taken("procfs", &text, procfs::parse);
    let (rsprocmaps_text, rsprocmaps_note) = taken("rsprocmaps", &text, rsprocmaps::parse);
    let contender = |name, text: &'_ Text, parse: Parse| {
        let bytes = text.bytes.clone();
        Contender::new(name, text.answer.rows, text.answer, move || parse(&bytes)).warm()
    };
    let series = race(
        scale.rounds(rounds),
        vec![
            contender("vmatlas::rows", &text, vmatlas::rows),
            contender("vmatlas::Maps::parse", &text, vmatlas::maps),
            contender("procfs", &procfs_text, procfs::parse),
            contender("rsprocmaps", &rsprocmaps_text, rsprocmaps::parse),
        ],
    );
    let [rows, maps, procfs, rsprocmaps] = &series[..] else { unreachable!("four ran") };
    section.times(rows, rows, &[Target::Within(30.0), Target::Faster(10.0, procfs)]);
    section.times(maps, rows, &[]);
    section.times(procfs, rows, &[]);
    section.times(rsprocmaps, rows, &[]);
    section.note("`vmatlas::rows` keeps no row; `Maps::parse` and the peers keep all.");
    for note in [procfs_note, rsprocmaps_note].into_iter().flatten() {
        section.note(note);
    }
    section
}

/// The rows of which a peer parses every field, and a note about the others.
fn taken(peer: &str, text: &Text, parse: Parse) -> (Text, Option<String>) {
    let lines = text.bytes.split_inclusive(|&b| b == b'\n');
    let (good, bad): (Vec<_>, Vec<_>) =
        lines.partition(|line| parse(line).is_ok_and(|answer| answer == Answer::naive(line)));
    let bytes = good.concat();
    let answer = Answer::naive(&bytes);
    let note = bad.first().map(|first| {
        let first = first.get(73..).unwrap_or_default().trim_ascii_end().escape_ascii();
        format!(
            "{peer} was not given {} rows that it refuses or reads wrongly; the first one's name is `{first}`.",
            bad.len()
        )
    });
    (Text { bytes, answer }, note)
}
