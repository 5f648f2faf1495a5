//! Parses the rows of an `expect`.

use super::line::{Line, MAX_PAGES, Result};
use crate::scenario::error::ScenarioErrorKind as Kind;
use crate::scenario::{Backing, ScenarioRow};
use vmatlas_maps::Perms;

/// Parses the row of a line; `before` is the row before it.
pub(super) fn row(line: &mut Line<'_>, before: Option<&ScenarioRow>) -> Result<ScenarioRow> {
    let at = line.at();
    let from = line.page_ahead(Kind::Row)?;
    if !line.eat('-') {
        return line.fail(at, Kind::Row);
    }
    let to = line.page_ahead(Kind::Row)?;
    if !line.rest().starts_with([' ', '\t']) {
        return line.fail(line.at(), if line.rest().is_empty() { Kind::Perms } else { Kind::Row });
    }
    if from >= to || before.is_some_and(|before| from < before.to) {
        return line.fail(at, Kind::RowOrder);
    }
    line.skip_blanks();
    Ok(ScenarioRow { from, to, perms: perms(line)?, backing: backing(line)? })
}

fn perms(line: &mut Line<'_>) -> Result<Perms> {
    let (at, word) = line.word("the permissions")?;
    match *word.as_bytes() {
        [r @ (b'r' | b'-'), w @ (b'w' | b'-'), x @ (b'x' | b'-'), p @ (b'p' | b's')] => {
            Ok(Perms([r, w, x, p]))
        }
        _ => line.fail(at, Kind::Perms),
    }
}

fn backing(line: &mut Line<'_>) -> Result<Backing> {
    if !line.eat('@') {
        return line.remainder().map(Backing::None);
    }
    let at = line.at();
    let offset = line.number_ahead(MAX_PAGES, Kind::Offset)?;
    if !line.rest().starts_with([' ', '\t']) {
        return line.fail(at, Kind::Offset);
    }
    line.skip_blanks();
    let label = line.name_until(Some('='), "LABEL")?;
    let shown = match line.rest() {
        "" => label.clone().into_bytes(),
        "(deleted)" => format!("{label} (deleted)").into_bytes(),
        _ if line.eat('=') => line.remainder()?,
        _ => return line.fail(line.at(), Kind::Shown),
    };
    Ok(Backing::Object { offset, label, shown })
}
