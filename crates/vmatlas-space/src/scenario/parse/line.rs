//! Parses a line of a scenario file from left to right.

use crate::Prot;
use crate::scenario::error::{ScenarioError, ScenarioErrorKind as Kind};
use crate::scenario::{Length, PageAddress, Span};
use std::borrow::Cow;

/// The maximum page count: the pages of a region.
pub(super) const MAX_COUNT: u64 = 1 << 20;
/// The pages of an address space with pages of 64 KiB: no length in bytes overflows.
pub(super) const MAX_PAGES: u64 = (1 << 48) - 1;
/// The maximum page number, beyond any address space; sums stay below 2^63 bytes.
const MAX_PAGE: u64 = 1 << 46;
/// The maximum byte offset of an address from its page.
const MAX_FURTHER: u64 = 1 << 32;

pub(super) type Result<T> = std::result::Result<T, ScenarioError>;

#[derive(Clone)]
pub(super) struct Line<'a> {
    text: &'a str,
    at: usize,
    number: u32,
}

impl<'a> Line<'a> {
    pub(super) fn new(text: &'a str, number: u32) -> Self {
        let mut line = Line { text, at: 0, number };
        line.skip_blanks();
        line
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The position of the next token.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn error(&self, at: usize, kind: Kind) -> ScenarioError {
        let column = u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
        ScenarioError { kind, line: self.number, column }
    }

    pub(super) fn fail<T>(&self, at: usize, kind: Kind) -> Result<T> {
        Err(self.error(at, kind))
    }

    pub(super) fn skip_blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_ascii_start().len();
    }

