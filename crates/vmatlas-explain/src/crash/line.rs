//! The lines of a log, and the prefixes that logs add to them.

use crate::crash::words::{decimal, leading_id, split, take_while};

/// A line of the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// The offset of its first byte in the text.
    pub(super) start: usize,
    /// The offset of the next line.
    pub(super) end: usize,
    /// The logged message, without the line end and without the time, host and other prefixes.
    pub(super) text: &'a [u8],
    /// The process that wrote it, if the prefix is logcat's: several may write at the same time.
    pub(super) writer: Option<u32>,
}

/// Splits a text into lines.
pub(super) fn lines(text: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let whole = rest.get(..length)?;
        let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
        let end = (start + length + 1).min(text.len());
        let (text, writer) = logged(whole);
        let line = Line { start, end, text, writer };
        start = end;
        Some(line)
    })
}

/// Maximum number of prefixes in a row: `journalctl` prints a line that `rsyslog` copied from
/// `dmesg -x` with the caller, and one more.
const MAX_PREFIXES: usize = 8;

/// Removes the prefixes of logs from a line; a line without any is unchanged. Also returns the
/// process that logcat names.
pub(super) fn logged(line: &[u8]) -> (&[u8], Option<u32>) {
    let (mut rest, mut writer) = (line, None);
    for _ in 0..MAX_PREFIXES {
        let Some(behind) = without_prefix(rest) else { break };
        writer = writer.or_else(|| logcat_pid(rest));
        rest = behind;
    }
    (rest, writer)
}

/// The process in one of logcat's prefixes: `01-01 12:00:00.000  1234  1235 F DEBUG   : `,
/// `F/DEBUG   ( 1234): `, `2020-09-24 15:32:44.997 1234-1235/? A/DEBUG: `.
fn logcat_pid(line: &[u8]) -> Option<u32> {
    let is_brief = is_level(*line.first()?) && line.get(1) == Some(&b'/');
    if is_brief {
        let (_, rest) = split(line, "(")?;
        return leading_id(rest.trim_ascii_start());
    }
    let is_dated = line.get(4) == Some(&b'-') && line.get(7) == Some(&b'-');
    let time = if is_dated { line.get(11..)? } else { line.get(6..)? };
    clock(time.get(..8)?).then_some(())?;
    let (_, rest) = take_while(time.get(8..)?, |b| b == b'.' || b.is_ascii_digit());
    let rest = rest.trim_ascii_start();
    let (pid, behind) = take_while(rest, |b| b.is_ascii_digit());
    if is_dated && behind.starts_with(b"-") {
        return leading_id(pid);
    }
    // The last number is the thread; `-v uid` puts the user before the process.
    let (ids, _) = take_while(rest, |b| b == b' ' || b.is_ascii_digit());
    let mut ids = ids.split(|&b| b == b' ').filter(|id| !id.is_empty()).rev();
    let (_, pid) = (ids.next()?, ids.next()?);
    leading_id(pid)
}

fn without_prefix(line: &[u8]) -> Option<&[u8]> {
    match line.first()? {
        b'<' => priority(line),
        b'[' => bracketed(line),
        b'0'..=b'9' => kmsg(line).or_else(|| dated(line)).or_else(|| logcat(line)),
        b'A'..=b'Z' => syslog(line).or_else(|| logcat_brief(line)).or_else(|| logcat_tag(line)),
        b'a'..=b'z' => facility(line),
        _ => None,
    }
}

/// Removes `<6>`, which `dmesg -r` and old syslog print.
fn priority(line: &[u8]) -> Option<&[u8]> {
    let (digits, rest) = take_while(line.get(1..)?, |b| b.is_ascii_digit());
    (1..=3).contains(&digits.len()).then_some(rest)?.strip_prefix(b">")
}

/// Removes `[12009.831743] `, `[Thu Jan 20 12:37:45 2022] ` (`dmesg -T`), `[T2056] `
/// (CONFIG_PRINTK_CALLER).
fn bracketed(line: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b']', line.get(..40.min(line.len()))?)?;
    let inner = line.get(1..end)?.trim_ascii();
    let number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    // Some vendors' kernels append `@CPU`.
    let (seconds, fraction) = split(inner, ".").unwrap_or_default();
    let (fraction, cpu) = split(fraction, "@").unwrap_or((fraction, b"0"));
    let time = number(seconds) && number(fraction) && number(cpu);
    let caller = matches!(inner.split_first(), Some((b'T' | b'C', id)) if number(id));
    let date = inner.len() == 24 && clock(inner.get(11..19)?) && number(inner.get(20..)?);
    // Removes one blank only, so that columns stay aligned.
    let rest = line.get(end + 1..)?;
    (time || caller || date).then(|| rest.strip_prefix(b" ").unwrap_or(rest))
}

