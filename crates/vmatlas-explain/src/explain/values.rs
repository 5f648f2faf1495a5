//! Non-pointer values that were used as pointers.

use crate::crash::Machine;
use vmatlas_maps::Maps;

/// The likely meaning of a value that was used as a pointer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Misread {
    /// A fill pattern of an allocator or compiler, with the name of its writer.
    Poison(u64, Fill, &'static str),
    /// Text.
    Text(String),
    /// A floating-point number.
    Double(f64),
    /// Two small 32-bit numbers, the lower half first.
    Halves(u32, u32),
    /// A mapped address without its upper half.
    Truncated {
        /// The address.
        whole: u64,
        /// Whether a number or another address may well look like it.
        by_chance: bool,
    },
    /// A negative number.
    Negative(i64),
}

/// The memory in which a fill pattern lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fill {
    /// Freed or new memory.
    Block,
    /// The bytes around a block.
    Edge,
    /// An entry that was taken out of a list.
    List,
    /// Memory that was filled with any byte.
    Byte,
}

/// A value within this distance above a pattern is the pattern plus a field offset.
const FIELD: u64 = 1 << 12;

/// Repeated patterns of four bytes, and their writers.
const WORDS: [(u32, &str); 12] = [
    (0xdead_beef, "the pattern with which programs and allocators fill freed memory"),
    (0xfeee_feee, "the pattern with which Windows' HeapFree fills freed memory"),
    (0xcdcd_cdcd, "the pattern with which debug heaps fill new memory"),
    (0xdddd_dddd, "the pattern with which debug heaps fill freed memory"),
    (0xbebe_bebe, "the pattern with which AddressSanitizer fills new memory"),
    (0xcccc_cccc, "the pattern with which compilers fill variables without a value"),
    (0xabab_abab, "the pattern that debug heaps write behind a block"),
    (0xfdfd_fdfd, "the pattern that debug heaps write around a block"),
    (0xbaad_f00d, "the pattern with which debug heaps fill new memory"),
    (0xa5a5_a5a5, "the pattern with which jemalloc fills new memory (opt.junk)"),
    (0x5a5a_5a5a, "the pattern with which jemalloc fills freed memory (opt.junk)"),
    (0x6b6b_6b6b, "the pattern with which the kernel's slab fills freed objects"),
];

/// Patterns of eight bytes.
const LONG: [(u64, &str); 3] = [
    (0xdead_beef_cafe_babe, "the pattern with which programs mark dead memory"),
    (0xdead_0000_0000_0100, "LIST_POISON1 of the kernel's lists, which programs have copied"),
    (0xdead_0000_0000_0122, "LIST_POISON2 of the kernel's lists, which programs have copied"),
];

/// The memory that holds a repeated pattern.
fn fill(word: u32) -> Fill {
    match word {
        0xabab_abab | 0xfdfd_fdfd => Fill::Edge,
        _ => Fill::Block,
    }
}

/// The pattern that equals the value, or differs from it by a field's offset.
pub(super) fn poison(value: u64, bits32: bool) -> Option<Misread> {
    let near = |pattern: u64, mask: u64| {
        let from = value.wrapping_sub(pattern) & mask;
        from < FIELD || pattern.wrapping_sub(value) & mask < 0x100
    };
    for (word, who) in WORDS {
        let narrow = u64::from(word);
        let wide = narrow << 32 | narrow;
        if bits32 {
            if near(narrow, 0xffff_ffff) {
                return Some(Misread::Poison(narrow, fill(word), who));
            }
            continue;
        }
        // A 4-byte pattern in an 8-byte pointer: zero-extended or sign-extended.
        let signed = word as i32 as u64;
        for pattern in [wide, narrow, signed] {
            if near(pattern, u64::MAX) {
                return Some(Misread::Poison(pattern, fill(word), who));
            }
        }
    }
    let long = LONG.iter().filter(|_| !bits32).find(|(pattern, _)| near(*pattern, u64::MAX));
    long.map(|(pattern, who)| {
        let list = *pattern >> 32 == 0xdead_0000;
        Misread::Poison(*pattern, if list { Fill::List } else { Fill::Block }, who)
    })
}

/// One byte repeated eight times, as memset leaves it. The user chooses the byte of glibc's
/// `malloc.perturb`. Zeros and ones do not count.
fn filled(value: u64) -> Option<Misread> {
    let byte = value >> 56;
    let repeated = byte * 0x0101_0101_0101_0101;
    let near = value.wrapping_sub(repeated) < FIELD;
    let who = "one byte over and over, as memset(3) or glibc's malloc.perturb leave it";
    (byte != 0 && byte != 0xff && near).then_some(Misread::Poison(repeated, Fill::Byte, who))
}

