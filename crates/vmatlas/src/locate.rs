//! Addresses as people write them: numbers, ranges and symbols.

use crate::atlas::Atlas;
use crate::error::{Error, ErrorKind, Result};
use crate::request::Request;
use crate::words::values::{count, printable};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use vmatlas_linux::elf::{ElfError, ElfFile, demangle};
use vmatlas_linux::{Results, SharedElf, all_within};
use vmatlas_maps::{AddressRange, Kind};

/// The longest time to wait for the next symbol table.
const LIMIT: Duration = Duration::from_secs(15);
/// The most threads that read symbol tables.
const MAX_THREADS: usize = 8;

/// A place in an address space, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// An address.
    Address(u64),
    /// `START-END`, without END, or `START+LENGTH`.
    Range(AddressRange),
    /// A symbol of a mapped file: `[FILE:]NAME[+OFFSET]`.
    Symbol(SymbolName),
}

/// The name of a symbol as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SymbolName {
    /// The file that holds it: its path, its name, or the begin of its name before `.` or `-`, such
    /// as `libc` of `libc.so.6`.
    pub file: Option<String>,
    /// The name as the file has it, without a version, or demangled, without parameters.
    pub name: String,
    /// Bytes from its start.
    pub offset: u64,
}

/// A text that is no place in an address space.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LocationError {
    /// Neither a number, a range nor a name.
    NoLocation(String),
    /// A range that ends before it begins, or that holds no byte.
    EmptyRange(String),
}

impl fmt::Display for LocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocationError::NoLocation(text) => write!(
                f,
                "`{}` is no address: write hexadecimal digits (0x7f0012345678), START-END, \
                 START+LENGTH, or [FILE:]SYMBOL[+OFFSET]",
                printable(text.as_bytes())
            ),
            LocationError::EmptyRange(text) => {
                write!(f, "`{}` is a range without a byte", printable(text.as_bytes()))
            }
        }
    }
}

impl std::error::Error for LocationError {}

impl fmt::Display for SymbolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        f.write_str(&self.name)
    }
}

/// Addresses are hexadecimal, with or without `0x`. Lengths and offsets are decimal, `0x…`, or have
/// a unit: `4K`. What can be read as a number is one; `FILE:add` is the symbol.
///
/// ```
/// use vmatlas::Location;
/// assert_eq!("0X7f00".parse(), Ok(Location::Address(0x7f00)));
/// assert_eq!("7f00-8f00".parse::<Location>(), "7f00+4K".parse());
/// assert!(matches!("libc.so.6:malloc+0x10".parse(), Ok(Location::Symbol(_))));
/// assert!("+1".parse::<Location>().is_err());
/// ```
impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> std::result::Result<Location, LocationError> {
        if let Some(address) = hexadecimal(text) {
            return Ok(Location::Address(address));
        }
        let range = |start: u64, end: Option<u64>| match end.filter(|end| *end > start) {
            Some(end) => Ok(Location::Range(AddressRange::new(start, end))),
            None => Err(LocationError::EmptyRange(text.to_owned())),
        };
        if let Some((start, end)) = text.split_once('-')
            && let (Some(start), Some(end)) = (hexadecimal(start), hexadecimal(end))
        {
            return range(start, Some(end));
        }
        let (name, offset) = match text.rsplit_once('+') {
            Some((name, offset)) => (name, number(offset)),
            None => (text, Some(0)),
        };
        let no_location = || LocationError::NoLocation(text.to_owned());
        // The `+` of `operator+`.
        let (name, offset) = match offset {
            Some(offset) => (name, offset),
            None if name.ends_with("operator") || name.ends_with("operator+") => (text, 0),
            None => return Err(no_location()),
        };
        if let Some(start) = hexadecimal(name) {
            return range(start, start.checked_add(offset));
        }
        let (file, name) = match file_end(name) {
            Some(end) => (Some(name[..end].to_owned()), &name[end + 1..]),
            None => (None, name),
        };
        let is_name = |name: &str| {
            !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit() || c == '#')
        };
        if !is_name(name) || file.as_deref() == Some("") {
            return Err(no_location());
        }
        Ok(Location::Symbol(SymbolName { file, name: name.to_owned(), offset }))
    }
}

