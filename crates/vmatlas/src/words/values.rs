//! Sizes, counts, times, names and rights.

use vmatlas_maps::{Perms, escape};

/// A size in bytes, short: `132K`, `1.3M`, `12G`; powers of 1024.
pub fn size(bytes: u64) -> String {
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
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A moment of a recording, from nanoseconds.
pub fn seconds(time_ns: u64) -> String {
    format!("{:.3} s", time_ns as f64 / 1e9)
}

/// How a process ended, from its status of wait(2).
pub fn status(status: i32) -> String {
    match status & 0x7f {
        0 => format!("exit {}", status >> 8 & 0xff),
        signal => format!("signal {signal}"),
    }
}

/// A share in percent.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 { String::new() } else { format!("{:.1}%", part as f64 * 100.0 / whole as f64) }
}

/// Bytes from outside, made harmless for a terminal: see [`escape::printable`].
pub fn printable(bytes: &[u8]) -> String {
    escape::printable(bytes).to_string()
}

/// A name for people: [`printable`], and blanks at its end can be seen.
pub fn name(bytes: &[u8]) -> String {
    escape::name(bytes).to_string()
}

/// Bytes in hexadecimal, as build ids are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A distance or length in bytes; large ones also short.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        format!("{count} bytes")
    } else {
        format!("{count:#x} bytes ({})", size(count))
    }
}

/// What may be done with memory and what not: `read and written, not executed`.
pub fn rights(perms: Perms) -> String {
    let all = [("read", perms.read()), ("written", perms.write()), ("executed", perms.execute())];
    let list = |may: bool, and: &str| {
        let words: Vec<&str> =
            all.iter().filter(|(_, set)| *set == may).map(|(word, _)| *word).collect();
        words.join(and)
    };
    match (list(true, " and "), list(false, " or ")) {
        (may, not) if not.is_empty() => may,
        (may, not) if may.is_empty() => format!("neither {}", not.replace(" or ", " nor ")),
        (may, not) => format!("{may}, not {not}"),
    }
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
}