/// Removes `6,1234,12009831743,-;`, the prefix of a record in `/dev/kmsg`.
fn kmsg(line: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b';', line.get(..80.min(line.len()))?)?;
    let mut fields = line.get(..end)?.split(|&b| b == b',');
    let numbers = fields.by_ref().take(3).filter(|field| decimal(field).is_some()).count();
    (numbers == 3 && fields.next().is_some()).then(|| line.get(end + 1..))?
}

/// Removes `kern  :info  : `, the facility and level that `dmesg -x` prints.
fn facility(line: &[u8]) -> Option<&[u8]> {
    let (_, rest) = take_while(line, |b| b.is_ascii_lowercase());
    let (level, rest) =
        take_while(rest.trim_ascii_start().strip_prefix(b":")?, |b| b.is_ascii_lowercase());
    let levels: [&[u8]; 8] =
        [b"emerg", b"alert", b"crit", b"err", b"warn", b"notice", b"info", b"debug"];
    levels.contains(&level).then(|| rest.trim_ascii_start().strip_prefix(b": "))?
}

/// Removes `Nov 26 02:10:00 host kernel: `.
fn syslog(line: &[u8]) -> Option<&[u8]> {
    let month = line.get(..4)?;
    let date = month[..3].iter().all(u8::is_ascii_alphabetic) && month[3] == b' ';
    let (_, rest) = take_while(line.get(4..)?.trim_ascii_start(), |b| b.is_ascii_digit());
    (date && clock(rest.get(1..9)?)).then(|| host_and_tag(rest.get(9..)?))?
}

/// Removes `2026-11-26T02:10:00.123456+00:00 host kernel: `, and
/// `2026-11-26T02:10:00,123456+00:00 ` of `dmesg --time-format iso`.
fn dated(line: &[u8]) -> Option<&[u8]> {
    let date = line.get(4) == Some(&b'-') && line.get(7) == Some(&b'-');
    let between = matches!(line.get(10)?, b'T' | b' ');
    (date && between && clock(line.get(11..19)?)).then_some(())?;
    let rest = line.get(19..)?;
    if let Some(text) = container(rest) {
        return Some(text);
    }
    if rest.starts_with(b",") { split(rest, " ").map(|(_, rest)| rest) } else { host_and_tag(rest) }
}

/// Removes the rest of a time and ` stderr F ` (the format of Kubernetes' container logs), or only
/// the time (`docker logs -t`), which both have nine digits of a fraction.
fn container(rest: &[u8]) -> Option<&[u8]> {
    let (fraction, rest) = take_while(rest.strip_prefix(b".")?, |b| b.is_ascii_digit());
    let (_, rest) =
        take_while(rest, |b| matches!(b, b'Z' | b'+' | b'-' | b':') || b.is_ascii_digit());
    let rest = rest.strip_prefix(b" ").filter(|_| fraction.len() == 9)?;
    let of_stream = |name: &str| {
        let rest = rest.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b" F ").or_else(|| rest.strip_prefix(b" P "))
    };
    of_stream("stderr").or_else(|| of_stream("stdout")).or(Some(rest))
}

/// Removes the rest of a time (fraction and zone), a host, and the tag of the program that logged:
/// `kernel: `. Android Studio prints the process and thread instead:
/// `.997 14368-14368/? A/DEBUG: `.
fn host_and_tag(rest: &[u8]) -> Option<&[u8]> {
    let word = |text| take_while(text, |b| b != b' ');
    let (_, rest) = word(rest);
    let (host, rest) = word(rest.strip_prefix(b" ")?);
    let (tag, rest) =
        if host == b"kernel:" { (host, rest) } else { word(rest.strip_prefix(b" ")?) };
    tag.ends_with(b":").then(|| rest.strip_prefix(b" ").unwrap_or(rest))
}

/// Removes `01-01 12:00:00.000  1234  1234 F DEBUG   : `, the prefix of logcat.
fn logcat(line: &[u8]) -> Option<&[u8]> {
    // `-v year`
    let line = if line.get(4) == Some(&b'-') { line.get(5..)? } else { line };
    if line.get(2) != Some(&b'-') || !clock(line.get(6..14)?) {
        return None;
    }
    let (_, rest) = take_while(line.get(14..)?, |b| b == b'.' || b.is_ascii_digit());
    let (_, rest) = take_while(rest, |b| b == b' ' || b.is_ascii_digit());
    logcat_tag(rest)
}

