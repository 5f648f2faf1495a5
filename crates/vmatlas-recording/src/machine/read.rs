//! Reads a snapshot from bytes that may be damaged or hostile.

use super::fields;
use super::header::{Header, MAX_CONTENTS};
use super::process::{NUMBERS, SavedProcess, State};
use super::rows::{Columns, SavedRow};
use super::snapshot::Snapshot;
use super::tables::Tables;
use crate::block::zstd;
use std::collections::BTreeMap;
use std::sync::Arc;
use vmatlas_maps::Identity;
use vmatlas_space::bytes::Take;

/// The bytes of a file after its contents: a checksum of all before it.
pub(super) const TRAILER: usize = 4;
/// The steps of the list of processes, in the two lowest bits below a number of processes.
pub(super) const KEEP: u64 = 0;
pub(super) const DROP: u64 = 1;
pub(super) const NEW: u64 = 2;
/// What changed of a process that is kept.
pub(super) const IDENTITY: u8 = 1;
pub(super) const ROWS: u8 = 2;
pub(super) const STATE: u8 = 4;
/// The columns, in the order of the file.
pub(super) const STRINGS: usize = 0;
pub(super) const SHAPES: usize = 1;
pub(super) const FACTS: usize = 2;
pub(super) const LIST: usize = 3;
pub(super) const FLAGS: usize = 4;
pub(super) const IDENTITIES: usize = 5;
pub(super) const LIKE: usize = 6;
pub(super) const ROW_STEPS: usize = 7;
pub(super) const ROW_GAPS: usize = 8;
pub(super) const ROW_SHAPES: usize = 9;
/// A column for each number of a process, then one for each field of its rows.
pub(super) const FIRST_NUMBER: usize = 10;
pub(super) const FIRST_FIELD: usize = FIRST_NUMBER + NUMBERS;
/// The most fields of a row.
pub(super) const MAX_FIELDS: usize = 32;

/// Why bytes are no snapshot, or not one that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The bytes do not begin as a snapshot does.
    #[error("no snapshot of a machine")]
    NoSnapshot,
    /// A later version of the format.
    #[error("a snapshot of format {0}, which is newer than this vmatlas")]
    Newer(u8),
    /// The checksum or the contents are wrong.
    #[error("a snapshot of a machine that is damaged")]
    Damaged,
    /// Another snapshot than the one before it was given, or none.
    #[error("it needs the snapshot before it, {0}, which is missing or was replaced")]
    Base(String),
    /// It has more rows than the caller allows.
    #[error("it has more rows than are read")]
    TooLarge,
}

/// What reading a snapshot may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most rows of all processes, 16 bytes each.
    pub rows: usize,
    /// The most fields of all rows, 16 bytes each.
    pub fields: usize,
    /// The most processes.
    pub processes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { rows: 1 << 24, fields: 1 << 25, processes: 1 << 22 }
    }
}

impl Snapshot {
    /// Reads the bytes of a file, with the snapshot that its header names as its base.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn read(
        bytes: &[u8],
        base: Option<Snapshot>,
        limits: Limits,
    ) -> Result<Snapshot, SnapshotError> {
        let (header, rest) = Header::split(bytes)?;
        let damaged = SnapshotError::Damaged;
        let (all, trailer) = bytes.split_last_chunk::<TRAILER>().ok_or(damaged.clone())?;
        let checksum = u32::from_le_bytes(*trailer);
        if crc32fast::hash(all) != checksum {
            return Err(damaged);
        }
        let base = match (&header.base, base) {
            (None, _) => None,
            (Some(wanted), Some(base)) if wanted.checksum == base.checksum => Some(base),
            (Some(wanted), _) => return Err(SnapshotError::Base(wanted.name.clone())),
        };
        if header.fields.len() > MAX_FIELDS {
            return Err(damaged);
        }
        let stored = &rest[..rest.len() - TRAILER.min(rest.len())];
        let contents = contents(stored).ok_or(damaged)?;
        Reader::read(header, checksum, &contents, base.unwrap_or_default(), limits)
    }
}