/// The first colon that is none of `::`.
fn file_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| {
        let is_colon = |at: usize| bytes.get(at) == Some(&b':');
        is_colon(at) && !is_colon(at + 1) && !(at > 0 && is_colon(at - 1))
    })
}

fn hexadecimal(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))
}

/// A number of bytes.
fn number(text: &str) -> Option<u64> {
    if text.starts_with("0x") || text.starts_with("0X") {
        return hexadecimal(text);
    }
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    let number: u64 = digits.parse().ok().filter(|_| !digits.starts_with('+'))?;
    number.checked_mul(1 << shift)
}

/// A symbol of a mapped file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct FoundSymbol {
    /// Its address in the process.
    pub address: u64,
    /// The name as the file has it.
    pub mangled: String,
    /// The path of the file; it may hold any bytes.
    pub file: Vec<u8>,
}

impl FoundSymbol {
    /// The demangled name.
    pub fn name(&self) -> String {
        demangle(self.mangled.as_bytes())
    }
}

impl Atlas {
    /// The address or the range of a location.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] for a symbol of a source without files, [`ErrorKind::NotFound`] and
    /// [`ErrorKind::Ambiguous`] for one that no or several places have.
    pub fn locate(&self, location: &Location) -> Result<AddressRange> {
        let byte = |address: u64| AddressRange::new(address, address.saturating_add(1));
        let wanted = match location {
            Location::Address(address) => return Ok(byte(*address)),
            Location::Range(range) => return Ok(*range),
            Location::Symbol(wanted) => wanted,
        };
        let searched = self.search(wanted)?;
        match &searched.found[..] {
            [one] => Ok(byte(one.address.wrapping_add(wanted.offset))),
            [] => Err(no_symbol(wanted, &searched)),
            several => Err(ambiguous(wanted, several)),
        }
    }

    /// The symbols with a name, in the order of their addresses, each address once.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] if the source has no files, as a text.
    pub fn symbols_named(&self, wanted: &SymbolName) -> Result<Vec<FoundSymbol>> {
        Ok(self.search(wanted)?.found)
    }

    fn search(&self, wanted: &SymbolName) -> Result<Searched> {
        self.require(Request::Symbols)?;
        let files = self.files_named(wanted.file.as_deref());
        let count = files.len();
        let share = count.div_ceil(MAX_THREADS).max(1);
        let jobs: Vec<_> = files.chunks(share).map(<[_]>::to_vec).collect();
        let jobs = jobs.into_iter().map(|files| {
            let name = wanted.name.clone();
            move |results: &Results<Vec<FoundSymbol>>| {
                for (elf, bias, path) in files {
                    let elf = elf.lock().unwrap_or_else(PoisonError::into_inner);
                    let found = |(mangled, vaddr): (String, u64)| {
                        let address = vaddr.wrapping_add(bias);
                        FoundSymbol { address, mangled, file: path.clone() }
                    };
                    if let Ok(symbols) = symbols(&elf, &name) {
                        results.add(symbols.into_iter().map(found).collect());
                    }
                }
            }
        });
        let limit = self.limits().cpu.map_or(LIMIT, |cpu| cpu.max(LIMIT));
        let read = all_within(limit, jobs);
        let unread = count.saturating_sub(read.len());
        let mut found: Vec<FoundSymbol> = read.into_iter().flatten().collect();
        found.sort_unstable();
        found.dedup_by_key(|symbol| symbol.address);
        Ok(Searched { found, files: count, unread })
    }

