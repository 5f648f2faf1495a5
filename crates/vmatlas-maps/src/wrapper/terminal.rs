//! What terminals and `cat -A` add to a line.

/// Removes escape sequences of terminals (colours, erasing, links).
pub(crate) fn remove_colours(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = memchr::memchr(0x1b, rest) {
        text.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        // A file name may have the character.
        let length = sequence(rest);
        if length == 0 {
            text.push(0x1b);
        }
        rest = &rest[length.max(1)..];
    }
    text.extend_from_slice(rest);
    text
}

/// The length of the escape sequence at the start of `text`, ECMA-48; 0 if it is none of those that
/// programs put around text.
fn sequence(text: &[u8]) -> usize {
    match text.get(1) {
        Some(b'[') => {
            let parameters = text[2..].iter().take_while(|b| (0x20..0x40).contains(*b)).count();
            let last = text.get(2 + parameters).is_some_and(|b| (0x40..0x7f).contains(b));
            if last { 3 + parameters } else { 0 }
        }
        Some(b']') => {
            let end = memchr::memchr2(7, 0x1b, &text[2..]).map_or(text.len(), |end| end + 2);
            // The string ends with BEL or ESC \.
            end + match text.get(end) {
                Some(7) => 1,
                Some(0x1b) => 2.min(text.len() - end),
                _ => 0,
            }
        }
        Some(b'(' | b')') => 3.min(text.len()),
        _ => 0,
    }
}

/// Whether a name is coloured as `grep --color` does it; file names may have other sequences.
pub(crate) fn is_coloured_by_grep(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"m\x1b[K").is_some()
        && memchr::memmem::find(text, b"\x1b[m\x1b[K").is_some()
}

/// Undoes `cat -v`: `^X` for control characters and `M-X` for bytes beyond ASCII. The bytes may
/// stand in the name, so the result is used only if it makes UTF-8 of it.
pub(crate) fn undo_cat(name: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(name, b"M-")?;
    let mut text = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&first, behind)) = rest.split_first() {
        let (byte, length) = match rest {
            [b'M', b'-', b'^', b, ..] => ((b ^ 0x40) | 0x80, 4),
            [b'M', b'-', b, ..] => (b | 0x80, 3),
            _ => (first, 1),
        };
        text.push(byte);
        rest = &rest[length.min(behind.len() + 1)..];
    }
    std::str::from_utf8(&text).is_ok().then_some(text)
}
