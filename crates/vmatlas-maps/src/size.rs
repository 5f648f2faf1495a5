//! Formats sizes: short for columns, long for sentences.

/// Formats a size in bytes for columns and lines: `132K`, `1.3M`, `12G`; powers of 1024.
///
/// ```
/// assert_eq!(vmatlas_maps::size::short(135_168), "132K");
/// ```
pub fn short(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let exact = u128::from(bytes);
    let (mut shift, mut unit) = (10, 'K');
    for next in ['M', 'G', 'T', 'P', 'E'] {
        // Three digits and the unit: 999.5K rounds to 1.0M.
        if 2 * exact < 1999 << shift {
            break;
        }
        shift += 10;
        unit = next;
    }
    let is_whole = exact & ((1 << shift) - 1) == 0;
    if 100 * exact < 995 << shift && !is_whole {
        let tenths = rounded(10 * exact, shift);
        format!("{}.{}{unit}", tenths / 10, tenths % 10)
    } else {
        format!("{}{unit}", rounded(exact, shift))
    }
}

/// A number divided by a power of two and rounded; half of one is rounded to the even neighbour.
fn rounded(number: u128, shift: u32) -> u64 {
    let (whole, rest, half) = (number >> shift, number & ((1 << shift) - 1), 1 << (shift - 1));
    (whole + u128::from(rest > half || (rest == half && whole % 2 == 1))) as u64
}

/// Formats a size in bytes for sentences: `132 KiB`, `7.9 MiB`. The unit is the largest one that
/// does not exceed the size; the number is truncated to one decimal place.
///
/// ```
/// assert_eq!(vmatlas_maps::size::long(135_168), "132 KiB");
/// ```
pub fn long(bytes: u64) -> String {
    const UNITS: [(&str, u32); 6] =
        [("EiB", 60), ("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in UNITS {
        let whole = bytes >> shift;
        if whole > 0 {
            let rest = bytes & ((1 << shift) - 1);
            let tenth = (u128::from(rest) * 10) >> shift;
            return match tenth {
                0 => format!("{whole} {unit}"),
                tenth => format!("{whole}.{tenth} {unit}"),
            };
        }
    }
    if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let shown = [0, 1023, 1024, 4096, 135168, 1363149, 1023 * 1024, 1 << 30, 3 << 40, u64::MAX]
            .map(short);
        assert_eq!(shown, ["0", "1023", "1K", "4K", "132K", "1.3M", "1.0M", "1G", "3T", "16E"]);
    }

    #[test]
    fn long_sizes_have_a_unit() {
        let shown = [0, 1, 1023, 1024, 135168, 1363149, 1023 * 1024, 3 << 40, u64::MAX].map(long);
        let expected = [
            "0 bytes",
            "1 byte",
            "1023 bytes",
            "1 KiB",
            "132 KiB",
            "1.3 MiB",
            "1023 KiB",
            "3 TiB",
            "15.9 EiB",
        ];
        assert_eq!(shown, expected);
    }
}
