//! Go's table of functions and lines: `.gopclntab`. The Go runtime needs it, so it remains when
//! symbols and DWARF are stripped (`-ldflags "-s -w"`).
//!
//! The table is read from bytes that are not trusted. For inlined code, the function is the outer
//! one that contains the code, while file and line are those of the inlined function: the tree of
//! inlined calls is not in this table.
//!
//! # References
//!
//! `runtime/symtab.go` and `debug/gosym/pclntab.go` of Go 1.16 to 1.24.

/// Steps in one line table: a function of a million instructions has some hundred thousand.
const MAX_STEPS: usize = 1 << 20;
/// Bytes in a name; names of generic functions are long.
const MAX_NAME: usize = 16 << 10;

/// An error in a `.gopclntab`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind}, at byte {offset:#x}")]
#[non_exhaustive]
pub struct PclntabError {
    /// The kind of error.
    pub kind: PclntabErrorKind,
    /// The offset in bytes from the start of the table.
    pub offset: u64,
}

/// The kind of an error in a `.gopclntab`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PclntabErrorKind {
    /// The magic number is not that of Go 1.16 or later.
    #[error("it does not begin as the table of any Go version after 1.15")]
    Magic,
    /// The header is invalid: pointers have 4 or 8 bytes, instructions have a quantum of 1, 2 or 4.
    #[error("its header is not that of any machine")]
    Header,
    /// An offset points beyond the end of the table.
    #[error("it points beyond its end")]
    Truncated,
    /// A line table ends before the address.
    #[error("its lines end before the address")]
    Lines,
}

/// The Go function that contains an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function<'a> {
    /// The name as Go writes it: `main.(*T).Method`.
    pub name: &'a [u8],
    /// The start address.
    pub start: u64,
    /// File and line of the address, if the table has them.
    pub source: Option<(&'a [u8], u64)>,
}

/// The header of a `.gopclntab`: the offsets of its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pclntab {
    big_endian: bool,
    /// Go 1.18 and later: function entries are 4-byte offsets from `text`.
    relative: bool,
    quantum: u64,
    pointer: usize,
    count: u64,
    text: u64,
    names: u64,
    units: u64,
    files: u64,
    lines: u64,
    functions: u64,
}

impl Pclntab {
    /// Reads the header. `text` is the address of `.text`; it is needed for a PIE, whose header
    /// contains a relocation instead.
    ///
    /// # Errors
    ///
    /// If `bytes` is not a table of Go 1.16 or later, or its header is truncated or invalid.
    pub fn parse(bytes: &[u8], text: u64) -> Result<Self, PclntabError> {
        let error = |kind, offset| PclntabError { kind, offset };
        let Some(start) = bytes.first_chunk::<8>() else {
            return Err(error(PclntabErrorKind::Truncated, 0));
        };
        let [a, b, c, d, 0, 0, quantum @ (1 | 2 | 4), pointer @ (4 | 8)] = *start else {
            return Err(error(PclntabErrorKind::Header, 4));
        };
        let known = |magic| matches!(magic, 0xffff_fff1_u32 | 0xffff_fff0 | 0xffff_fffa);
        let little = u32::from_le_bytes([a, b, c, d]);
        let big = u32::from_be_bytes([a, b, c, d]);
        let (big_endian, magic) = match (known(little), known(big)) {
            (true, _) => (false, little),
            (_, true) => (true, big),
            _ => return Err(error(PclntabErrorKind::Magic, 0)),
        };
        let pointer = usize::from(pointer);
        let relative = magic != 0xffff_fffa;
        let word = |index: usize| number(bytes, 8 + (index * pointer) as u64, pointer, big_endian);
        let mut words = [0; 8];
        for (index, value) in words[..if relative { 8 } else { 7 }].iter_mut().enumerate() {
            *value = word(index)?;
        }
        if !relative {
            words.copy_within(2..7, 3);
            words[2] = 0;
        }
        let [count, _, start, names, units, files, lines, functions] = words;
        let text = if start == 0 && relative { text } else { start };
        let quantum = u64::from(quantum);
        let this = Pclntab {
            big_endian,
            relative,
            quantum,
            pointer,
            count,
            text,
            names,
            units,
            files,
            lines,
            functions,
        };
        // The end of the last function follows the table.
        let field = this.field() as u64;
        let size = count.checked_mul(2 * field).and_then(|size| size.checked_add(field));
        let end = size.and_then(|size| size.checked_add(functions));
        if end.is_none_or(|end| end > bytes.len() as u64) {
            return Err(error(PclntabErrorKind::Truncated, functions));
        }
        Ok(this)
    }

