//! Reads recordings.

use super::block::{Block, BlockKind, HEADER, Header, TRAILER};
use super::definitions::Definitions;
use super::event::{Context, Event};
use super::id::EventNumber;
use super::magic::{MAGIC, looks_like_recording};
use super::meta::Meta;
use super::moment::Moment;
use super::processes::{Course, Process, Processes};
use super::replay::Replay;
use std::ops::ControlFlow;
use vmatlas_maps::ReadAt;
use vmatlas_space::bytes::Take;

/// The reason why a recording cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The first bytes are not the magic number of a recording.
    #[error("not a recording of vmatlas")]
    NotARecording,
    /// The recording has this format version, which is not supported.
    #[error("a recording of version {0}; this vmatlas reads version 1")]
    Version(u8),
    /// The block at this offset is missing or damaged, and the rest depends on it.
    #[error("the block at byte {0} is missing or damaged")]
    Damaged(u64),
}

/// An open recording.
#[derive(Debug)]
pub struct Recording<S> {
    source: S,
    meta: Meta,
    blocks: Vec<Block>,
    definitions: Definitions,
    /// Blocks of definitions that have not been read yet.
    unread: Vec<Block>,
    processes: Option<Overview>,
    warnings: Vec<String>,
}

/// The content of an index besides the blocks.
type Overview = (Vec<Process>, Course);

/// Removes the statuses if the backend does not know them.
fn with_known_statuses(meta: &Meta, (mut processes, course): Overview) -> Overview {
    if !meta.has_statuses() {
        processes.iter_mut().for_each(|process| process.status = None);
    }
    (processes, course)
}

impl<S: ReadAt> Recording<S> {
    /// Opens a recording, including one that is truncated or still being written. `source` must
    /// know its size.
    ///
    /// # Errors
    /// [`RecordingError`] if the start is not that of a recording in a supported version. Damaged
    /// blocks after it are skipped and reported by [`warnings`](Recording::warnings).
    pub fn open(source: S) -> Result<Recording<S>, RecordingError> {
        let mut magic = [0; 16];
        if !read_exact(&source, 0, &mut magic) || !looks_like_recording(&magic) {
            return Err(RecordingError::NotARecording);
        }
        if magic != MAGIC {
            return Err(RecordingError::Version(magic[15]));
        }
        let mut warnings = Vec::new();
        let (blocks, processes) = match index(&source) {
            Some((blocks, processes)) => (blocks, Some(processes)),
            None => (scan(&source, &mut warnings), None),
        };
        let at = MAGIC.len() as u64;
        let meta = payload(&source, at, BlockKind::Meta).and_then(|bytes| Meta::read(&bytes));
        let meta = meta.ok_or(RecordingError::Damaged(at))?;
        let kinds = [BlockKind::Names, BlockKind::Stacks, BlockKind::Symbols];
        let unread = blocks.iter().filter(|block| kinds.contains(&block.kind)).copied().collect();
        let processes = processes.map(|found| with_known_statuses(&meta, found));
        let mut recording = Recording {
            source,
            meta,
            blocks,
            definitions: Definitions::default(),
            unread,
            processes,
            warnings,
        };
        recording.define(|kind| kind == BlockKind::Names);
        Ok(recording)
    }

    /// The metadata.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The entries that events refer to; stacks are included after
    /// [`read_stacks`](Recording::read_stacks).
    pub fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Problems found so far.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reads the stacks and JIT symbols into the definitions.
    pub fn read_stacks(&mut self) {
        self.define(|_| true);
    }

    fn define(&mut self, wanted: impl Fn(BlockKind) -> bool) {
        let (now, later) = self.unread.drain(..).partition(|block| wanted(block.kind));
        self.unread = later;
        let now: Vec<Block> = now;
        for block in now {
            let read = payload(&self.source, block.offset, block.kind)
                .and_then(|bytes| self.definitions.read(&bytes));
            if read.is_none() {
                self.warnings.push(format!(
                    "the block at byte {} is damaged: names or stacks are missing",
                    block.offset
                ));
                return;
            }
        }
    }

    /// The processes, ordered by their first event. This reads all events if the recording was not
    /// finished.
    pub fn processes(&mut self) -> &[Process] {
        &self.overview().0
    }

    /// Statistics of the recording. This reads all events if the recording was not finished.
    pub fn course(&mut self) -> Course {
        self.overview().1
    }

    fn overview(&mut self) -> &Overview {
        if self.processes.is_none() {
            let mut processes = Processes::default();
            let _ = self.events(EventNumber::FIRST, |event| {
                processes.see(event, &self.definitions.tasks);
                ControlFlow::Continue(())
            });
            self.processes = Some(with_known_statuses(&self.meta, processes.into_parts()));
        }
        self.processes.get_or_insert_default()
    }