    /// The addresses in a range at which a mapping or a gap begins, the start of the range first: at
    /// most `limit`, and whether there are more.
    pub fn parts_of(&self, range: AddressRange, limit: usize) -> (Vec<u64>, bool) {
        let maps = self.maps();
        let mut parts = Vec::new();
        let mut at = range.start;
        loop {
            if parts.len() == limit {
                return (parts, true);
            }
            parts.push(at);
            let found = maps.find(at);
            let row = |index: Option<usize>| index.and_then(|index| maps.get(index));
            let next = match (row(found.mapping), row(found.after)) {
                (Some(row), _) => Some(row.range.end),
                (None, after) => after.map(|row| row.range.start),
            };
            match next.filter(|next| at < *next && *next < range.end) {
                Some(next) => at = next,
                None => return (parts, false),
            }
        }
    }

    /// The programs and libraries whose path has this name, with their load bias and path.
    fn files_named(&self, name: Option<&str>) -> Vec<(SharedElf, u64, Vec<u8>)> {
        let maps = self.maps();
        let is_wanted = |index: usize| {
            maps.get(index).is_some_and(|row| {
                let is_image = matches!(row.kind(), Kind::File | Kind::Vdso);
                is_image && row.perms.execute() && name.is_none_or(|name| has_name(row.name, name))
            })
        };
        let indexes = || (0..maps.len()).filter(|&index| is_wanted(index));
        let mut files = BTreeMap::new();
        let mut add = |elf: SharedElf, bias: Option<u64>, path: &[u8]| {
            if let Some(bias) = bias {
                let key = (Arc::as_ptr(&elf) as usize, bias);
                files.entry(key).or_insert_with(|| (elf, bias, path.to_vec()));
            }
        };
        if let Some(images) = self.live().and_then(|live| live.images(maps, is_wanted)) {
            for index in indexes() {
                if let Some((_, elf)) = images.shared(index) {
                    let bias = images.of_row(maps, index).and_then(|image| image.bias());
                    add(elf, bias, maps.get(index).map_or(b"", |row| row.name));
                }
            }
        }
        for row in indexes().filter_map(|index| self.row(index)) {
            let now = match (self.core(), self.recorded()) {
                (Some(core), _) => core.file_now(&row),
                (_, Some(recorded)) => recorded.file_now(maps, row.index()),
                _ => None,
            };
            if let Some((Ok(elf), bias)) = now.map(|now| (now.elf, now.bias)) {
                add(elf, bias, row.name);
            }
        }
        files.into_values().collect()
    }
}

/// The result of a search for a symbol.
struct Searched {
    found: Vec<FoundSymbol>,
    /// The files to search.
    files: usize,
    /// Those whose symbols could not be read.
    unread: usize,
}

fn no_symbol(wanted: &SymbolName, searched: &Searched) -> Error {
    let name = printable(wanted.name.as_bytes());
    let message = match (&wanted.file, searched) {
        (Some(file), Searched { files: 0, .. }) => {
            let file = printable(file.as_bytes());
            format!("no mapped program or library that can be read is called {file}")
        }
        (None, Searched { files: 0, .. }) => "no mapped program or library can be read".to_owned(),
        (_, Searched { files, unread: 0, .. }) => {
            format!("no symbol {name} is in {}", count(*files as u64, "mapped file"))
        }
        (_, Searched { files, unread, .. }) => {
            let files = count(*files as u64, "mapped file");
            format!("no symbol {name} was found in {files}, of which {unread} could not be read")
        }
    };
    Error::new(ErrorKind::NotFound, message)
}

