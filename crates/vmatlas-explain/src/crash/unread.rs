//! Texts that may tell of a crash in a form that is not read.

use crate::crash::line::lines;
use crate::crash::words::string;

/// A sign of a crash that [`read_log`](super::read_log) does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unread {
    /// A minidump, as Breakpad and Crashpad write them.
    Minidump,
    /// A line that may tell of one.
    Line {
        /// The number of the line, from 1.
        number: usize,
        /// The line, without what logs put before it.
        text: String,
    },
}

/// Maximum number of bytes shown of a line.
const SHOWN: usize = 120;

/// Words of lines that tell of crashes, in lower case.
const WORDS: [&str; 24] = [
    "segmentation fault",
    "segfault",
    "sigsegv",
    "sigabrt",
    "sigbus",
    "sigill",
    "sigfpe",
    "sigtrap",
    "core dumped",
    "code=dumped",
    "fatal signal",
    "received signal",
    "by signal ",
    "on signal ",
    "with signal",
    "exit signal",
    "general protection",
    " detected ***",
    "access violation",
    "stack overflow",
    "unable to handle",
    "kernel panic",
    "bug: kernel",
    "oops:",
];

/// The first sign of a crash in a text in which no crash was read.
pub fn unread(text: &[u8]) -> Option<Unread> {
    if text.starts_with(b"MDMP") {
        return Some(Unread::Minidump);
    }
    lines(text).enumerate().find_map(|(index, line)| {
        let lower = line.text.to_ascii_lowercase();
        let tells =
            WORDS.iter().any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some());
        let shown = line.text.get(..SHOWN).unwrap_or(line.text).trim_ascii();
        tells.then(|| Unread::Line { number: index + 1, text: string(shown) })
    })
}
