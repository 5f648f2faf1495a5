//! The words that can follow in an unfinished expression, for completions.

use super::{
    AND, COMPARISONS, COVERS, Comparison, FIELDS, FLAGS, Field, FieldKind, HAS, Kind, NOT, OR,
    PERMS, Parser, perms,
};

/// An expression with its last word completed, or another word added.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NextWord {
    /// The whole expression.
    pub text: String,
    /// The byte in it at which that word begins.
    pub begin: usize,
    /// The field, if the word is one of [`FIELDS`].
    pub field: Option<&'static Field>,
}

/// What the parser expected from a place on.
#[derive(Clone, Copy)]
pub(super) struct Awaited {
    pub(super) at: usize,
    pub(super) step: Step,
}

#[derive(Clone, Copy)]
pub(super) enum Step {
    Condition,
    /// An operator of the field; `None` is `addr`.
    Operator(Option<&'static Field>),
    Value(Option<&'static Field>, Comparison),
    /// The letters of `perms has`.
    Letters,
    Conjunction,
}

impl Step {
    fn words(self) -> Vec<&'static str> {
        match self {
            Step::Condition => {
                let fields = FIELDS.iter().map(|field| field.name);
                fields.chain([COVERS, NOT[0]]).collect()
            }
            Step::Operator(field) => {
                let fits = COMPARISONS.iter().filter(|(_, comparison)| comparison.takes(field));
                let has = field.filter(|field| field.name == PERMS).map(|_| HAS);
                // `==` is `=`.
                let words = fits.map(|(word, _)| *word).filter(|word| *word != "==");
                words.chain(has).collect()
            }
            Step::Value(Some(field), Comparison::Equal | Comparison::Unequal) => {
                match (field.name, field.kind) {
                    ("kind", _) => Kind::WORDS.to_vec(),
                    (PERMS, _) => perms::USUAL.to_vec(),
                    (_, FieldKind::Flag) => FLAGS.to_vec(),
                    _ => Vec::new(),
                }
            }
            Step::Value(..) => Vec::new(),
            Step::Letters => perms::single_letters().collect(),
            Step::Conjunction => vec![AND[0], OR[0]],
        }
    }
}

/// What the characters of a word are.
fn class(c: char) -> u8 {
    match c {
        c if c.is_whitespace() => 0,
        '(' | ')' => 1,
        '=' | '<' | '>' | '~' | '!' | '&' | '|' => 2,
        _ => 3,
    }
}

pub(super) fn next_words(text: &str) -> Vec<NextWord> {
    let mut parser = Parser::new(text);
    // An unfinished expression is an error, which does not matter.
    let _ = parser.whole();
    let last = text.chars().next_back().map_or(0, class);
    let unfinished = match last {
        0 | 1 => "",
        last => &text[text.trim_end_matches(|c| class(c) == last).len()..],
    };
    let begin = text.len() - unfinished.len();
    let Some(awaited) = parser.awaited.iter().rev().find(|awaited| awaited.at <= begin) else {
        return Vec::new();
    };
    // A word that was not understood stands between.
    if awaited.at != begin {
        return Vec::new();
    }
    let words = awaited.step.words().into_iter();
    let lower = unfinished.to_ascii_lowercase();
    words
        .filter(|word| word.starts_with(&lower))
        .map(|word| NextWord {
            text: format!("{}{word}", &text[..begin]),
            begin,
            field: Field::named(word).filter(|_| matches!(awaited.step, Step::Condition)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::next_words;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let next = next_words(text);
        let words: Vec<&str> = next.iter().map(|next| &next.text[next.begin..]).collect();
        assert_eq!(words, expected, "{text:?}");
        assert!(next.iter().all(|next| text.starts_with(&next.text[..next.begin])));
    }

    #[test]
    fn fields_operators_values_and_conjunctions() {
        check("swap", &["swap", "swappss"]);
        check("perms", &["perms"]);
        check("not pe", &["perms"]);
        check("(si", &["size"]);
        check("addr ", &["!=", "="]);
        check("perms ", &["!=", "!~", "=", "~", "has"]);
        check("perms h", &["has"]);
        check("perms !", &["!=", "!~"]);
        check("size ", &["!=", "<=", ">=", "=", "<", ">"]);
        check("size >", &[">=", ">"]);
        check("size > ", &[]);
        check("perms has ", &["r", "w", "x", "p", "s"]);
        check("kind = hu", &["huge-anonymous"]);
        check("kind != huge", &["huge-anonymous"]);
        check("deleted=", &["="]);
        check("deleted = ", &["true", "false"]);
        check("kind ~ ", &[]);
        check("size > 1M ", &["and", "or"]);
        check("size > 1M a", &["and"]);
        check("size > 1M and perms has wx or inod", &["inode"]);
        check("name = \"a b\" ", &["and", "or"]);
        check("name = \"a siz", &[]);
        check("nonsense ", &[]);
        check("size size ", &[]);
        check("", &next_words("not ").iter().map(|next| &next.text[4..]).collect::<Vec<_>>());
    }
}
