//! The note that a filter lets no row through.

use crate::args::CommonArgs;
use crate::output::notes;
use vmatlas::words::{count, printable};
use vmatlas::{Atlas, Field, Filter};

/// Whether a filter lets no row of the atlases through; then a note names how many rows there are.
pub(crate) fn nothing_matches(
    atlases: &[&Atlas],
    filter: Option<&Filter>,
    common: &CommonArgs,
) -> bool {
    let rows = || atlases.iter().flat_map(|atlas| atlas.rows());
    let Some(filter) = filter.filter(|filter| !rows().any(|row| filter.matches(&row))) else {
        return false;
    };
    if !common.quiet {
        let names: Vec<&str> = atlases.iter().map(|atlas| atlas.name()).collect();
        let looked_at = match rows().count() {
            1 => "the only row does not match --where".to_owned(),
            many => format!("none of the {} matches --where", count(many as u64, "row")),
        };
        let help = inside(atlases, filter).map(|help| format!("; {help}")).unwrap_or_default();
        notes::note(&format!("{}: {looked_at}{help}", names.join(", ")));
    }
    true
}

/// Names the operators that find a text inside another, if a text of the filter that is to be whole
/// is a part of a row's.
fn inside(atlases: &[&Atlas], filter: &Filter) -> Option<String> {
    let holds = |(field, text): &(&'static Field, &str)| {
        let mut rows = atlases.iter().flat_map(|atlas| atlas.rows());
        !text.is_empty()
            && rows.any(|row| {
                let value = field.value(&row).text().into_owned();
                value.windows(text.len()).any(|part| part == text.as_bytes())
            })
    };
    let (field, text) = filter.whole_texts().into_iter().find(holds)?;
    let (field, text) = (field.name, printable(text.as_bytes()));
    // The characters that a regular expression and the syntax of a filter give a meaning.
    let is_plain = |c: char| c.is_alphanumeric() || "/_-:.".contains(c);
    let pattern = match text.chars().all(is_plain) {
        true => format!("`{field} ~ {text}` or `{field} = *{text}*`"),
        false => format!("`{field} = \"*{text}*\"` or a regular expression after `{field} ~`"),
    };
    Some(format!("`=` compares the whole {field}: {pattern} finds {text} inside"))
}
