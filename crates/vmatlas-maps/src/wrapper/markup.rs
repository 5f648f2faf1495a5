//! XML and HTML.

use super::encoding::push_char;

/// The position of the first tag, comment or declaration of a line.
pub(super) fn tag(line: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'<', line).find(|&at| tag_name(&line[at..]).is_some())
}

/// The name of the tag at the start of `text`, with the `/` of an end tag.
fn tag_name(text: &[u8]) -> Option<&[u8]> {
    let inside = text.strip_prefix(b"<")?;
    if inside.starts_with(b"!--") || inside.starts_with(b"![CDATA[") {
        return Some(b"!");
    }
    let slash = usize::from(inside.first() == Some(&b'/'));
    let mark = usize::from(slash == 0 && inside.first().is_some_and(|b| b"!?".contains(b)));
    let first = inside.get(slash + mark)?;
    if !first.is_ascii_alphabetic() {
        return None;
    }
    let name = |b: &&u8| b.is_ascii_alphanumeric() || b":_.-".contains(b);
    let length = slash + mark + inside[slash + mark..].iter().take_while(name).count();
    let ends = |&b: &u8| b == b'>' || b == b'/' || b.is_ascii_whitespace();
    inside.get(length).is_none_or(ends).then(|| &inside[..length])
}

/// Whether the line has markup: it begins with a tag, or has an end tag or a tag of HTML.
pub(super) fn is_markup(line: &[u8]) -> bool {
    let begins = tag_name(line.trim_ascii_start()).is_some();
    begins
        || memchr::memchr_iter(b'<', line).any(|at| {
            tag_name(&line[at..]).is_some_and(|name| {
                let known: [&[u8]; 10] =
                    [b"!", b"br", b"pre", b"code", b"td", b"tr", b"li", b"p", b"span", b"div"];
                name.starts_with(b"/") || known.contains(&name.to_ascii_lowercase().as_slice())
            })
        })
}

/// The text of a line of markup: a tag ends a line, unless it only marks words or cells. The
/// values of attributes are lines too.
pub(super) fn text(line: &[u8], cdata: &mut bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    let mut attributes = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        if *cdata {
            let end = memchr::memmem::find(rest, b"]]>");
            text.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            *cdata = end.is_none();
            if *cdata {
                break;
            }
            text.push(b'\n');
            rest = &rest[end.map_or(rest.len(), |end| end + 3)..];
            continue;
        }
        let start = memchr::memchr(b'<', rest).unwrap_or(rest.len());
        unescape(&rest[..start], &mut text);
        rest = &rest[start..];
        let Some(name) = tag_name(rest) else {
            text.extend_from_slice(rest.get(..1).unwrap_or_default());
            rest = rest.get(1..).unwrap_or_default();
            continue;
        };
        if rest.starts_with(b"<![CDATA[") {
            *cdata = true;
            text.push(b'\n');
            rest = &rest[9..];
            continue;
        }
        let name = name.to_ascii_lowercase();
        match name.strip_prefix(b"/").unwrap_or(&name) {
            b"span" | b"b" | b"i" | b"u" | b"s" | b"em" | b"strong" | b"font" | b"a" | b"mark"
            | b"code" | b"tt" | b"kbd" | b"samp" | b"small" | b"wbr" | b"ins" | b"del" => {}
            b"td" | b"th" if name.starts_with(b"/") => {}
            b"td" | b"th" => text.push(b' '),
            _ => text.push(b'\n'),
        }
        rest = &rest[tag_length(rest, &mut attributes)..];
    }
    text.push(b'\n');
    text.append(&mut attributes);
    text
}

/// The length of the tag at the start of `text`; adds the values of its attributes to `lines`.
fn tag_length(text: &[u8], lines: &mut Vec<u8>) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr3(b'>', b'"', b'\'', &text[at..]) {
        at += found;
        if text[at] == b'>' {
            return at + 1;
        }
        let Some(length) = memchr::memchr(text[at], &text[at + 1..]) else { break };
        // A shorter value is no row.
        if length >= 20 {
            unescape(&text[at + 1..at + 1 + length], lines);
            lines.push(b'\n');
        }
        at += length + 2;
    }
    text.len()
}

/// Appends a text to `into`, with character references decoded.
pub(super) fn unescape(text: &[u8], into: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        into.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let end = rest.iter().take(12).position(|&b| b == b';');
        let value = end.and_then(|end| reference(&rest[1..end]));
        match (value, end) {
            (Some(value), Some(end)) => {
                push_char(value, into);
                rest = &rest[end + 1..];
            }
            _ => {
                into.push(b'&');
                rest = &rest[1..];
            }
        }
    }
    into.extend_from_slice(rest);
}

fn reference(name: &[u8]) -> Option<u32> {
    Some(match name {
        b"amp" => u32::from(b'&'),
        b"lt" => u32::from(b'<'),
        b"gt" => u32::from(b'>'),
        b"quot" => u32::from(b'"'),
        b"apos" => u32::from(b'\''),
        b"nbsp" => u32::from(b' '),
        b"sol" => u32::from(b'/'),
        b"Tab" => u32::from(b'\t'),
        b"NewLine" => u32::from(b'\n'),
        [b'#', digits @ ..] => {
            let digits = std::str::from_utf8(digits).ok()?;
            let value = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            // A blank that does not break a line stands for a blank.
            value.ok().map(|value| if value == 0xa0 { u32::from(b' ') } else { value })?
        }
        _ => return None,
    })
}
