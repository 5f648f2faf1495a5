//! Values as people read them.

/// A size in bytes, short: `132K`, `1.3M`, `12G`; powers of 1024.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut value = bytes as f64;
    let mut unit = ' ';
    for next in ['K', 'M', 'G', 'T', 'P', 'E'] {
        // Three digits and the unit: 999.5K is 1.0M.
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if value < 9.95 && value.fract() != 0.0 {
        format!("{value:.1}{unit}")
    } else {
        format!("{value:.0}{unit}")
    }
}

/// A number of things: `1 mapping`, `2 mappings`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A moment of a recording, from nanoseconds.
pub(crate) fn seconds(time_ns: u64) -> String {
    format!("{:.3} s", time_ns as f64 / 1e9)
}

/// How a process ended, from its status of wait(2).
pub(crate) fn status(status: i32) -> String {
    match status & 0x7f {
        0 => format!("exit {}", status >> 8 & 0xff),
        signal => format!("signal {signal}"),
    }
}

/// A share in percent.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!("{:.1}%", part as f64 * 100.0 / whole as f64) }
}

/// Bytes from outside, made harmless for a terminal: control characters, those that change the
/// direction of text or take no room, and what is not UTF-8 are written as `\x1b` or `\u{202e}`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                ' '..='~' => text.push(c),
                '\0'..='\x7f' => text.push_str(&format!("\\x{:02x}", u32::from(c))),
                _ if invisible(c) => text.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
                _ => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// A name for people: [`printable`], and blanks at its end can be seen.
pub(crate) fn name(bytes: &[u8]) -> String {
    let mut text = printable(bytes);
    let blanks = text.len() - text.trim_end_matches(' ').len();
    text.truncate(text.len() - blanks);
    text.push_str(&r"\x20".repeat(blanks));
    text
}

fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [0, 1023, 1024, 4096, 135168, 1363149, 1023 * 1024, 1 << 30, 3 << 40, u64::MAX]
            .map(size);
        assert_eq!(shown, ["0", "1023", "1K", "4K", "132K", "1.3M", "1.0M", "1G", "3T", "16E"]);
    }

    #[test]
    fn blanks_at_the_end_of_a_name_are_seen() {
        assert_eq!(
            [b"/a b".as_slice(), b"/a  ", b"", b" "].map(name),
            ["/a b", r"/a\x20\x20", "", r"\x20"]
        );
    }

    #[test]
    fn nothing_reaches_the_terminal_that_commands_it() {
        assert_eq!(
            printable(b"/a\x1b[31m\n\x7f\xff\\012 \xc2\x9b\xe2\x80\xaex\xe6\x97\xa5"),
            "/a\\x1b[31m\\x0a\\x7f\\xff\\012 \\u{9b}\\u{202e}x日"
        );
    }
}
