//! Parses the numbers and words of a line.

/// Splits the text before the first byte for which `belongs` returns false.
pub(super) fn take_while(text: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let length = text.iter().position(|&b| !belongs(b)).unwrap_or(text.len());
    text.split_at(length)
}

/// Parses the whole text as a hexadecimal number, with or without `0x`.
pub(super) fn hex(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Parses the whole text as a decimal number.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    let digits = text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

/// Parses the whole text as a decimal number that may be negative.
pub(super) fn signed(text: &[u8]) -> Option<i32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Parses a process or thread id.
pub(super) fn id(text: &[u8]) -> Option<u32> {
    decimal(text)?.try_into().ok()
}

/// The text after the first `mark`.
pub(super) fn after<'a>(text: &'a [u8], mark: &str) -> Option<&'a [u8]> {
    split(text, mark).map(|(_, behind)| behind)
}

/// The position of the first `mark`. Lines are short and there are many marks: a searcher for each
/// pair would take most of the time.
fn find(text: &[u8], mark: &str) -> Option<usize> {
    let mark = mark.as_bytes();
    // Blanks are frequent, so the search is for the byte after a leading blank.
    let blanks = usize::from(mark.len() > 1 && mark.starts_with(b" "));
    let first = *mark.get(blanks)?;
    let mut starts = memchr::memchr_iter(first, text).filter_map(|at| at.checked_sub(blanks));
    starts.find(|&start| text.get(start..).is_some_and(|rest| rest.starts_with(mark)))
}

/// The texts before and after the first `mark`.
pub(super) fn split<'a>(text: &'a [u8], mark: &str) -> Option<(&'a [u8], &'a [u8])> {
    let at = find(text, mark)?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// The texts before and after the last `mark`.
pub(super) fn split_last<'a>(text: &'a [u8], mark: &str) -> Option<(&'a [u8], &'a [u8])> {
    let at = memchr::memmem::rfind(text, mark.as_bytes())?;
    Some((text.get(..at)?, text.get(at + mark.len()..)?))
}

/// The text between the first `open` and the next `close`.
pub(super) fn between<'a>(text: &'a [u8], open: &str, close: &str) -> Option<&'a [u8]> {
    split(after(text, open)?, close).map(|(inner, _)| inner)
}

/// Parses the hexadecimal digits at the start, with or without `0x`.
pub(super) fn leading_hex(text: &[u8]) -> Option<u64> {
    let (prefix, rest) = match text.strip_prefix(b"0x") {
        Some(rest) => (2, rest),
        None => (0, text),
    };
    let (digits, _) = take_while(rest, |b| b.is_ascii_hexdigit());
    hex(text.get(..prefix + digits.len())?)
}

/// Parses the decimal number at the start, which may be negative.
pub(super) fn leading_signed(text: &[u8]) -> Option<i32> {
    let (digits, _) = take_while(text, |b| b == b'-' || b.is_ascii_digit());
    signed(digits)
}

/// Parses the decimal id at the start. A thread that is named by a pthread handle in hexadecimal
/// has no id there.
pub(super) fn leading_id(text: &[u8]) -> Option<u32> {
    let (digits, rest) = take_while(text, |b| b.is_ascii_digit());
    id(digits).filter(|_| !rest.first().is_some_and(|b| b.is_ascii_alphabetic()))
}

/// Parses the hexadecimal number after the first `mark`.
pub(super) fn hex_after(text: &[u8], mark: &str) -> Option<u64> {
    leading_hex(after(text, mark)?)
}

/// Maximum length in bytes of a text kept from a line.
const MAX_TEXT: usize = 4096;

/// Converts bytes to text of bounded length; invalid UTF-8 is replaced.
pub(super) fn string(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..MAX_TEXT).unwrap_or(text)).into_owned()
}
