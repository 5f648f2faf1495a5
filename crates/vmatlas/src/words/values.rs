//! Sizes, counts, times, names and permissions.

use vmatlas_explain::tagged::{Tagged, UpperBits};
use vmatlas_maps::{Perms, escape, size};

/// A size in bytes, in short form: see [`size::short`].
pub fn size(bytes: u64) -> String {
    size::short(bytes)
}

/// A change in bytes, in short form with its sign: `+1.2M`, `-4K`, `0`.
pub fn change(bytes: i64) -> String {
    let sign = match bytes {
        0 => "",
        ..0 => "-",
        _ => "+",
    };
    format!("{sign}{}", size(bytes.unsigned_abs()))
}

/// The address of a pointer with upper bits that are no part of it, as a clause.
pub fn tagged(tagged: &Tagged) -> String {
    let Tagged { pointer, address, bits, is_certain, .. } = tagged;
    match bits {
        UpperBits::TopByte(tag) if *is_certain => {
            format!("{pointer:#x} is {address:#x} with the tag {tag:#x}, which AArch64 ignores")
        }
        UpperBits::TopByte(tag) => format!(
            "{pointer:#x} is {address:#x} with the tag {tag:#x} if it is a pointer of AArch64, which \
             ignores the top byte"
        ),
        UpperBits::Masked => format!(
            "{pointer:#x} is {address:#x} with a tag in the bits that the processor ignores for this \
             process"
        ),
        _ => format!(
            "{pointer:#x} is {address:#x} with a signature if it is a signed pointer of AArch64"
        ),
    }
}

/// A number of items: `1 mapping`, `2 mappings`.
pub fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// A moment of a recording, in seconds, from nanoseconds.
pub fn seconds(time_ns: u64) -> String {
    format!("{:.3} s", time_ns as f64 / 1e9)
}

/// A description of a process's end, from its status of wait(2).
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

/// Bytes from outside, escaped for a terminal: see [`escape::printable`].
pub fn printable(bytes: &[u8]) -> String {
    escape::printable(bytes).to_string()
}

/// A name for people: [`printable`], with visible blanks at its end.
pub fn name(bytes: &[u8]) -> String {
    escape::name(bytes).to_string()
}

/// Bytes in hexadecimal, as build ids are written.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A distance or length in bytes; large ones also in short form.
pub fn bytes(count: u64) -> String {
    if count < 1024 {
        format!("{count} bytes")
    } else {
        format!("{count:#x} bytes ({})", size(count))
    }
}

/// The permitted and denied accesses: `read and written, not executed`.
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