    /// Calls `take` with each event from a number on, until it breaks.
    ///
    /// # Errors
    /// [`RecordingError::Damaged`] at the first block that cannot be read; `take` got the events
    /// before it.
    pub fn events(
        &self,
        from: EventNumber,
        mut take: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), RecordingError> {
        let blocks: Vec<&Block> =
            self.blocks.iter().filter(|block| block.kind == BlockKind::Events).collect();
        let first =
            blocks.partition_point(|block| block.first_event <= from.get()).saturating_sub(1);
        for block in &blocks[first..] {
            let damaged = RecordingError::Damaged(block.offset);
            let bytes = payload(&self.source, block.offset, BlockKind::Events).ok_or(damaged)?;
            let mut context = Context::at(EventNumber::new(block.first_event), block.time_ns);
            let mut bytes = Take(&bytes);
            while !bytes.0.is_empty() {
                let event = context.read(&mut bytes).ok_or(damaged)?;
                if event.number >= from && take(&event).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// All address spaces at a moment. Calls `see` with each event that had to be replayed and the
    /// state before it; these are at most 65,536 events, unless a snapshot is damaged.
    ///
    /// # Errors
    /// [`RecordingError::Damaged`], as the second value, if events cannot be read; the state is
    /// then that before the damage.
    pub fn at(
        &self,
        moment: Moment,
        mut see: impl FnMut(&Event, &Replay),
    ) -> (Replay, Option<RecordingError>) {
        let mut replay = self.snapshot_before(moment);
        let done = self.events(replay.number().next(), |event| {
            let over = match moment {
                Moment::Time(time_ns) => event.time_ns > time_ns,
                Moment::Event(number) => event.number > number,
                Moment::End => false,
            };
            if over {
                return ControlFlow::Break(());
            }
            see(event, &replay);
            replay.apply(event, &self.definitions.files);
            ControlFlow::Continue(())
        });
        (replay, done.err())
    }

    /// The last snapshot at or before a moment.
    fn snapshot_before(&self, moment: Moment) -> Replay {
        let before = |block: &&Block| match moment {
            Moment::Time(time_ns) => block.time_ns <= time_ns,
            Moment::Event(number) => block.first_event <= number.next().get(),
            Moment::End => true,
        };
        let snapshots = self.blocks.iter().filter(|block| block.kind == BlockKind::Snapshot);
        let loaded = snapshots.filter(before).rev().find_map(|block| {
            let bytes = payload(&self.source, block.offset, BlockKind::Snapshot)?;
            let number = EventNumber::new(block.first_event.checked_sub(1)?);
            Replay::load(self.meta.profile(), &bytes, number, block.time_ns)
        });
        loaded.unwrap_or_else(|| Replay::new(self.meta.profile()))
    }
}

/// The size in bytes; a source of unknown size counts as empty.
fn size<S: ReadAt>(source: &S) -> u64 {
    source.size().unwrap_or_default()
}

/// Fills `buffer` from `offset` on; returns false on failure. Bytes appended after the source was
/// opened are ignored.
fn read_exact<S: ReadAt>(source: &S, offset: u64, buffer: &mut [u8]) -> bool {
    let end = offset.checked_add(buffer.len() as u64);
    end.is_some_and(|end| end <= size(source)) && source.read_exact_at(offset, buffer).is_ok()
}

/// The payload of the block at an offset.
fn payload<S: ReadAt>(source: &S, offset: u64, kind: BlockKind) -> Option<Vec<u8>> {
    let (header, at) = header(source, offset)?;
    if header.kind != kind || u64::from(header.stored) > size(source).checked_sub(at)? {
        return None;
    }
    let mut stored = vec![0; header.stored as usize];
    if !read_exact(source, at, &mut stored) {
        return None;
    }
    header.unpack(&stored)
}

/// The header at an offset, and the offset of its payload.
fn header<S: ReadAt>(source: &S, offset: u64) -> Option<(Header, u64)> {
    let mut bytes = [0; HEADER];
    let read = read_exact(source, offset, &mut bytes);
    let header = if read { Header::read(&bytes) } else { None };
    Some((header?, offset.checked_add(HEADER as u64)?))
}

/// The blocks listed in the index of a finished recording.
fn index<S: ReadAt>(source: &S) -> Option<(Vec<Block>, Overview)> {
    let at = size(source).checked_sub(16)?;
    let mut end = [0; 16];
    if !read_exact(source, at, &mut end) || end[8..] != TRAILER {
        return None;
    }
    let offset = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|index| end[index]));
    let bytes = payload(source, offset, BlockKind::Index)?;
    let mut take = Take(&bytes);
    let count = take.count()?;
    let mut blocks = Vec::with_capacity(count);
    let (mut offset, mut first_event, mut time_ns) = (0_u64, 0_u64, 0_u64);
    for _ in 0..count {
        let number = take.byte()?;
        offset = offset.checked_add(take.uint()?)?;
        first_event = first_event.checked_add(take.uint()?)?;
        time_ns = time_ns.wrapping_add(take.signed()? as u64);
        let kind = BlockKind::from_number(number)?;
        blocks.push(Block { kind, offset, first_event, time_ns });
    }
    Some((blocks, Processes::read(&mut take)?))
}

/// Scans for blocks one by one, up to the first truncated or damaged one.
fn scan<S: ReadAt>(source: &S, warnings: &mut Vec<String>) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut offset = MAGIC.len() as u64;
    while offset < size(source) {
        let whole = header(source, offset)
            .filter(|(header, at)| u64::from(header.stored) <= size(source).saturating_sub(*at));
        let Some((header, at)) = whole else {
            warnings.push(format!(
                "the block at byte {offset} is cut or damaged: the last {} bytes are not read",
                size(source) - offset
            ));
            return blocks;
        };
        let Header { kind, first_event, time_ns, .. } = header;
        blocks.push(Block { kind, offset, first_event, time_ns });
        offset = at + u64::from(header.stored);
    }
    if !blocks.iter().any(|block| block.kind == BlockKind::Index) {
        warnings.push(
            "the recording has no end: it is still written, its recorder was ended or could not \
             write, or this copy is cut"
                .to_owned(),
        );
    }
    blocks
}
