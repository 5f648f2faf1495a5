//! `vmatlas at TARGET -`: addresses from standard input, answered as they come.

use super::address::{addresses, parse};
use crate::args::CommonArgs;
use crate::output::at::At;
use crate::output::{self, Format, notes};
use crate::trouble::Trouble;
use std::io::Read as _;
use vmatlas::{Atlas, Place};

/// The longest line of standard input to read.
const MAX_LINE: usize = 1 << 20;

/// The words of standard input, of which those of many lines may come at once.
#[derive(Default)]
struct Lines {
    /// What follows the last line feed.
    rest: Vec<u8>,
    /// The number of lines before it.
    lines: u64,
}

impl Lines {
    /// Takes the whole lines, with their numbers.
    fn take(&mut self, bytes: &[u8]) -> Vec<(u64, String)> {
        self.rest.extend_from_slice(bytes);
        let end = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        self.words(&whole)
    }

    fn words(&mut self, whole: &[u8]) -> Vec<(u64, String)> {
        let mut words = Vec::new();
        for line in whole.split_inclusive(|&byte| byte == b'\n') {
            self.lines += 1;
            let line = String::from_utf8_lossy(line);
            words.extend(line.split_whitespace().map(|word| (self.lines, word.to_owned())));
        }
        words
    }
}

/// Answers the addresses of standard input. Text is printed as they come, JSON and CSV at the end. Returns
/// whether all words are mapped addresses.
pub(crate) fn run(atlas: &Atlas, format: Format, common: &CommonArgs) -> Result<bool, Trouble> {
    let mut answers =
        Answers { atlas, format, common, kept: Vec::new(), is_first: true, any: false, all: true };
    let mut lines = Lines::default();
    let mut buffer = vec![0; 64 << 10];
    let mut stdin = std::io::stdin().lock();
    loop {
        let length = match stdin.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Trouble::new(format!("standard input: {error}"))),
        };
        if length == 0 {
            let rest = std::mem::take(&mut lines.rest);
            answers.add(&lines.words(&rest))?;
            return answers.end();
        }
        answers.add(&lines.take(&buffer[..length]))?;
        if lines.rest.len() > MAX_LINE {
            let line = lines.lines + 1;
            let why = format!("standard input: line {line} is longer than {MAX_LINE} bytes");
            return Err(Trouble::new(why));
        }
    }
}

struct Answers<'a> {
    atlas: &'a Atlas,
    format: Format,
    common: &'a CommonArgs,
    /// The addresses that one document or table answers.
    kept: Vec<u64>,
    is_first: bool,
    /// Whether there was a word.
    any: bool,
    /// Whether all words are mapped addresses.
    all: bool,
}

impl Answers<'_> {
    fn add(&mut self, words: &[(u64, String)]) -> Result<(), Trouble> {
        let mut found = Vec::new();
        self.any |= !words.is_empty();
        for (line, word) in words {
            let located = parse(std::slice::from_ref(word))
                .and_then(|locations| addresses(self.atlas, &locations));
            match located {
                Ok(addresses) => found.extend(addresses),
                Err(error) => {
                    self.all = false;
                    if !self.common.quiet {
                        notes::note(&format!("standard input: line {line}: {error}"));
                    }
                }
            }
        }
        if self.format != Format::Text {
            self.kept.extend(found);
            return Ok(());
        }
        if !found.is_empty() {
            let places = self.atlas.at_all(&found);
            self.print(&places)?;
        }
        Ok(())
    }

    fn print(&mut self, places: &[Place<'_>]) -> Result<(), Trouble> {
        let is_first = std::mem::take(&mut self.is_first);
        self.all &= places.iter().all(Place::is_mapped);
        let answer = At { atlas: self.atlas, places, is_first };
        output::print(&answer, self.format, self.common)
    }

    fn end(mut self) -> Result<bool, Trouble> {
        if self.format != Format::Text {
            let places = self.atlas.at_all(&std::mem::take(&mut self.kept));
            self.print(&places)?;
        }
        notes::of_atlas(self.atlas, self.common);
        if !self.any && !self.common.quiet {
            notes::note("standard input: there was no address");
        }
        Ok(self.any && self.all)
    }
}
