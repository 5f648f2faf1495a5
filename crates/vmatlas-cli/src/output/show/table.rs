//! The text of `vmatlas show`.

pub(crate) use super::first_look::recorded_title;

use super::plan::{Plan, Shown};
use super::{first_look, hints, rows, totals};
use crate::output::fit;
use crate::output::style::{self, Paint};
use std::io::{self, Write};
use vmatlas::{MapTotals, Row};

/// Writes the whole text. Returns the heading of its rows.
pub(super) fn show(
    out: &mut dyn Write,
    shown: &Shown<'_>,
    totals: impl FnOnce() -> MapTotals,
    paint: Paint,
) -> io::Result<Option<String>> {
    let mut text = String::new();
    let Shown { atlas, plan, .. } = shown;
    if plan.header {
        let totals = totals();
        first_look::write(&mut text, shown, &totals, paint);
        if plan.hints && !atlas.maps().is_empty() {
            hints::write(&mut text, atlas, plan, paint);
        }
        if !totals.groups.is_empty() {
            text.push('\n');
            totals::write(&mut text, &totals, plan.fit, paint);
        }
        if !plan.summary && !shown.rows.is_empty() {
            text.push('\n');
        }
    }
    let heading = match plan.columns[..] {
        _ if plan.summary => None,
        [] => {
            out.write_all(std::mem::take(&mut text).as_bytes())?;
            rows::write(out, shown, paint)?
        }
        _ => columns(&mut text, shown, paint),
    };
    out.write_all(text.as_bytes())?;
    Ok(heading)
}

/// Writes the requested columns. Returns their heading.
fn columns(text: &mut String, shown: &Shown<'_>, paint: Paint) -> Option<String> {
    let plan = shown.plan;
    let rows: Vec<Row<'_>> = shown.rows().collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| plan.columns.iter().map(|column| column.short(row)).collect())
        .collect();
    let width = |at: usize| {
        let header = plan.columns[at].name().len();
        cells.iter().map(|row| fit::columns(&row[at])).max().unwrap_or(0).max(header)
    };
    let mut widths: Vec<usize> = (0..plan.columns.len()).map(width).collect();
    if let Some(most) = plan.fit.width {
        narrow(&mut widths, plan, most);
    }
    let line = |cells: &[String]| {
        let padded =
            cells.iter().zip(&widths).zip(&plan.columns).map(|((cell, &width), column)| {
                let cell = plan.fit.middle(cell, width);
                let blanks = " ".repeat(width.saturating_sub(fit::columns(&cell)));
                if column.is_number() { blanks + &cell } else { cell + &blanks }
            });
        padded.collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    let names: Vec<String> = plan.columns.iter().map(|column| column.name().to_owned()).collect();
    let heading = plan.header.then(|| line(&names));
    if let Some(heading) = &heading {
        text.push_str(&paint.dim(heading));
        text.push('\n');
    }
    for (row, cells) in rows.iter().zip(&cells) {
        text.push_str(&paint.paint(style::of(&row.mapping()), &line(cells)));
        text.push('\n');
    }
    heading
}

/// Narrows the columns of text, the widest first and labels last, until a line has `most` columns.
/// Numbers are never cut.
fn narrow(widths: &mut [usize], plan: &Plan, most: usize) {
    for (least, with_labels) in [(16, false), (16, true), (8, false), (8, true)] {
        let may_shrink = |&at: &usize| {
            let column = plan.columns[at];
            !column.is_number() && (with_labels || column.name() != "label")
        };
        let over = |widths: &[usize]| {
            (widths.iter().sum::<usize>() + widths.len() - 1).saturating_sub(most)
        };
        while over(widths) > 0
            && let Some(widest) = (0..widths.len()).filter(may_shrink).max_by_key(|&at| widths[at])
            && widths[widest] > least.max(plan.columns[widest].name().len())
        {
            widths[widest] -= 1;
        }
    }
}
