//! Jitdumps: records of code, its lines and its moves.

use super::{Code, Errors, JitError, JitErrorKind, JitMap, JitPlace, Line};
use crate::budget::Budget;
use std::collections::HashMap;

const MAGIC: u32 = 0x4a69_5444;
/// The version in the specification's text; its version 2 changed no record.
const VERSION: u32 = 1;
const CODE_LOAD: u32 = 0;
const CODE_MOVE: u32 = 1;
const CODE_DEBUG_INFO: u32 = 2;
const CODE_CLOSE: u32 = 3;

/// The bytes left to read, in the byte order of the machine that wrote them.
#[derive(Clone, Copy)]
struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Fields<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(size)?;
        self.bytes = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?.try_into().ok()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some(if self.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// The bytes up to a NUL, which is required.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr(0, self.bytes)?;
        let text = self.take(end)?;
        self.take(1)?;
        Some(text)
    }
}

/// State kept between records.
struct Reader<'b> {
    map: JitMap,
    /// Lines of the code that is loaded next, by its address.
    lines: HashMap<u64, Vec<Line>>,
    /// The number of these lines.
    line_count: u64,
    /// Index in the map by file name.
    files: HashMap<String, u32>,
    budget: &'b Budget,
    /// The bytes taken from it.
    taken: u64,
}

impl JitMap {
    /// Reads a jitdump of either byte order. With `until`, later records are skipped, so the map
    /// shows the code at that time (in nanoseconds of the runtime's clock: `CLOCK_MONOTONIC` unless
    /// the header says otherwise).
    ///
    /// An invalid record is skipped and reported as an error, as is a truncated last record. The
    /// names and lines take memory from the budget.
    pub fn parse_jitdump(
        bytes: &[u8],
        until: Option<u64>,
        budget: &Budget,
    ) -> (JitMap, Vec<JitError>) {
        let mut errors = Errors::default();
        let mut reader = Reader::new(budget);
        if let Err((kind, at)) = reader.read(bytes, until, &mut errors) {
            errors.add(kind, JitPlace::Byte(at));
        }
        (reader.map, errors.0)
    }
}

impl Reader<'_> {
    fn new(budget: &Budget) -> Reader<'_> {
        let (lines, files) = (HashMap::new(), HashMap::new());
        Reader { map: JitMap::default(), lines, line_count: 0, files, budget, taken: 0 }
    }

    /// Reads all records; an error ends the file early.
    fn read(
        &mut self,
        bytes: &[u8],
        until: Option<u64>,
        errors: &mut Errors,
    ) -> Result<(), (JitErrorKind, usize)> {
        let mut header = Fields { bytes, big_endian: false };
        match header.u32() {
            Some(MAGIC) => {}
            Some(magic) if magic.swap_bytes() == MAGIC => header.big_endian = true,
            _ => return Err((JitErrorKind::Magic, 0)),
        }
        let big_endian = header.big_endian;
        let cut = (JitErrorKind::Truncated, 0);
        let version = header.u32().ok_or(cut)?;
        if version != VERSION {
            return Err((JitErrorKind::Version(version), 4));
        }
        let mut at = header.u32().ok_or(cut)? as usize;
        if at < 40 {
            return Err((JitErrorKind::Record, 8));
        }
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let cut = (JitErrorKind::Truncated, at);
            let mut record = Fields { bytes: rest, big_endian };
            let (id, size) = (record.u32().ok_or(cut)?, record.u32().ok_or(cut)? as usize);
            let time = record.u64().ok_or(cut)?;
            let Some(body) = size.checked_sub(16) else {
                return Err((JitErrorKind::Record, at));
            };
            let body = Fields { bytes: record.take(body).ok_or(cut)?, big_endian };
            if id == CODE_CLOSE {
                break;
            }
            // Records of several threads need not be in order.
            if until.is_none_or(|until| time <= until) {
                if let Err(kind) = self.record(id, body) {
                    errors.add(kind, JitPlace::Byte(at));
                }
                let more = self.line_count * size_of::<Line>() as u64;
                let taken = self.map.take_memory(&mut self.taken, more, self.budget);
                taken.map_err(|kind| (kind, at))?;
            }
            at += size;
        }
        Ok(())
    }

    fn record(&mut self, id: u32, fields: Fields<'_>) -> Result<(), JitErrorKind> {
        match id {
            CODE_LOAD => self.load(fields),
            CODE_MOVE => self.moved(fields),
            CODE_DEBUG_INFO => self.debug_info(fields),
            _ => Ok(()), // how to unwind, and what comes in later versions
        }
    }

    fn load(&mut self, mut fields: Fields<'_>) -> Result<(), JitErrorKind> {
        let mut load = || {
            fields.take(8)?; // process and thread
            fields.u64()?; // where the runtime runs it: perf takes code_addr
            Some((fields.u64()?, fields.u64()?, fields.u64()?, fields.text()?))
        };
        let (start, size, _index, name) = load().ok_or(JitErrorKind::Record)?;
        let lines = self.lines.remove(&start).unwrap_or_default();
        self.line_count -= lines.len() as u64;
        self.map.add(size, Code::new(start, name, lines))
    }

    fn moved(&mut self, mut fields: Fields<'_>) -> Result<(), JitErrorKind> {
        let mut moved = || {
            fields.take(16)?;
            Some((fields.u64()?, fields.u64()?, fields.u64()?))
        };
        let (from, to, size) = moved().ok_or(JitErrorKind::Record)?;
        let piece = self.map.pieces.get(&from).copied().ok_or(JitErrorKind::Move)?;
        let code = Code { start: to, ..self.map.codes[piece.code].clone() };
        // The old range no longer has code.
        self.map.clear(from, piece.end);
        self.map.add_shared(size, code)
    }

    fn debug_info(&mut self, mut fields: Fields<'_>) -> Result<(), JitErrorKind> {
        let mut head = || Some((fields.u64()?, fields.u64()?));
        let (start, count) = head().ok_or(JitErrorKind::Record)?;
        let mut lines = Vec::new();
        let mut file = 0;
        for index in 0..count {
            let mut entry = || Some((fields.u64()?, fields.u32()?, fields.u32()?, fields.text()?));
            let (address, line, _discriminator, name) = entry().ok_or(JitErrorKind::Record)?;
            // The same name as the previous entry.
            if name != b"\xff" || index == 0 {
                file = self.file(name);
            }
            lines.push(Line { offset: address.saturating_sub(start), file, line });
        }
        lines.sort_by_key(|line| line.offset);
        self.line_count += lines.len() as u64;
        if let Some(former) = self.lines.insert(start, lines) {
            self.line_count -= former.len() as u64;
        }
        Ok(())
    }

    fn file(&mut self, name: &[u8]) -> u32 {
        let name = String::from_utf8_lossy(&name[..name.len().min(super::MAX_NAME)]);
        if let Some(&file) = self.files.get(&*name) {
            return file;
        }
        let file = self.map.files.len() as u32; // fewer than lines
        // Here and in the map.
        self.map.texts += 2 * (name.len() + size_of::<String>()) as u64;
        self.map.files.push(name.clone().into_owned());
        self.files.insert(name.into_owned(), file);
        file
    }
}
