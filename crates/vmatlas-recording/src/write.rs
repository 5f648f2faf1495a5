//! Writes recordings.

use super::block::{self, Block, BlockKind, TRAILER};
use super::definitions::{CallEntry, FileEntry, FrameEntry, PlaceEntry, SymbolEntry, TaskEntry};
use super::event::{Context, Event, What};
use super::id::{EventNumber, StackId, TaskId};
use super::magic::MAGIC;
use super::meta::Meta;
use super::processes::Processes;
use super::replay::Replay;
use std::collections::HashMap;
use vmatlas_space::bytes::Put;

/// The number of events between two snapshots, which bounds how many a reader has to replay.
pub const SNAPSHOT_EVENTS: u64 = 1 << 16;
/// The size in bytes at which a block of events ends.
const BLOCK_SIZE: usize = 64 << 10;
/// The maximum number of frames and calls; beyond it all are dropped and written again.
const MAX_CALLS: usize = 1 << 20;

/// Encodes events as the bytes of a recording. The caller appends the bytes to a file in order;
/// any prefix can be read.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    /// The number of bytes taken.
    taken: u64,
    blocks: Vec<Block>,
    events: Vec<u8>,
    context: Context,
    /// The number and time before the first event of the current block.
    begun: (EventNumber, u64),
    names: Vec<u8>,
    stacks: Vec<u8>,
    symbols: Vec<u8>,
    files: Vec<FileEntry>,
    file_numbers: HashMap<FileEntry, u32>,
    tasks: Vec<TaskEntry>,
    frame_numbers: HashMap<FrameEntry, u32>,
    next_frame: u32,
    /// Calls by their caller and frame.
    call_numbers: HashMap<(StackId, FrameEntry), StackId>,
    next_call: u32,
    /// The last stack, its outermost frame first, with the call numbers.
    last_stack: Vec<(FrameEntry, StackId)>,
    processes: Processes,
    since_snapshot: u64,
}

impl Writer {
    /// Starts a recording.
    pub fn new(meta: &Meta) -> Writer {
        let mut writer = Writer {
            out: MAGIC.to_vec(),
            taken: 0,
            blocks: Vec::new(),
            events: Vec::new(),
            context: Context::at(EventNumber::FIRST, 0),
            begun: (EventNumber::FIRST, 0),
            names: Vec::new(),
            stacks: Vec::new(),
            symbols: Vec::new(),
            files: vec![FileEntry::default()],
            file_numbers: HashMap::new(),
            tasks: vec![TaskEntry::default()],
            frame_numbers: HashMap::new(),
            next_frame: 1,
            call_numbers: HashMap::new(),
            next_call: 1,
            last_stack: Vec::new(),
            processes: Processes::default(),
            since_snapshot: 0,
        };
        writer.append(BlockKind::Meta, &meta.write());
        writer
    }

    /// The number of a file, which is written if it is new; 0 for none.
    pub fn file(&mut self, entry: &FileEntry) -> u32 {
        if *entry == self.files[0] {
            return 0;
        }
        if let Some(number) = self.file_numbers.get(entry) {
            return *number;
        }
        let number = self.files.len() as u32;
        entry.write(&mut self.names);
        self.files.push(entry.clone());
        self.file_numbers.insert(entry.clone(), number);
        number
    }

    /// Adds a task entry.
    pub fn task(&mut self, entry: TaskEntry) -> TaskId {
        entry.write(&mut self.names);
        self.tasks.push(entry);
        TaskId::new(self.tasks.len() as u32 - 1)
    }

    /// All files so far.
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// All tasks so far.
    pub fn tasks(&self) -> &[TaskEntry] {
        &self.tasks
    }

    /// The number of a stack, its innermost frame first.
    pub fn stack(&mut self, frames: &[FrameEntry]) -> StackId {
        if self.call_numbers.len() + self.frame_numbers.len() > MAX_CALLS {
            self.call_numbers.clear();
            self.frame_numbers.clear();
        }
        // Most frames are those of the previous stack.
        let known = self.last_stack.iter().zip(frames.iter().rev());
        let known = known.take_while(|((last, _), frame)| last == *frame).count();
        self.last_stack.truncate(known);
        let mut caller = self.last_stack.last().map_or(StackId::NONE, |(_, call)| *call);
        for frame in frames.iter().rev().skip(known) {
            caller = match self.call_numbers.get(&(caller, *frame)) {
                Some(number) => *number,
                None => self.call(caller, frame),
            };
            self.last_stack.push((*frame, caller));
        }
        caller
    }

