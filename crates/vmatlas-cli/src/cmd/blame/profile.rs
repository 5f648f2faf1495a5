//! Blame as folded stacks and as a flame graph.

use super::Blame;
use crate::output::flame;
use crate::stacks::function;
use crate::trouble::Trouble;
use std::collections::BTreeMap;
use vmatlas::recording::{Maker, Origin};

/// The lines of a stack, the outermost first: thread, functions, and the call.
fn words_of(blame: &Blame, origin: &Origin) -> Vec<String> {
    let mut words = vec![match origin.maker {
        Maker::Unseen => "unknown".to_owned(),
        _ => blame.thread(origin),
    }];
    words.extend(blame.frames(origin).iter().rev().map(function));
    words.push(origin.maker.name().to_owned());
    words
}

/// A line for each stack: its frames with `;` between, and its bytes.
pub(super) fn folded(blame: &Blame) -> String {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for piece in &blame.pieces {
        let words: Vec<String> = words_of(blame, &piece.origin)
            .into_iter()
            .map(|word| word.replace([';', '\n'], ":"))
            .collect();
        *sums.entry(words.join(";")).or_default() += piece.range.size();
    }
    sums.into_iter().map(|(stack, bytes)| format!("{stack} {bytes}\n")).collect()
}

/// A flame graph.
pub(super) fn svg(blame: &Blame) -> Result<String, Trouble> {
    let title = format!("memory of {}", blame.recorded.title().0);
    flame::svg(&title, &folded(blame))
        .ok_or_else(|| Trouble::new("no flame graph: no bytes to show"))
}