/// The contents: their size, whether they are compressed, and the bytes.
fn contents(stored: &[u8]) -> Option<Vec<u8>> {
    let mut take = Take(stored);
    let size = usize::try_from(take.uint()?).ok().filter(|size| *size <= MAX_CONTENTS)?;
    match take.bool()? {
        true => zstd::decompress(take.0, size),
        false => (take.0.len() == size).then(|| take.0.to_vec()),
    }
}

struct Reader<'a> {
    header: Header,
    base: Vec<SavedProcess>,
    tables: Tables,
    columns: Vec<Take<'a>>,
    rows: Columns<'a>,
    limits: Limits,
    processes: Vec<SavedProcess>,
}

impl Reader<'_> {
    fn read(
        header: Header,
        checksum: u32,
        contents: &[u8],
        base: Snapshot,
        limits: Limits,
    ) -> Result<Snapshot, SnapshotError> {
        let Snapshot { facts, processes, tables, .. } = base;
        let mut take = Take(contents);
        let columns = FIRST_FIELD + header.fields.len();
        let columns: Option<Vec<Take<'_>>> = (0..columns).map(|_| take.bytes().map(Take)).collect();
        let columns = columns.ok_or(SnapshotError::Damaged)?;
        let column = |at: usize| columns[at].clone();
        let rows = Columns {
            steps: column(ROW_STEPS),
            gaps: column(ROW_GAPS),
            shapes: column(ROW_SHAPES),
        };
        let mut reader =
            Reader { header, base: processes, tables, columns, rows, limits, processes: vec![] };
        let damaged = SnapshotError::Damaged;
        let facts = reader.tables(&facts).ok_or(damaged.clone())?;
        reader.list()?;
        let Reader { header, tables, processes, columns, rows, .. } = reader;
        let is_read = |column: &Take<'_>| column.0.is_empty();
        let of_rows = [&rows.steps, &rows.gaps, &rows.shapes];
        // The first two were read by copies of them, those of rows by `rows`.
        let rest = columns[FACTS..=LIKE].iter().chain(&columns[FIRST_NUMBER..]);
        if !rest.chain(of_rows).all(is_read) {
            return Err(damaged);
        }
        Ok(Snapshot { header, checksum, facts, processes, tables })
    }

    fn tables(&mut self, before: &BTreeMap<String, u64>) -> Option<BTreeMap<String, u64>> {
        self.tables.read_strings(self.columns[STRINGS].clone())?;
        self.tables.read_shapes(self.columns[SHAPES].clone())?;
        let take = &mut self.columns[FACTS];
        let mut facts = BTreeMap::new();
        while !take.0.is_empty() {
            let name = self.tables.string(take.u32()?)?;
            let name = String::from_utf8(name.to_vec()).ok()?;
            let near = before.get(&name).copied();
            facts.insert(name, fields::take(take, near)??);
        }
        Some(facts)
    }

    fn list(&mut self) -> Result<(), SnapshotError> {
        let base = std::mem::take(&mut self.base);
        let mut of_base = 0..base.len();
        let (mut all_rows, mut all_fields) = (0usize, 0usize);
        while !self.columns[LIST].0.is_empty() {
            let step = self.columns[LIST].uint().ok_or(SnapshotError::Damaged)?;
            for _ in 0..step >> 2 {
                let before = match step & 3 {
                    NEW => None,
                    KEEP | DROP => {
                        let at = of_base.next().ok_or(SnapshotError::Damaged)?;
                        Some(&base[at])
                    }
                    _ => return Err(SnapshotError::Damaged),
                };
                if step & 3 == DROP {
                    continue;
                }
                if self.processes.len() >= self.limits.processes {
                    return Err(SnapshotError::TooLarge);
                }
                let left = self.limits.rows.saturating_sub(all_rows);
                let process = self.process(before, left).ok_or(SnapshotError::Damaged)?;
                // Rows that are shared with the base take no memory, but time of those who ask.
                all_rows = all_rows.saturating_add(process.rows.len());
                all_fields = all_fields.saturating_add(process.fields.len());
                if all_rows > self.limits.rows || all_fields > self.limits.fields {
                    return Err(SnapshotError::TooLarge);
                }
                self.processes.push(process);
            }
        }
        Ok(())
    }

    /// The next process; `before` is the same in the base.
    fn process(&mut self, before: Option<&SavedProcess>, most: usize) -> Option<SavedProcess> {
        let changed = match before {
            Some(_) => self.columns[FLAGS].byte()?,
            None => IDENTITY | ROWS | STATE,
        };
        if changed & !(IDENTITY | ROWS | STATE) != 0 {
            return None;
        }
        let mut process = before.cloned().unwrap_or_default();
        if changed & IDENTITY != 0 {
            process.identity = Arc::new(self.identity()?);
        }
        if changed & STATE != 0 {
            process.state = State::from_number(self.columns[FLAGS].byte()?)?;
        }
        let mut numbers = before.map(SavedProcess::numbers).unwrap_or_default();
        for (at, number) in numbers.iter_mut().enumerate() {
            *number = fields::take(&mut self.columns[FIRST_NUMBER + at], *number)?;
        }
        process.set_numbers(numbers);
        let width = self.header.fields.len();
        let none = SavedProcess::default();
        let mut like = before;
        if changed & ROWS == 0 {
            if width == 0 {
                process.fields = Arc::from([]);
                return Some(process);
            }
            let from: Vec<Option<u32>> = (0..process.rows.len() as u32).map(Some).collect();
            process.fields = self.fields(like, &from)?;
            return Some(process);
        }
        if like.is_none() {
            let back = usize::try_from(self.columns[LIKE].uint()?).ok()?;
            like = match back {
                0 => None,
                back => Some(self.processes.get(self.processes.len().checked_sub(back)?)?),
            };
        }
        let (rows, from) = self.rows.read(&like.unwrap_or(&none).rows, &self.tables, most)?;
        self.check(&rows)?;
        let like = like.cloned();
        process.rows = rows.into();
        process.fields = self.fields(like.as_ref(), &from)?;
        Some(process)
    }

    /// Checks that no row reaches beyond the last address.
    fn check(&self, rows: &[SavedRow]) -> Option<()> {
        let mut end = 0u64;
        for row in rows {
            let start = end.wrapping_add(row.gap);
            end = start.checked_add(self.tables.shapes.get(row.shape as usize)?.size)?;
        }
        Some(())
    }

    fn fields(
        &mut self,
        like: Option<&SavedProcess>,
        from: &[Option<u32>],
    ) -> Option<Arc<[Option<u64>]>> {
        let width = self.header.fields.len();
        // Each takes a byte.
        let left = self.columns.get(FIRST_FIELD).map_or(0, |column| column.0.len());
        if width > 0 && from.len() > left {
            return None;
        }
        let mut all = Vec::with_capacity(from.len() * width);
        for from in from {
            let near = from.and_then(|from| (from as usize).checked_mul(width));
            for at in 0..width {
                let near = near.and_then(|near| *like?.fields.get(near + at)?);
                all.push(fields::take(&mut self.columns[FIRST_FIELD + at], near)?);
            }
        }
        Some(all.into())
    }

    fn identity(&mut self) -> Option<Identity> {
        let take = &mut self.columns[IDENTITIES];
        let string = |take: &mut Take<'_>| self.tables.string(take.u32()?).map(|s| s.to_vec());
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
        let pid = match take.uint()? {
            0 => None,
            pid => Some(u32::try_from(pid - 1).ok()?),
        };
        let (comm, exe) = (string(take)?, string(take)?);
        let uid = match take.uint()? {
            0 => None,
            uid => Some(u32::try_from(uid - 1).ok()?),
        };
        let cgroup = text(string(take)?)?;
        let (container, unit) = (text(string(take)?)?, text(string(take)?)?);
        // Near the time of the snapshot.
        let now = self.header.time_ms / 1000;
        let started = match take.byte()? {
            0 => None,
            _ => Some(now.wrapping_add(take.signed()? as u64)),
        };
        Some(Identity { pid, comm, exe, uid, cgroup, container, unit, started })
    }
}
