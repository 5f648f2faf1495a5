//! Writes a snapshot.

use super::fields;
use super::header::{Base, Header, MAX_CONTENTS};
use super::process::{SavedProcess, State};
use super::read::{
    DROP, FACTS, FIRST_FIELD, FIRST_NUMBER, FLAGS, IDENTITIES, IDENTITY, KEEP, LIKE, LIST, Limits,
    MAX_FIELDS, NEW, ROW_GAPS, ROW_SHAPES, ROW_STEPS, ROWS, SHAPES, STATE, STRINGS,
};
use super::rows::{NewColumns, SavedRow};
use super::snapshot::Snapshot;
use super::tables::{LabelPart, Shape};
use crate::block::zstd;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use vmatlas_maps::{AddressRange, Identity, Maps, Sizes};
use vmatlas_space::bytes::Put;

/// The most snapshots that build on one without a base, with that one.
pub const MAX_CHAIN: u64 = 48;
/// Starts that differ by less are one: the kernel derives them from the clock.
const SAME_START: u64 = 2;
/// The level of zstd: a snapshot is written seldom and kept.
const LEVEL: i32 = 12;

/// A process to be written.
#[derive(Clone, Debug)]
#[allow(clippy::exhaustive_structs, reason = "callers make it")]
pub struct NewProcess<'a> {
    /// What identifies it.
    pub identity: Identity,
    /// How it could be read.
    pub state: State,
    /// Resident memory by its status, in bytes.
    pub status_rss: Option<u64>,
    /// Its page tables, in bytes.
    pub page_tables: Option<u64>,
    /// Its threads.
    pub threads: Option<u64>,
    /// The sums over its rows.
    pub sizes: Sizes,
    /// Its rows, with the fields of smaps that the header names.
    pub maps: &'a Maps,
    /// Its labels by ascending addresses: range, group, text, evidence, and how certain it is.
    pub labels: Vec<NewLabel<'a>>,
}

/// A label to be written: its range, group, text, evidence, and how certain it is.
pub type NewLabel<'a> = (AddressRange, &'a str, &'a str, &'a str, super::Confidence);

impl Default for NewProcess<'_> {
    fn default() -> Self {
        static NO_ROWS: std::sync::LazyLock<Maps> = std::sync::LazyLock::new(Maps::default);
        NewProcess {
            identity: Identity::default(),
            state: State::Read,
            status_rss: None,
            page_tables: None,
            threads: None,
            sizes: Sizes::default(),
            maps: &NO_ROWS,
            labels: Vec::new(),
        }
    }
}

/// A snapshot that is being made.
pub struct NewSnapshot {
    /// What is written, with the tables of the base.
    snapshot: Snapshot,
    base: Vec<SavedProcess>,
    base_facts: BTreeMap<String, u64>,
    /// How much of the tables the base has.
    known: (usize, usize),
    /// The processes whose rows were left out, because there are too many.
    left_out: usize,
    rows: usize,
}

impl NewSnapshot {
    /// Begins a snapshot that keeps what changed since `base`, a file of that name. Without one, if
    /// the base is of another boot, or if too many build on each other, it keeps everything.
    pub fn new(mut header: Header, base: Option<(String, Snapshot)>) -> NewSnapshot {
        header.fields.truncate(MAX_FIELDS);
        let base = base.filter(|(_, base)| {
            base.header.boot == header.boot && base.header.chain < MAX_CHAIN - 1
        });
        (header.base, header.chain) = (None, 0);
        let Some((name, base)) = base else {
            return NewSnapshot {
                snapshot: Snapshot { header, ..Snapshot::default() },
                base: Vec::new(),
                base_facts: BTreeMap::new(),
                known: (0, 0),
                left_out: 0,
                rows: 0,
            };
        };
        header.chain = base.header.chain + 1;
        header.base = Some(Base { name, checksum: base.checksum });
        let mut tables = base.tables;
        tables.index();
        let known = tables.lengths();
        NewSnapshot {
            snapshot: Snapshot { header, tables, ..Snapshot::default() },
            base: base.processes,
            base_facts: base.facts,
            known,
            left_out: 0,
            rows: 0,
        }
    }

    /// Keeps a number about the machine.
    pub fn fact(&mut self, name: &str, number: u64) {
        self.snapshot.facts.insert(name.to_owned(), number);
    }

