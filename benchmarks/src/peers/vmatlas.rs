//! vmatlas itself.

use crate::answer::Answer;
use std::path::Path;
use vmatlas_linux::{Process, ProcessId, Source};
use vmatlas_maps::{Mapping, Maps};

/// Parses rows one by one and keeps none.
pub fn rows(text: &[u8]) -> Result<Answer, String> {
    let mut answer = Answer::default();
    for row in vmatlas_maps::rows(text) {
        match row {
            Ok(row) => add(&mut answer, &row),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(answer)
}

/// Parses all rows, keeps them and sums them up.
pub fn maps(text: &[u8]) -> Result<Answer, String> {
    Ok(sum(&Maps::parse(text).unwrap()))
}

/// Parses the rows and returns them.
pub fn keep(text: &[u8]) -> Maps {
    Maps::parse(text).unwrap()
}

/// Reads all rows of a live process and keeps them.
pub fn live(pid: u32) -> Result<Maps, String> {
    let process = Process::open(Path::new("/proc"), ProcessId { pid, tid: None })
        .map_err(|error| error.to_string())?;
    Ok(process.rows(Source::Maps).map_err(|error| error.to_string())?.maps)
}

/// Sums the rows up.
pub fn sum(maps: &Maps) -> Answer {
    let mut answer = Answer::default();
    maps.iter().for_each(|row| add(&mut answer, &row));
    answer
}

fn add(answer: &mut Answer, row: &Mapping<'_>) {
    answer.add(row.range.start, row.range.end, row.offset, row.inode, row.name.len());
}