    /// Takes everything up to the first character for which `stop` is true.
    fn take(&mut self, stop: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(stop).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    /// Takes `c` if it is next.
    pub(super) fn eat(&mut self, c: char) -> bool {
        let next = self.rest().starts_with(c);
        self.at += if next { c.len_utf8() } else { 0 };
        next
    }

    /// Takes the `!` before an error.
    pub(super) fn failure_mark(&mut self) {
        self.eat('!');
        self.skip_blanks();
    }

    /// Whether only `! ERROR` or nothing is left.
    pub(super) fn is_done(&self) -> bool {
        let mut rest = self.rest().chars();
        match rest.next() {
            None => true,
            Some('!') => rest.next().is_none_or(|c| c.is_ascii_whitespace()),
            Some(_) => false,
        }
    }

    pub(super) fn must_end(&self) -> Result<()> {
        if self.rest().is_empty() { Ok(()) } else { self.fail(self.at, Kind::TooMuch) }
    }

    /// Takes the next characters up to a blank, quoted or not.
    pub(super) fn word(&mut self, what: &'static str) -> Result<(usize, &'a str)> {
        if self.is_done() {
            return self.fail(self.at, Kind::Missing(what));
        }
        let at = self.at;
        let word = self.take(|c| c.is_ascii_whitespace());
        self.skip_blanks();
        Ok((at, word))
    }

    /// Takes the word of an option, up to a blank or `=`; `None` at the end of the operation.
    pub(super) fn option(&mut self) -> Option<(usize, &'a str)> {
        if self.is_done() {
            return None;
        }
        let at = self.at;
        let word = self.take(|c| c == '=' || c.is_ascii_whitespace());
        self.skip_blanks();
        Some((at, word))
    }

    /// Takes the word `word` if it is next.
    pub(super) fn keyword(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let found = ahead.word("").is_ok_and(|(_, next)| next == word);
        if found {
            *self = ahead;
        }
        found
    }

    /// Takes a token and unquotes it; it ends before `stop` or a blank.
    fn bytes_until(&mut self, stop: Option<char>, what: &'static str) -> Result<Cow<'a, [u8]>> {
        let ends = |c: char| c.is_ascii_whitespace() || Some(c) == stop;
        if self.is_done() || self.rest().starts_with(ends) {
            return self.fail(self.at, Kind::Missing(what));
        }
        let bytes = if self.rest().starts_with('"') {
            let at = self.at;
            let bytes = self.quoted()?;
            if !self.rest().is_empty() && !self.rest().starts_with(ends) {
                return self.fail(at, Kind::Quote);
            }
            Cow::Owned(bytes)
        } else {
            Cow::Borrowed(self.take(ends).as_bytes())
        };
        self.skip_blanks();
        Ok(bytes)
    }

    /// Takes a path or other bytes.
    pub(super) fn bytes(&mut self, what: &'static str) -> Result<Vec<u8>> {
        self.bytes_until(None, what).map(Cow::into_owned)
    }

    /// Takes a label, or the name of an open file or a key.
    pub(super) fn name(&mut self, what: &'static str) -> Result<String> {
        self.name_until(None, what)
    }

    pub(super) fn name_until(&mut self, stop: Option<char>, what: &'static str) -> Result<String> {
        let at = self.at;
        let bytes = self.bytes_until(stop, what)?.into_owned();
        String::from_utf8(bytes).map_err(|_| self.error(at, Kind::NotText))
    }

    /// Takes the token whose quotation mark is next.
    fn quoted(&mut self) -> Result<Vec<u8>> {
        let start = self.at;
        self.eat('"');
        let mut bytes = Vec::new();
        loop {
            bytes.extend_from_slice(self.take(|c| c == '"' || c == '\\').as_bytes());
            if self.eat('"') {
                return Ok(bytes);
            }
            let at = self.at;
            if !self.eat('\\') {
                return self.fail(start, Kind::Quote);
            }
            let escaped = match self.rest().bytes().next() {
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(c @ (b'"' | b'\\')) => c,
                Some(b'x') => {
                    let digits = self.rest().get(1..3).unwrap_or("");
                    self.at += 2;
                    match (digits.bytes().all(|b| b.is_ascii_hexdigit()), digits.len()) {
                        (true, 2) => u8::from_str_radix(digits, 16).unwrap_or(0),
                        _ => 0,
                    }
                }
                _ => 0,
            };
            if escaped == 0 {
                return self.fail(at, Kind::Escape);
            }
            self.at += 1;
            bytes.push(escaped);
        }
    }

    /// Takes the rest of the line, or a quoted token that ends it.
    pub(super) fn remainder(&mut self) -> Result<Vec<u8>> {
        if self.rest().starts_with('"') {
            let bytes = self.bytes("a name")?;
            self.must_end()?;
            return Ok(bytes);
        }
        let bytes = self.rest().trim_ascii_end().as_bytes().to_vec();
        self.at = self.text.len();
        Ok(bytes)
    }

    /// Parses decimal digits of a number up to `limit`.
    fn decimal(&self, at: usize, digits: &str, limit: u64, kind: Kind) -> Result<u64> {
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return self.fail(at, kind);
        }
        match digits.parse() {
            Ok(n) if n <= limit => Ok(n),
            _ => self.fail(at, Kind::TooLarge { limit }),
        }
    }

    pub(super) fn count(&mut self, what: &'static str, limit: u64) -> Result<u64> {
        let (at, word) = self.word(what)?;
        self.decimal(at, word, limit, Kind::Count)
    }

    /// Takes a number that ends at any other character, and no blanks after it.
    pub(super) fn number_ahead(&mut self, limit: u64, kind: Kind) -> Result<u64> {
        let at = self.at;
        let digits = self.take(|c| !c.is_ascii_digit());
        self.decimal(at, digits, limit, kind)
    }

    /// Takes a page number, which may be negative, up to its last digit.
    pub(super) fn page_ahead(&mut self, kind: Kind) -> Result<i64> {
        let sign = if self.eat('-') { -1 } else { 1 };
        // The limit is far below `i64::MAX`.
        self.number_ahead(MAX_PAGE, kind).map(|page| sign * page as i64)
    }

    pub(super) fn place(&mut self) -> Result<PageAddress> {
        let (at, word) = self.word("PAGE")?;
        let mut inner = Line { text: &self.text[..at + word.len()], at, number: self.number };
        let page = inner.page_ahead(Kind::PageAddress)?;
        let mut bytes = 0;
        if inner.eat('+') {
            bytes = inner.number_ahead(MAX_FURTHER, Kind::PageAddress)?;
            if !inner.eat('b') {
                return self.fail(at, Kind::PageAddress);
            }
        }
        if !inner.rest().is_empty() {
            return self.fail(at, Kind::PageAddress);
        }
        Ok(PageAddress { page, bytes })
    }

    pub(super) fn length(&mut self) -> Result<Length> {
        let (at, word) = self.word("PAGES")?;
        match word.strip_suffix('b') {
            Some(bytes) => self.decimal(at, bytes, u64::MAX, Kind::Length).map(Length::Bytes),
            None => self.decimal(at, word, MAX_PAGES, Kind::Length).map(Length::Pages),
        }
    }

    pub(super) fn span(&mut self) -> Result<Span> {
        Ok(Span { at: self.place()?, length: self.length()? })
    }

    pub(super) fn prot(&mut self) -> Result<Prot> {
        let (at, word) = self.word("PERMS")?;
        if word == "none" {
            return Ok(Prot::NONE);
        }
        let mut prot = Prot::NONE;
        for letter in word.bytes() {
            let bit = match letter {
                b'r' => Prot::READ,
                b'w' => Prot::WRITE,
                b'x' => Prot::EXEC,
                _ => return self.fail(at, Kind::Prot),
            };
            if prot.contains(bit) {
                return self.fail(at, Kind::Prot);
            }
            prot = prot | bit;
        }
        Ok(prot)
    }
}