/// The error that names the first candidates.
fn ambiguous(wanted: &SymbolName, found: &[FoundSymbol]) -> Error {
    /// The most candidates to name.
    const MAX: usize = 8;
    let one = |symbol: &FoundSymbol| {
        let file = symbol.file.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        format!("{:#x} {}:{}", symbol.address, printable(file), printable(symbol.name().as_bytes()))
    };
    let named: Vec<String> = found.iter().take(MAX).map(one).collect();
    let more = match found.len().saturating_sub(MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let name = printable(wanted.to_string().as_bytes());
    let places = count(found.len() as u64, "symbol");
    let message =
        format!("{places} are called {name}: {}{more}; give one's address", named.join(", "));
    Error::new(ErrorKind::Ambiguous, message)
}

/// Whether a path is of a file with this name: the path, its last part, or the begin of that before
/// `.` or `-`.
fn has_name(path: &[u8], name: &str) -> bool {
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    let file = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let rest = file.strip_prefix(name.as_bytes());
    path == name.as_bytes() || rest.is_some_and(|rest| matches!(rest, [] | [b'.' | b'-', ..]))
}

/// The symbols of a file with this name, as the file has it or demangled, and their addresses there.
fn symbols(elf: &ElfFile, name: &str) -> std::result::Result<Vec<(String, u64)>, ElfError> {
    let wanted = name.as_bytes();
    // A mangled name holds the last part of the demangled one.
    let last = name.rsplit("::").next().unwrap_or(name).as_bytes();
    let is_it = |mangled: &[u8]| {
        let own = mangled.split(|&byte| byte == b'@').next().unwrap_or_default();
        if own == wanted {
            return true;
        }
        let may_be = own.starts_with(b"_Z") || own.starts_with(b"_R");
        may_be
            && own.windows(last.len()).any(|part| part == last)
            && demangle(own)
                .strip_prefix(name)
                .is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'(', ..]))
    };
    let found = elf.find_symbols(is_it)?;
    let symbol = |symbol: &vmatlas_linux::elf::Symbol<'_>| {
        (String::from_utf8_lossy(symbol.name).into_owned(), symbol.vaddr)
    };
    Ok(found.iter().map(symbol).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn symbol(text: &str) -> (Option<String>, String, u64) {
        match text.parse() {
            Ok(Location::Symbol(SymbolName { file, name, offset })) => (file, name, offset),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_people_write() {
        let named = |file: Option<&str>, name: &str, offset| {
            (file.map(str::to_owned), name.to_owned(), offset)
        };
        assert_eq!(symbol("main"), named(None, "main", 0));
        assert_eq!(symbol("main+0x10"), named(None, "main", 16));
        assert_eq!(symbol("/lib/libc.so.6:malloc+16"), named(Some("/lib/libc.so.6"), "malloc", 16));
        assert_eq!(symbol("std::sort"), named(None, "std::sort", 0));
        assert_eq!(symbol("a.out:N::f+1K"), named(Some("a.out"), "N::f", 1024));
        assert_eq!(symbol("N::operator+"), named(None, "N::operator+", 0));
        assert_eq!(symbol("x:add"), named(Some("x"), "add", 0));
        assert_eq!("add".parse(), Ok(Location::Address(0xadd)));
        let range = |start, end| Ok(Location::Range(AddressRange::new(start, end)));
        assert_eq!("0X10-20".parse(), range(0x10, 0x20));
        assert_eq!("add+16".parse(), range(0xadd, 0xaed));
        for text in ["", "+", "+10", "0x", "1g", "main+", "main+x", ":main", "x:", "#0", "f+-1"] {
            let error = Err(LocationError::NoLocation(text.to_owned()));
            assert_eq!(text.parse::<Location>(), error);
        }
        for text in ["20-10", "10-10", "10+0", "ffffffffffffffff+2"] {
            let error = Err(LocationError::EmptyRange(text.to_owned()));
            assert_eq!(text.parse::<Location>(), error);
        }
    }

    #[test]
    fn names_of_files() {
        for name in ["/lib/libc.so.6", "libc.so.6", "libc.so", "libc"] {
            assert!(has_name(b"/lib/libc.so.6", name), "{name}");
            assert!(has_name(b"/lib/libc.so.6 (deleted)", name), "{name}");
        }
        for name in ["lib", "c", "lib/libc.so.6", ""] {
            assert!(!has_name(b"/lib/libc.so.6", name), "{name}");
        }
    }
}
