//! vmatlas itself.

use crate::answer::Answer;
use vmatlas::{Mapping, Maps};

/// Rows one by one, none kept.
pub fn rows(text: &[u8]) -> Result<Answer, String> {
    let mut answer = Answer::default();
    for row in vmatlas::rows(text) {
        add(&mut answer, &row.map_err(|error| error.to_string())?);
    }
    Ok(answer)
}

/// All rows, kept.
pub fn maps(text: &[u8]) -> Result<Answer, String> {
    Ok(sum(&Maps::parse(text)))
}

/// The answer in a map.
pub fn sum(maps: &Maps) -> Answer {
    let mut answer = Answer::default();
    maps.iter().for_each(|row| add(&mut answer, &row));
    answer
}

fn add(answer: &mut Answer, row: &Mapping<'_>) {
    answer.add(row.range.start, row.range.end, row.offset, row.inode, row.name.len());
}