    /// Adds a process.
    pub fn add(&mut self, new: NewProcess<'_>) {
        let mut process = SavedProcess {
            identity: Arc::new(new.identity),
            state: new.state,
            ..SavedProcess::default()
        };
        let sums = SavedProcess { sizes: new.sizes, ..SavedProcess::default() };
        let mut numbers = sums.numbers();
        let of_status = [new.status_rss, new.page_tables, new.threads];
        numbers[NUMBERS_OF_SIZES..].copy_from_slice(&of_status);
        process.set_numbers(numbers);
        let limit = Limits::default();
        let (width, rows) = (self.snapshot.header.fields.len(), self.rows + new.maps.len());
        if rows > limit.rows || rows.saturating_mul(width) > limit.fields {
            self.left_out += 1;
        } else if let Some(rows) = self.shapes(new.maps, &new.labels) {
            process.fields = self.fields(new.maps);
            self.rows += rows.len();
            process.rows = rows.into();
        } else {
            self.left_out += 1;
        }
        self.snapshot.processes.push(process);
    }

    /// The processes whose rows were left out, because there are more than a snapshot holds.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    fn shapes(&mut self, maps: &Maps, labels: &[NewLabel<'_>]) -> Option<Vec<SavedRow>> {
        let (mut rows, mut end) = (Vec::with_capacity(maps.len()), 0u64);
        let tables = &mut self.snapshot.tables;
        for row in maps.iter() {
            let (start, size) = (row.range.start, row.range.size());
            let first = labels.partition_point(|(range, ..)| range.end <= start);
            let here = labels[first..].iter().take_while(|(range, ..)| range.start < row.range.end);
            let parts = here.filter_map(|(range, group, text, because, confidence)| {
                let range = range.intersect(&row.range)?;
                Some(LabelPart {
                    offset: range.start - start,
                    size: range.size(),
                    group: tables.number(group.as_bytes()),
                    text: tables.number(text.as_bytes()),
                    because: tables.number(because.as_bytes()),
                    confidence: *confidence,
                })
            });
            let parts = parts.collect();
            let name = tables.number(row.name);
            let (perms, offset, device, inode) = (row.perms, row.offset, row.device, row.inode);
            let shape = tables.shape(Shape { size, perms, offset, device, inode, name, parts })?;
            rows.push(SavedRow { gap: start.wrapping_sub(end), shape });
            end = row.range.end;
        }
        Some(rows)
    }

    fn fields(&self, maps: &Maps) -> Arc<[Option<u64>]> {
        let names = &self.snapshot.header.fields;
        let mut all = vec![None; maps.len() * names.len()];
        if names.is_empty() {
            return Arc::from([]);
        }
        for (index, values) in all.chunks_mut(names.len()).enumerate() {
            for field in maps.fields(index) {
                let place = names.iter().position(|name| name.as_bytes() == field.name);
                if let Some(place) = place {
                    values[place] = field.value.number();
                }
            }
        }
        all.into()
    }

    /// The bytes of the file.
    pub fn encode(mut self) -> Vec<u8> {
        self.snapshot.processes.sort_by_key(|process| process.identity.pid);
        let mut columns = vec![Vec::new(); FIRST_FIELD + self.snapshot.header.fields.len()];
        let names: Vec<String> = self.snapshot.facts.keys().cloned().collect();
        for name in names {
            let number = self.snapshot.tables.number(name.as_bytes());
            columns[FACTS].put(u64::from(number));
            let (fact, near) = (self.snapshot.facts.get(&name), self.base_facts.get(&name));
            fields::put(&mut columns[FACTS], fact.copied(), near.copied());
        }
        self.processes(&mut columns);
        (columns[STRINGS], columns[SHAPES]) = self.snapshot.tables.added(self.known);
        let mut contents = Vec::new();
        columns.iter().for_each(|column| contents.put_bytes(column));
        let mut bytes = self.snapshot.header.bytes();
        debug_assert!(contents.len() <= MAX_CONTENTS, "the limits of rows bound it");
        bytes.put(contents.len() as u64);
        match zstd::compress_at(LEVEL, &contents) {
            Some(packed) => {
                bytes.push(1);
                bytes.extend_from_slice(&packed);
            }
            None => {
                bytes.push(0);
                bytes.extend_from_slice(&contents);
            }
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn processes(&mut self, columns: &mut [Vec<u8>]) {
        let base = std::mem::take(&mut self.base);
        let mut processes = std::mem::take(&mut self.snapshot.processes);
        let mut steps: Vec<(u64, u64)> = Vec::new();
        let mut step = |what: u64| match steps.last_mut() {
            Some((last, count)) if *last == what => *count += 1,
            _ => steps.push((what, 1)),
        };
        let mut rows = NewColumns::default();
        let mut by_program: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut at = 0;
        for index in 0..processes.len() {
            let (done, rest) = processes.split_at_mut(index);
            let process = &mut rest[0];
            let pid = process.identity.pid;
            while base.get(at).is_some_and(|before| before.identity.pid < pid) {
                step(DROP);
                at += 1;
            }
            let before = base.get(at).filter(|before| is_same(before, process));
            at += usize::from(before.is_some());
            step(if before.is_some() { KEEP } else { NEW });
            let changed = match before {
                Some(before) => {
                    if is_almost(&before.identity, &process.identity) {
                        process.identity = before.identity.clone();
                    }
                    let of = |is_changed: bool, bit: u8| if is_changed { bit } else { 0 };
                    let changed = of(before.identity != process.identity, IDENTITY)
                        | of(before.rows != process.rows, ROWS)
                        | of(before.state != process.state, STATE);
                    columns[FLAGS].push(changed);
                    changed
                }
                None => IDENTITY | ROWS | STATE,
            };
            if changed & IDENTITY != 0 {
                self.identity(&process.identity, &mut columns[IDENTITIES]);
            }
            if changed & STATE != 0 {
                columns[FLAGS].push(process.state as u8);
            }
            let numbers = before.map(SavedProcess::numbers).unwrap_or_default();
            for (at, (number, near)) in process.numbers().into_iter().zip(numbers).enumerate() {
                fields::put(&mut columns[FIRST_NUMBER + at], number, near);
            }
            let mut like = before;
            let from = if changed & ROWS == 0 {
                (0..process.rows.len() as u32).map(Some).collect()
            } else {
                if before.is_none() {
                    let other = by_program.get(process.identity.program()).copied();
                    columns[LIKE].put(other.map_or(0, |other| (index - other) as u64));
                    like = other.map(|other| &done[other]);
                }
                rows.write(&process.rows, like.map_or(&[], |like| &like.rows))
            };
            self.put_fields(process, like, &from, columns);
            by_program.insert(process.identity.program().to_vec(), index);
        }
        base[at.min(base.len())..].iter().for_each(|_| step(DROP));
        for (what, count) in steps {
            columns[LIST].put(count << 2 | what);
        }
        let NewColumns { steps, gaps, shapes } = rows;
        (columns[ROW_STEPS], columns[ROW_GAPS], columns[ROW_SHAPES]) = (steps, gaps, shapes);
    }

    fn put_fields(
        &self,
        process: &SavedProcess,
        like: Option<&SavedProcess>,
        from: &[Option<u32>],
        columns: &mut [Vec<u8>],
    ) {
        let width = self.snapshot.header.fields.len();
        if width == 0 {
            return;
        }
        for (values, from) in process.fields.chunks(width).zip(from) {
            for (at, value) in values.iter().enumerate() {
                let near = from.and_then(|from| *like?.fields.get(from as usize * width + at)?);
                fields::put(&mut columns[FIRST_FIELD + at], *value, near);
            }
        }
    }

    fn identity(&mut self, identity: &Identity, out: &mut Vec<u8>) {
        let or_zero = |number: Option<u32>| number.map_or(0, |number| u64::from(number) + 1);
        let mut string = |out: &mut Vec<u8>, string: &[u8]| {
            out.put(u64::from(self.snapshot.tables.number(string)));
        };
        out.put(or_zero(identity.pid));
        string(out, &identity.comm);
        string(out, &identity.exe);
        out.put(or_zero(identity.uid));
        string(out, identity.cgroup.as_bytes());
        string(out, identity.container.as_bytes());
        string(out, identity.unit.as_bytes());
        out.push(u8::from(identity.started.is_some()));
        if let Some(started) = identity.started {
            out.put_signed(started.wrapping_sub(self.snapshot.header.time_ms / 1000) as i64);
        }
    }
}

/// The numbers of a process that are sums over its rows.
const NUMBERS_OF_SIZES: usize = 7;

/// Whether two are one process: equal PIDs may be of a later one.
fn is_same(before: &SavedProcess, process: &SavedProcess) -> bool {
    let (before, now) = (&before.identity, &process.identity);
    before.pid == now.pid
        && match (before.started, now.started) {
            (Some(before), Some(now)) => before.abs_diff(now) <= SAME_START,
            (before, now) => before == now,
        }
}

/// Whether two identities differ at most by the clock.
fn is_almost(before: &Identity, now: &Identity) -> bool {
    Identity { started: before.started, ..now.clone() } == *before
}
