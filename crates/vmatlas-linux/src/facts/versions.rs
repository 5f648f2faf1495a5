//! Versions of runtimes and allocators, as far as their files state them.

use crate::elf::{ElfFile, FileOffset, SectionType, Vaddr};

/// Upper limit of the constants that are searched, in bytes. HotSpot's have 4 MiB.
const MAX: u64 = 16 << 20;
/// They are read in pieces of this size, for which the allocator maps no memory.
const PIECE: u64 = 32 << 10;
/// Bytes that two pieces share: the longest text with a version, and what precedes it.
const OVERLAP: u64 = 512;

/// The versions in a file, each with the name of the runtime or allocator.
pub(super) fn of(path: &[u8], elf: &ElfFile) -> Vec<(&'static str, String)> {
    let name = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    let name = String::from_utf8_lossy(name);
    let after = |prefix: &str| name.strip_prefix(prefix).and_then(number);
    let mut found = Vec::new();
    let mut add = |what, version: Option<String>| found.extend(version.map(|of| (what, of)));
    add("Go", elf.go_version());
    add("CPython", after("python").or_else(|| after("libpython")));
    add("mimalloc", after("libmimalloc.so.").or_else(|| after("libmimalloc-secure.so.")));
    if name == "libjvm.so" {
        add("HotSpot", in_constants(elf, hotspot));
    }
    if name.starts_with("libc.so.6") || name.starts_with("libc-2.") {
        add("glibc", in_constants(elf, glibc));
    }
    let symbols = elf.symbols_named(&["ruby_version"], 0);
    if let Some((_, ruby)) = symbols.first() {
        add("Ruby", text_at(elf, *ruby).as_deref().and_then(number));
    }
    found
}

/// The digits and dots at the start of a text; `None` if they are no version.
fn number(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let version = text.get(..end)?.trim_end_matches('.');
    (version.contains('.') && !version.starts_with('.')).then(|| version.to_owned())
}

/// The first result of `find` in the pieces of the constants.
fn in_constants(elf: &ElfFile, find: fn(&[u8]) -> Option<String>) -> Option<String> {
    let mut sections = elf.sections().iter();
    let section = sections.find(|s| s.name == ".rodata" && s.kind != SectionType::NOBITS)?;
    let size = section.size.min(MAX);
    pieces(size).find_map(|(at, length)| {
        let offset = FileOffset::new(section.offset.checked_add(at)?);
        find(&elf.bytes_at(offset, length).ok()?)
    })
}

/// The offset and the length of each piece of so many bytes.
fn pieces(size: u64) -> impl Iterator<Item = (u64, u64)> {
    let step = PIECE - OVERLAP;
    let count = size.saturating_sub(OVERLAP).div_ceil(step).max(1);
    (0..count).map(move |piece| (piece * step, PIECE.min(size - piece * step)))
}

/// The text of a variable.
fn text_at(elf: &ElfFile, vaddr: u64) -> Option<String> {
    let segment = elf.segment_at(Vaddr::new(vaddr))?;
    let offset = segment.offset.checked_add(vaddr.checked_sub(segment.vaddr)?)?;
    let bytes = elf.bytes_at(FileOffset::new(offset), 16).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// `stable release version 2.36.` of the text that libc.so.6 prints if it is executed.
fn glibc(bytes: &[u8]) -> Option<String> {
    let banner = memchr::memmem::find(bytes, b"GNU C Library (")?;
    let banner = bytes.get(banner..)?.get(..256)?;
    let version = memchr::memmem::find(banner, b" version ")?;
    number(&String::from_utf8_lossy(banner.get(version + b" version ".len()..)?))
}

/// `17.0.15` of the text `17.0.15+6`, as `java -version` prints it.
fn hotspot(bytes: &[u8]) -> Option<String> {
    let is_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    memchr::memchr_iter(b'+', bytes).find_map(|plus| {
        let before = bytes.get(..plus)?;
        let length = before.iter().rev().take_while(|byte| is_version(byte)).count();
        let start = plus.checked_sub(length)?;
        let follows = bytes.get(plus + 1)?.is_ascii_digit();
        let begins = start.checked_sub(1).and_then(|at| bytes.get(at)) == Some(&0);
        let text = String::from_utf8_lossy(before.get(start..)?).into_owned();
        let major: u32 = text.split('.').next()?.parse().ok()?;
        (begins && follows && (8..100).contains(&major)).then_some(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text that is no longer than what pieces share is whole in one of them.
    #[test]
    fn pieces_overlap() {
        for size in [0, 1, OVERLAP, OVERLAP + 1, PIECE - 1, PIECE, PIECE + 1, 10 * PIECE, 99_999] {
            let all: Vec<(u64, u64)> = pieces(size).collect();
            let ends = all.iter().map(|(at, length)| at + length);
            assert_eq!((all[0].0, ends.max()), (0, Some(size)));
            for two in all.windows(2) {
                assert_eq!(two[0].0 + two[0].1, two[1].0 + OVERLAP);
            }
        }
    }

    #[test]
    fn versions_in_texts() {
        assert_eq!(number("3.11"), Some("3.11".to_owned()));
        assert_eq!(number("3.11.so.1.0"), Some("3.11".to_owned()));
        assert_eq!(number("3"), None);
        let banner = b"\0GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCop";
        let banner = [&banner[..], &[0; 256]].concat();
        assert_eq!(glibc(&banner), Some("2.36".to_owned()));
        assert_eq!(hotspot(b"a+1\0x1.0+2\x0025.0.3+9-LTS\0"), Some("25.0.3".to_owned()));
        assert_eq!(hotspot(b"+"), None);
    }
}
