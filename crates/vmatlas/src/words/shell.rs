//! Words of a command line that a person copies into a shell.

use super::values::printable;
use std::fmt::Write as _;

/// A word so that a shell passes on just these bytes, on one line of printable characters: bare,
/// in `'…'`, or with escapes in `$'…'`, which bash, zsh, ksh and POSIX of 2024 have.
pub fn shell_word(word: &[u8]) -> String {
    match std::str::from_utf8(word) {
        Ok(text) if is_plain(text) => text.to_owned(),
        Ok(text) if printable(word) == text => format!("'{}'", text.replace('\'', r"'\''")),
        _ => escaped(word),
    }
}

/// A target in a command line: a file whose name begins with `-` is no option.
pub fn shell_target(target: &str) -> String {
    let option = target.starts_with('-') && target != "-";
    shell_word(if option { format!("./{target}") } else { target.to_owned() }.as_bytes())
}

/// Whether no shell gives a character of the word a meaning.
fn is_plain(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=#".contains(c);
    !word.is_empty() && !word.starts_with(['#', '=']) && word.chars().all(plain)
}

fn escaped(word: &[u8]) -> String {
    let mut text = "$'".to_owned();
    for chunk in word.utf8_chunks() {
        for c in chunk.valid().chars() {
            let mut bytes = [0; 4];
            let shown = &*c.encode_utf8(&mut bytes);
            match c {
                '\'' | '\\' => text.extend(['\\', c]),
                _ if printable(shown.as_bytes()) == shown => text.push(c),
                _ => escape(&mut text, shown.as_bytes()),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text + "'"
}

/// Octal, because three digits end an escape whatever follows.
fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\{byte:03o}");
    }
}

#[cfg(test)]
mod tests {
    use super::{shell_target, shell_word};
    use std::process::Command;

    #[test]
    fn a_shell_reads_the_word_as_it_was() {
        let words: [&[u8]; 14] = [
            b"",
            b"1234",
            b"a b",
            b"it's",
            b"$(id)`id`",
            b"a\nb\x1b[31m7",
            b"\xff0",
            b"#1",
            b"~",
            b"=ls",
            b"run.vmrec@#5",
            b"*?[a]{b,c}!x;&|<>()\\\"",
            "\u{202e}Ä€'".as_bytes(),
            b"\\n'\t",
        ];
        for word in words {
            let quoted = shell_word(word);
            assert!(!quoted.chars().any(char::is_control), "{quoted:?}");
            let script = format!("printf %s {quoted}");
            let printed = Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(printed.stdout, word, "{quoted}");
        }
        assert_eq!(shell_word(b"/a/b-1.2_3:4@5"), "/a/b-1.2_3:4@5");
        assert_eq!(shell_word(b"a b"), "'a b'");
        assert_eq!(shell_target("-f 1"), "'./-f 1'");
        assert_eq!(shell_target("-"), "-");
    }
}
