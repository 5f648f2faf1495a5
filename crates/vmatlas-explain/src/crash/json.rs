//! Reads the strings of a flat JSON object, the format of journal entries.

/// The names and values of the members that are strings. Stops at invalid JSON.
pub(super) fn strings(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = behind(rest, b'"')?;
            let (name, after_name) = string(rest)?;
            let value = after_name.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
            let Some(value) = value.strip_prefix(b"\"") else {
                // The journal writes `null` for a value that is too large, and an array of bytes
                // for a value that is not text.
                let end = if value.starts_with(b"[") { b']' } else { b',' };
                rest = behind(value, end)?;
                continue;
            };
            let (value, after_value) = string(value)?;
            rest = after_value;
            return Some((name, value));
        }
    })
}

/// The logged text of a line that is a JSON object: of a journal entry, of Docker's json-file log,
/// or of other loggers.
pub(super) fn message(text: &[u8]) -> Option<Vec<u8>> {
    const NAMES: [&[u8]; 4] = [b"MESSAGE", b"log", b"message", b"msg"];
    (text.starts_with(b"{") && text.ends_with(b"}")).then_some(())?;
    strings(text).find(|(name, _)| NAMES.contains(&&**name)).map(|(_, message)| message)
}

fn behind(text: &[u8], mark: u8) -> Option<&[u8]> {
    text.get(memchr::memchr(mark, text)? + 1..)
}

/// Parses a string up to its closing quote; returns it and the rest of the text.
fn string(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut value = Vec::new();
    let mut rest = text;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        value.extend_from_slice(rest.get(..at)?);
        let behind = rest.get(at + 1..)?;
        if rest.get(at) == Some(&b'"') {
            return Some((value, behind));
        }
        let (escape, behind) = behind.split_first()?;
        rest = behind;
        match escape {
            b'n' => value.push(b'\n'),
            b't' => value.push(b'\t'),
            b'r' => value.push(b'\r'),
            b'b' => value.push(8),
            b'f' => value.push(12),
            b'u' => {
                let digits = std::str::from_utf8(rest.get(..4)?).ok()?;
                let unit = u32::from_str_radix(digits, 16).ok()?;
                // Surrogate pairs are not combined, because no field that is read contains any.
                let letter = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
                value.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = rest.get(4..)?;
            }
            other => value.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_an_entry() {
        let text = br#"{ "A" : "x\ny\"\\\u00e9", "B":null,"C":[1,2,34], "D":"","E":"cut"#;
        let found: Vec<_> = strings(text).collect();
        let expect: [(&[u8], &[u8]); 2] = [(b"A", "x\ny\"\\é".as_bytes()), (b"D", b"")];
        assert_eq!(found, expect.map(|(name, value)| (name.to_vec(), value.to_vec())));
    }
}