/// Removes `F DEBUG   : `.
fn logcat_tag(line: &[u8]) -> Option<&[u8]> {
    (is_level(*line.first()?) && line.get(1) == Some(&b' ')).then_some(())?;
    let (tag, rest) = take_while(line.get(2..)?, |b| b != b':' && b != b' ');
    let rest = rest.trim_ascii_start().strip_prefix(b":")?;
    (!tag.is_empty()).then(|| rest.strip_prefix(b" ").unwrap_or(rest))
}

/// Removes `F/DEBUG   ( 1234): `, and `A/libc: ` as Android Studio prints it.
fn logcat_brief(line: &[u8]) -> Option<&[u8]> {
    (is_level(*line.first()?) && line.get(1) == Some(&b'/')).then_some(())?;
    let (_, rest) = take_while(line.get(2..)?, |b| b != b'(' && b != b':' && b != b'/');
    let rest = match rest.strip_prefix(b"(") {
        Some(rest) => take_while(rest, |b| b == b' ' || b.is_ascii_digit()).1.strip_prefix(b")")?,
        None => rest,
    };
    let rest = rest.strip_prefix(b":")?;
    Some(rest.strip_prefix(b" ").unwrap_or(rest))
}

/// Whether the letter is a level of Android's log.
fn is_level(letter: u8) -> bool {
    matches!(letter, b'V' | b'D' | b'I' | b'W' | b'E' | b'F' | b'A')
}

/// Whether the text is a time such as `12:37:45`.
fn clock(text: &[u8]) -> bool {
    text.len() == 8
        && text.iter().enumerate().all(|(at, b)| match at {
            2 | 5 => *b == b':',
            _ => b.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, text: &str) {
        assert_eq!(String::from_utf8_lossy(logged(line.as_bytes()).0), text);
    }

    #[test]
    fn what_logs_put_before_a_line() {
        for before in [
            "",
            "[12009.831743] ",
            "[    5.831743] ",
            "[12009.831743][ T2056] ",
            "[Thu Jan 20 12:37:45 2022] ",
            "<6>[12009.831743] ",
            "kern  :info  : [12009.831743] ",
            "6,1234,12009831743,-;",
            "6,1234,12009831743,-,caller=T2056;",
            "Nov  6 02:10:00 host kernel: [12009.831743] ",
            "Nov 26 02:10:00 host kernel: ",
            "[12009.831743@1] ",
            "2026-11-26T02:10:00.123456+00:00 host kernel: ",
            "2026-11-26T02:10:00+0000 kernel: ",
            "2026-11-26T02:10:00,123456+00:00 ",
            "2020-09-24 15:32:44.997 14368-14368/? A/DEBUG: ",
            "01-01 12:00:00.000  1234  1234 F DEBUG   : ",
            "2026-01-01 12:00:00.000  1234  1234 F DEBUG   : ",
            "F/DEBUG   ( 1234): ",
            "F DEBUG   : ",
            "A/libc: ",
            "2024-05-01T10:00:00.123456789Z stderr F ",
            "2024-05-01T10:00:00.123456789+02:00 stdout F ",
            "2024-05-01T10:00:00.123456789Z ",
        ] {
            check(&format!("{before}app[1]: died"), "app[1]: died");
        }
    }

    #[test]
    fn the_process_that_wrote_a_line() {
        for (before, pid) in [
            ("01-01 12:00:00.000  1234  1235 F DEBUG   : ", Some(1234)),
            ("2026-01-01 12:00:00.000  1234  1235 F DEBUG   : ", Some(1234)),
            ("2020-09-24 15:32:44.997 1234-1235/? A/DEBUG: ", Some(1234)),
            ("01-01 12:00:00.000  1000  1234  1235 F DEBUG   : ", Some(1234)),
            ("F/DEBUG   ( 1234): ", Some(1234)),
            ("F DEBUG   : ", None),
            ("Nov 26 02:10:00 host kernel: ", None),
            ("2026-11-26T02:10:00.123456+00:00 host kernel: ", None),
        ] {
            let line = format!("{before}app[1]: died");
            assert_eq!(logged(line.as_bytes()).1, pid, "{before}");
        }
    }

    #[test]
    fn nothing_else_is_taken_away() {
        for line in [
            "[signal SIGSEGV: segmentation violation code=0x1 addr=0x8 pc=0x466240]",
            "[ref] not a time",
            "12-monkeys",
            "Dynamic libraries:",
            "    #00 pc 0001  /x",
            "E: Sub-process",
            "",
        ] {
            check(line, line);
        }
    }
}
