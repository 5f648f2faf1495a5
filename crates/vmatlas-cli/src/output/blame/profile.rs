//! Blame as folded stacks and as a flame graph.

use crate::output::flame;
use crate::output::show::table::recorded_title;
use crate::trouble::Trouble;
use std::collections::BTreeMap;
use vmatlas::recording::Maker;
use vmatlas::words::{self, function};
use vmatlas::{Blame, Piece};

/// The entries of a folded stack, outermost first: thread, functions, and the call.
fn words_of(blame: &Blame<'_>, piece: &Piece) -> Vec<String> {
    let (origin, made) = (&piece.origin, blame.made(piece));
    let mut words = vec![match origin.maker {
        Maker::Unseen => "unknown".to_owned(),
        _ => words::thread(made.task()),
    }];
    words.extend(made.frames().iter().rev().map(function));
    words.push(origin.maker.name().to_owned());
    words
}

/// Formats one line for each stack: its frames separated by `;`, and its bytes.
pub(super) fn folded(blame: &Blame<'_>) -> String {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for piece in blame.pieces() {
        let words: Vec<String> =
            words_of(blame, piece).into_iter().map(|word| word.replace([';', '\n'], ":")).collect();
        *sums.entry(words.join(";")).or_default() += piece.range.size();
    }
    sums.into_iter().map(|(stack, bytes)| format!("{stack} {bytes}\n")).collect()
}

/// Draws a flame graph.
pub(crate) fn svg(blame: &Blame<'_>) -> Result<String, Trouble> {
    let title = format!("memory of {}", recorded_title(blame.recorded()).0);
    flame::svg(&title, &folded(blame))
        .ok_or_else(|| Trouble::new("no flame graph: no bytes to show"))
}
