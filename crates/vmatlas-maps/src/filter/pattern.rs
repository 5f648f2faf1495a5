//! Globs and regular expressions over the bytes of a field.

use super::perms;

/// A condition on bytes.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// A glob over the whole: `*` any bytes, `?` one byte.
    Glob(Box<[u8]>),
    /// Letters of permissions, all of which are there.
    Letters(Box<[u8]>),
    /// A regular expression found anywhere.
    #[cfg(feature = "regex")]
    Regex(regex::bytes::Regex),
}

impl Pattern {
    pub(super) fn glob(glob: &str) -> Pattern {
        Pattern::Glob(glob.as_bytes().into())
    }

    /// The text that is equal to a whole value: that of a glob without `*` and `?`.
    pub(super) fn whole(&self) -> Option<&str> {
        match self {
            Pattern::Glob(glob) if !glob.iter().any(|byte| b"*?".contains(byte)) => {
                std::str::from_utf8(glob).ok()
            }
            _ => None,
        }
    }

    /// # Errors
    /// Describes the syntax error, or that the expression exceeds `LIMIT`.
    #[cfg(feature = "regex")]
    pub(super) fn regex(text: &str) -> Result<Pattern, String> {
        /// The maximum memory of a compiled expression, in bytes.
        const LIMIT: usize = 1 << 20;
        let mut builder = regex::bytes::RegexBuilder::new(text);
        builder.size_limit(LIMIT).dfa_size_limit(LIMIT).build().map(Pattern::Regex).map_err(
            |error| {
                let message = match error {
                    regex::Error::Syntax(text) => {
                        text.lines().last().unwrap_or("").replace("error: ", "")
                    }
                    other => other.to_string(),
                };
                format!("not a regular expression: {message}")
            },
        )
    }

    /// # Errors
    /// Always: this build lacks the feature `regex`.
    #[cfg(not(feature = "regex"))]
    pub(super) fn regex(_: &str) -> Result<Pattern, String> {
        Err("regular expressions need the feature `regex` of vmatlas-maps".to_owned())
    }

    pub(super) fn is_match(&self, bytes: &[u8]) -> bool {
        match self {
            Pattern::Glob(glob) => glob_matches(glob, bytes),
            Pattern::Letters(letters) => perms::has_all(bytes, letters),
            #[cfg(feature = "regex")]
            Pattern::Regex(regex) => regex.is_match(bytes),
        }
    }
}

/// Takes at most `glob.len() * bytes.len()` steps: it backtracks only to the last `*`.
fn glob_matches(glob: &[u8], bytes: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    // The position after the last `*`, and the first byte that this `*` has not matched.
    let mut star: Option<(usize, usize)> = None;
    while next < bytes.len() {
        match glob.get(at) {
            Some(b'*') => {
                at += 1;
                star = Some((at, next));
            }
            Some(&byte) if byte == b'?' || byte == bytes[next] => {
                at += 1;
                next += 1;
            }
            _ => {
                let Some((behind, from)) = star else { return false };
                star = Some((behind, from + 1));
                (at, next) = (behind, from + 1);
            }
        }
    }
    glob[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    /// Tries every length for every `*`.
    fn naive(glob: &[u8], bytes: &[u8]) -> bool {
        match glob.split_first() {
            None => bytes.is_empty(),
            Some((b'*', rest)) => (0..=bytes.len()).any(|at| naive(rest, &bytes[at..])),
            Some((&byte, rest)) => bytes.split_first().is_some_and(|(&first, bytes)| {
                (byte == b'?' || byte == first) && naive(rest, bytes)
            }),
        }
    }

    #[test]
    fn globs_match_as_the_naive_version_does() {
        let words = |letters: &[u8], most: u32| -> Vec<Vec<u8>> {
            let word = |mut number: usize, length: u32| {
                let letter = |_| {
                    let letter = letters[number % letters.len()];
                    number /= letters.len();
                    letter
                };
                (0..length).map(letter).collect()
            };
            (0..=most)
                .flat_map(|length| (0..letters.len().pow(length)).map(move |n| (n, length)))
                .map(|(number, length)| word(number, length))
                .collect()
        };
        let texts = words(b"ab\xff", 4);
        for glob in words(b"ab*?", 5) {
            for text in &texts {
                assert_eq!(
                    glob_matches(&glob, text),
                    naive(&glob, text),
                    "{} over {}",
                    glob.escape_ascii(),
                    text.escape_ascii()
                );
            }
        }
    }
}