    /// Writes a new call.
    fn call(&mut self, caller: StackId, entry: &FrameEntry) -> StackId {
        let frame = match self.frame_numbers.get(entry) {
            Some(number) => *number,
            None => {
                let number = self.next_frame;
                self.next_frame += 1;
                entry.write(&mut self.stacks);
                self.frame_numbers.insert(*entry, number);
                number
            }
        };
        let number = StackId::new(self.next_call);
        self.next_call += 1;
        CallEntry { caller, frame }.write(&mut self.stacks);
        self.call_numbers.insert((caller, *entry), number);
        number
    }

    /// Writes a JIT symbol.
    pub fn symbol(&mut self, entry: &SymbolEntry) {
        entry.write(&mut self.symbols);
    }

    /// Writes the symbol of a location in a file.
    pub fn place(&mut self, entry: &PlaceEntry) {
        entry.write(&mut self.symbols);
    }

    /// The number of the next event.
    pub fn next_number(&self) -> EventNumber {
        self.context.number
    }

    /// Writes an event and returns it with its number.
    pub fn event(&mut self, time_ns: u64, task: TaskId, stack: StackId, what: What) -> Event {
        let event = Event { number: self.next_number(), time_ns, task, stack, what };
        self.context.write(&event, &mut self.events);
        self.processes.see(&event, &self.tasks);
        self.since_snapshot += 1;
        if self.events.len() >= BLOCK_SIZE {
            self.flush();
        }
        event
    }

    /// Whether a [`snapshot`](Writer::snapshot) is due.
    pub fn snapshot_due(&self) -> bool {
        self.since_snapshot >= SNAPSHOT_EVENTS
    }

    /// Writes a snapshot: all address spaces after the last event.
    pub fn snapshot(&mut self, replay: &Replay) {
        self.flush();
        self.append(BlockKind::Snapshot, &replay.save());
        self.since_snapshot = 0;
    }

    /// Ends the current block, so that all events so far can be read.
    pub fn flush(&mut self) {
        for (kind, part) in [
            (BlockKind::Names, std::mem::take(&mut self.names)),
            (BlockKind::Stacks, std::mem::take(&mut self.stacks)),
            (BlockKind::Symbols, std::mem::take(&mut self.symbols)),
            (BlockKind::Events, std::mem::take(&mut self.events)),
        ] {
            if !part.is_empty() {
                self.append(kind, &part);
            }
        }
        self.begun = (self.context.number, self.context.time_ns);
        self.context = Context::at(self.begun.0, self.begun.1);
    }

    fn append(&mut self, kind: BlockKind, payload: &[u8]) {
        // Readers reject a larger block, which would need more mappings than any machine has.
        if payload.len() > block::MAX_BLOCK {
            return;
        }
        let (number, time_ns) = self.begun;
        let first_event = number.get();
        self.blocks.push(Block { kind, offset: self.size(), first_event, time_ns });
        block::append(kind, first_event, time_ns, payload, &mut self.out);
    }

    /// The size of the recording so far in bytes, without the current block.
    pub fn size(&self) -> u64 {
        self.taken + self.out.len() as u64
    }

    /// Returns the bytes to append to the file.
    pub fn take(&mut self) -> Vec<u8> {
        self.taken += self.out.len() as u64;
        std::mem::take(&mut self.out)
    }

    /// Ends the recording and writes the index, which makes it faster to open.
    pub fn finish(&mut self) {
        self.flush();
        let mut index = Vec::new();
        index.put(self.blocks.len() as u64);
        let mut last = (0, 0, 0);
        for block in &self.blocks {
            index.push(block.kind as u8);
            index.put(block.offset - last.0);
            index.put(block.first_event - last.1);
            index.put_signed(block.time_ns.wrapping_sub(last.2) as i64);
            last = (block.offset, block.first_event, block.time_ns);
        }
        self.processes.write(&mut index);
        let at = self.size();
        self.append(BlockKind::Index, &index);
        self.out.extend_from_slice(&at.to_le_bytes());
        self.out.extend_from_slice(&TRAILER);
    }
}