/// The bytes of a value as text, in memory order: at least five printable bytes followed only by
/// zeros. Shorter text would match by chance.
pub(super) fn text(value: u64, big_endian: bool) -> Option<String> {
    let bytes = if big_endian { value.to_be_bytes() } else { value.to_le_bytes() };
    let length = bytes.iter().rposition(|byte| *byte != 0)? + 1;
    let text = bytes.get(..length)?;
    let plain = text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t'));
    let letters = text.iter().filter(|byte| byte.is_ascii_alphanumeric() || **byte == b' ').count();
    (length >= 5 && plain && letters * 3 >= length * 2).then(|| text.escape_ascii().to_string())
}

/// A plausible double: in a common range, with few significant bits.
pub(super) fn double(value: u64) -> Option<f64> {
    let number = f64::from_bits(value);
    let sensible = number.is_finite() && (1e-9..1e15).contains(&number.abs());
    (sensible && value.trailing_zeros() >= 16).then_some(number)
}

/// Two halves that are both small numbers. The upper halves of program, library and stack addresses
/// are larger.
pub(super) fn halves(value: u64) -> Option<(u32, u32)> {
    let (low, high) = (value as u32, (value >> 32) as u32);
    let small = |half: u32| half < 100_000 || (half as i32) < 0 && (half as i32) > -100_000;
    let fits = (1..0x1000).contains(&high) && small(low);
    fits.then_some((low, high))
}

/// Whether a value without the bits of text of seven or eight characters may be an address near the
/// rows.
fn may_be_address(value: u64, maps: &Maps) -> bool {
    /// Libraries and blocks of one program spread so far.
    const NEAR: u64 = 64 << 30;
    let place = maps.find(value);
    let row = |at: Option<usize>| at.and_then(|at| maps.get(at));
    row(place.before).is_some_and(|row| value.saturating_sub(row.range.end) < NEAR)
        || row(place.after).is_some_and(|row| row.range.start.saturating_sub(value) < NEAR)
}

/// The mapped address whose lower 32 bits equal the value. A program loses the upper bits if it
/// stores a pointer in an `int`, for example the result of a function without a prototype.
pub(super) fn truncated(value: u64, maps: &Maps) -> Option<Misread> {
    /// With more memory than this, one of 16 numbers or more has the lower half of an address.
    const MANY: u64 = 1 << 28;
    let zero_extended = value >> 32 == 0 && value >= 1 << 20;
    let sign_extended = value >> 31 == 0x1_ffff_ffff;
    if !zero_extended && !sign_extended {
        return None;
    }
    let low = value & 0xffff_ffff;
    let whole = |row: vmatlas_maps::Mapping<'_>| {
        let candidate = row.range.start & !0xffff_ffff | low;
        let candidates = [candidate, candidate.wrapping_add(1 << 32)];
        candidates.into_iter().find(|at| at >> 32 != 0 && row.range.contains(*at))
    };
    // Large reservations match any lower half.
    let rows = maps.iter().filter(|row| !row.perms.none() && row.range.size() < 1 << 28);
    let mut found = rows.filter_map(whole);
    let first = found.next()?;
    if found.next().is_some() {
        return None;
    }
    let rows = || maps.iter().filter(|row| !row.perms.none());
    let sum = rows().fold(0_u64, |sum, row| sum.saturating_add(row.range.size()));
    // A program that is not position-independent has addresses of 32 bits.
    let low = zero_extended && rows().any(|row| row.range.start >> 32 == 0);
    Some(Misread::Truncated { whole: first, by_chance: sum >= MANY || low })
}

/// Finds the meaning of a value that was used as a pointer; the most reliable match first.
pub(super) fn misread(value: u64, machine: Option<Machine>, maps: &Maps) -> Option<Misread> {
    let bits32 = matches!(machine, Some(Machine::X86 | Machine::Arm));
    let big_endian = machine == Some(Machine::S390x);
    let poison = poison(value, bits32);
    if poison.is_some() {
        return poison;
    }
    if bits32 {
        // Stacks may lie below the last page.
        let signed = value as i32;
        return (-0x1000..0).contains(&signed).then(|| Misread::Negative(i64::from(signed)));
    }
    let text = text(value, big_endian);
    if let Some(text) = text.filter(|text| text.len() >= 7 || !may_be_address(value, maps)) {
        return Some(Misread::Text(text));
    }
    let filled = filled(value);
    if filled.is_some() {
        return filled;
    }
    let truncated = truncated(value, maps);
    if truncated.is_some() {
        return truncated;
    }
    if let Some(number) = double(value) {
        return Some(Misread::Double(number));
    }
    if let Some((low, high)) = halves(value) {
        return Some(Misread::Halves(low, high));
    }
    let signed = value as i64;
    (-(1 << 20)..0).contains(&signed).then_some(Misread::Negative(signed))
}