    /// Finds the function that contains `address`. `bytes` must be the bytes that
    /// [`parse`](Self::parse) received.
    ///
    /// # Errors
    ///
    /// If the part of the table about this function is damaged.
    pub fn find<'a>(
        &self,
        bytes: &'a [u8],
        address: u64,
    ) -> Result<Option<Function<'a>>, PclntabError> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.start_of(bytes, middle)? <= address { low = middle + 1 } else { high = middle }
        }
        let Some(index) = low.checked_sub(1) else { return Ok(None) };
        if self.start_of(bytes, self.count)? <= address {
            return Ok(None);
        }
        let start = self.start_of(bytes, index)?;
        let at = self.functions + (2 * index + 1) * self.field() as u64;
        let function = number(bytes, at, self.field(), self.big_endian)?;
        // `_func` is the entry, followed by fields of 4 bytes.
        let record = self.functions.saturating_add(function);
        let entry = if self.relative { 4 } else { self.pointer as u64 };
        let field =
            |n: u64| number(bytes, record.saturating_add(entry + 4 * n), 4, self.big_endian);
        let name = text(bytes, self.names.saturating_add(field(0)?))?;
        let source = self.source(bytes, start, address, [field(4)?, field(5)?, field(7)?]);
        Ok(Some(Function { name, start, source: source.unwrap_or_default() }))
    }

    fn source<'a>(
        &self,
        bytes: &'a [u8],
        start: u64,
        address: u64,
        [files, lines, unit]: [u64; 3],
    ) -> Result<Option<(&'a [u8], u64)>, PclntabError> {
        let (Some(file), Some(line)) =
            (self.value(bytes, files, start, address)?, self.value(bytes, lines, start, address)?)
        else {
            return Ok(None);
        };
        let (Ok(file), Ok(line)) = (u64::try_from(file), u64::try_from(line)) else {
            return Ok(None);
        };
        let at = self.units.saturating_add(unit.saturating_add(file).saturating_mul(4));
        let name = number(bytes, at, 4, self.big_endian)?;
        if name == u64::from(u32::MAX) {
            return Ok(None);
        }
        Ok(Some((text(bytes, self.files.saturating_add(name))?, line)))
    }

    /// The value at `address` in a pc-value table. The table is pairs of varints: a zigzag
    /// difference of the value and a difference of the address; the first value is -1. Offset 0
    /// means no table.
    fn value(
        &self,
        bytes: &[u8],
        table: u64,
        start: u64,
        address: u64,
    ) -> Result<Option<i64>, PclntabError> {
        if table == 0 {
            return Ok(None);
        }
        let mut at = self.lines.saturating_add(table);
        let (mut value, mut end) = (-1_i64, start);
        for step in 0..MAX_STEPS {
            let difference = varint(bytes, &mut at)?;
            if difference == 0 && step > 0 {
                break;
            }
            let zigzag = i64::from(difference >> 1) ^ -i64::from(difference & 1);
            value += zigzag; // of 32 bits each, a million times
            end = end.saturating_add(u64::from(varint(bytes, &mut at)?) * self.quantum);
            if address < end {
                return Ok(Some(value));
            }
        }
        Err(PclntabError { kind: PclntabErrorKind::Lines, offset: at })
    }

    /// The start of function `index`; for `index` equal to the count, the end of the last function.
    fn start_of(&self, bytes: &[u8], index: u64) -> Result<u64, PclntabError> {
        let at = self.functions + 2 * index * self.field() as u64;
        Ok(self.text.wrapping_add(number(bytes, at, self.field(), self.big_endian)?))
    }

    fn field(&self) -> usize {
        if self.relative { 4 } else { self.pointer }
    }
}

fn truncated(offset: u64) -> PclntabError {
    PclntabError { kind: PclntabErrorKind::Truncated, offset }
}

fn number(bytes: &[u8], at: u64, size: usize, big_endian: bool) -> Result<u64, PclntabError> {
    let found = usize::try_from(at).ok().and_then(|at| bytes.get(at..at.checked_add(size)?));
    let found = found.ok_or(truncated(at))?;
    let shift = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    Ok(match big_endian {
        true => found.iter().fold(0, shift),
        false => found.iter().rev().fold(0, shift),
    })
}

fn varint(bytes: &[u8], at: &mut u64) -> Result<u32, PclntabError> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        let byte = number(bytes, *at, 1, false)? as u32;
        *at += 1;
        value |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(PclntabError { kind: PclntabErrorKind::Lines, offset: *at })
}

fn text(bytes: &[u8], at: u64) -> Result<&[u8], PclntabError> {
    let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).ok_or(truncated(at))?;
    let rest = &rest[..rest.len().min(MAX_NAME)];
    Ok(&rest[..rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One table of each format, with two functions of 16 bytes.
    #[test]
    fn every_format() {
        for bytes in [
            &include_bytes!("../../../testdata/fuzz/pclntab/go1.16")[..],
            include_bytes!("../../../testdata/fuzz/pclntab/go1.18"),
            include_bytes!("../../../testdata/fuzz/pclntab/go1.20-big-endian"),
        ] {
            let table = Pclntab::parse(bytes, 0).unwrap();
            let shown = |address| {
                table.find(bytes, address).unwrap().map(|function| {
                    let (file, line) = function.source.unwrap_or((b"?", 0));
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    format!(
                        "{}+{:#x} {}:{line}",
                        text(function.name),
                        address - function.start,
                        text(file)
                    )
                })
            };
            assert_eq!(shown(0x40_0fff), None);
            assert_eq!(shown(0x40_1000).unwrap(), "main.main+0x0 /src/main.go:9");
            assert_eq!(shown(0x40_1004).unwrap(), "main.main+0x4 /src/main.go:10");
            assert_eq!(shown(0x40_101f).unwrap(), "main.(*T).Method+0xf /src/main.go:10");
            assert_eq!(shown(0x40_1020), None);
            for size in 0..bytes.len() {
                if let Ok(table) = Pclntab::parse(&bytes[..size], 0) {
                    let _ = table.find(&bytes[..size], 0x40_1004);
                }
            }
        }
        let error = Pclntab::parse(b"\xfb\xff\xff\xff\0\0\x01\x08", 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it does not begin as the table of any Go version after 1.15, at byte 0x0"
        );
    }
}
