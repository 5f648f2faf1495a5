//! The words of a command line as a shell quotes them.

/// A word of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// As it was typed.
    pub(super) raw: String,
    /// Without quotes.
    pub(super) text: String,
    /// The quote that is not closed.
    pub(super) open: Option<char>,
}

/// The words of a line; the last one, which may be empty, is unfinished.
pub(super) fn split(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = Word::default();
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        if word.open.is_none() && letter.is_whitespace() {
            if !word.raw.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.raw.push(letter);
        let is_special = |next: &char| matches!(next, '"' | '\\' | '$' | '`');
        match (word.open, letter) {
            (None, '\'' | '"') => word.open = Some(letter),
            (Some(quote), _) if quote == letter => word.open = None,
            (None, '\\') => {
                word.raw.extend(letters.peek());
                word.text.extend(letters.next());
            }
            (Some('"'), '\\') if letters.peek().is_some_and(is_special) => {
                word.raw.extend(letters.peek());
                word.text.extend(letters.next());
            }
            _ => word.text.push(letter),
        }
    }
    words.push(word);
    words
}

/// One word without its quotes.
pub(super) fn unquoted(raw: &str) -> String {
    let mut text = String::new();
    // A blank within a word is quoted, unless the shell sees it otherwise.
    for (at, word) in split(raw).into_iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        text.push_str(&word.text);
    }
    text
}

/// Whether no shell gives the letter a meaning, within a word.
fn is_plain(letter: char) -> bool {
    letter.is_alphanumeric() || "_-./:,@%+=".contains(letter)
}

impl Word {
    /// The word with `rest` added, quoted for bash so that it means the same text and nothing is
    /// expanded. `replaced` is the end of the word that bash replaces: only the whole word can get
    /// quotes around it.
    pub(super) fn with(&self, rest: &str, replaced: &str, goes_on: bool) -> String {
        let all_plain = rest.chars().all(|c| is_plain(c) || c == '#' && !self.raw.is_empty());
        if !all_plain && self.open.is_none() && self.raw == self.text && self.raw == replaced {
            let end = if goes_on { "" } else { "\'" };
            return format!("'{}{end}", format!("{}{rest}", self.text).replace('\'', r"'\''"));
        }
        let mut raw = self.raw.clone();
        for letter in rest.chars() {
            match self.open {
                Some('\'') if letter == '\'' => raw.push_str(r"'\''"),
                // Between double quotes, bash expands `!` also behind a backslash.
                Some('"') if letter == '!' => raw.push_str("\"'!'\""),
                Some('"') if matches!(letter, '"' | '\\' | '$' | '`') => raw.extend(['\\', letter]),
                None if letter == '#' && !self.raw.is_empty() => raw.push(letter),
                None if !is_plain(letter) => raw.extend(['\\', letter]),
                _ => raw.push(letter),
            }
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::{split, unquoted};

    #[test]
    fn words_of_a_line() {
        let check = |line: &str, expected: &[(&str, Option<char>)]| {
            let words = split(line);
            let found: Vec<_> = words.iter().map(|word| (word.text.as_str(), word.open)).collect();
            assert_eq!(found, expected, "{line}");
            assert_eq!(words.last().map(|word| line.ends_with(&word.raw)), Some(true), "{line}");
        };
        check("", &[("", None)]);
        check("a  b ", &[("a", None), ("b", None), ("", None)]);
        check("a 'b c", &[("a", None), ("b c", Some('\''))]);
        check(r#"a b\ c"d\"\x$"#, &[("a", None), (r#"b cd"\x$"#, Some('"'))]);
        check(r"'it'\''s x", &[("it's x", Some('\''))]);
        check("a'b'c", &[("abc", None)]);
        check("a\\", &[("a", None)]);
        assert_eq!(unquoted("'a b"), "a b");
    }

    #[test]
    fn rests_are_quoted() {
        let check = |raw: &str, rest: &str, goes_on: bool, expected: &str| {
            let word = split(raw).pop().unwrap();
            let replaced = raw.rsplit(':').next().unwrap();
            assert_eq!(word.with(rest, replaced, goes_on), expected, "{raw} {rest}");
        };
        check("", "X.vmrec@#1", false, "'X.vmrec@#1'");
        check("X.vmrec@", "#1", false, "X.vmrec@#1");
        check("a", "'$(b)", false, r"'a'\''$(b)'");
        check("a\\ ", "$(b) c", false, r"a\ \$\(b\)\ c");
        check("'a", "'$(b)", false, r"'a'\''$(b)");
        check("\"a", "$(b)`\\!", false, "\"a\\$(b)\\`\\\\\"'!'\"");
        check("", "perms = ", true, "'perms = ");
        check("", "*", false, "'*'");
        check("@newest:a", " *", false, r"@newest:a\ \*");
    }
}
