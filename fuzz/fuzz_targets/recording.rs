//! Fuzzes recordings: blocks with any payload, and any events written and read again.
//!
//! Each block has a checksum, so randomly changed bytes would hardly ever pass it. Therefore the
//! bytes are either payloads of blocks, which are framed here, or, after a `W`, a program for a
//! [`Writer`].
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow;
use vmatlas_maps::{AddressRange, Device, Perms};
use vmatlas_recording::{
    Call, CallKind, Event, EventNumber, FileEntry, FrameEntry, Meta, Moment, RecordedRow,
    Recording, Replay, StackId, TaskEntry, TaskId, Tid, What, Writer, looks_like_recording,
};
use vmatlas_space::Vsyscall;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'W', program)) => written(program),
        _ => opened(&framed(bytes)),
    }
}

/// The mark between payloads. After it stand the block's kind and two bytes each for its first
/// event and its time; if the kind's top bit is set, they count down from the largest numbers. A
/// mark, unlike a length, survives inserted and removed bytes.
const MARK: &[u8] = b"BLOCK";
const INDEX: u8 = 7;

/// Frames these payloads as a recording, by docs/recording.md.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"\x89vmatlas\r\n\x1a\nrec\x01".to_vec();
    let mut index = None;
    for part in split(bytes) {
        let Some((&[kind, a, b, c, d], payload)) = part.split_first_chunk() else { continue };
        let far = if kind & 0x80 == 0 { 0 } else { u64::MAX };
        let kind = kind & 0x7f;
        let first = far ^ u64::from(u16::from_le_bytes([a, b]));
        let time_ns = far ^ (1000 * u64::from(u16::from_le_bytes([c, d])));
        let begin = out.len();
        index = (kind == INDEX).then_some(begin as u64);
        let size = (payload.len() as u32).to_le_bytes();
        out.extend_from_slice(&size);
        out.extend_from_slice(&size);
        out.extend_from_slice(&[kind, 0, 0, 0]);
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&time_ns.to_le_bytes());
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&out[begin..]);
        checksum.update(payload);
        out.extend_from_slice(&checksum.finalize().to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(payload);
    }
    if let Some(offset) = index {
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(b"vmaIndex");
    }
    out
}

fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(at) = bytes.windows(MARK.len()).position(|window| window == MARK) {
        parts.push(&bytes[..at]);
        bytes = &bytes[at + MARK.len()..];
    }
    parts.push(bytes);
    // The bytes before the first mark are no block.
    parts.split_off(1)
}

/// Reads the whole recording.
fn opened(bytes: &[u8]) {
    looks_like_recording(bytes);
    let Ok(mut recording) = Recording::open(bytes) else { return };
    recording.read_stacks();
    let listed = recording.processes().len();
    assert!(listed <= bytes.len(), "a process takes at least one byte");
    let events = events(&recording, EventNumber::FIRST);
    for event in &events {
        let frames = recording.definitions().frames_of(event.stack).count();
        assert!(frames <= recording.definitions().calls.len());
    }
    let last = events.last().map_or((EventNumber::NONE, 0), |event| (event.number, event.time_ns));
    for moment in [
        Moment::Event(EventNumber::NONE),
        Moment::Event(EventNumber::new(last.0.get() / 2)),
        Moment::Time(last.1 / 2),
        Moment::Event(EventNumber::MAX),
        Moment::Time(u64::MAX),
        Moment::End,
    ] {
        sound(&recording.at(moment, |_, _| ()).0);
    }
}

fn events(recording: &Recording<&[u8]>, from: EventNumber) -> Vec<Event> {
    let mut events = Vec::new();
    // The events before the damage count.
    let _ = recording.events(from, |event| {
        events.push(event.clone());
        ControlFlow::Continue(())
    });
    events
}

/// Checks the invariants of all address spaces at a moment.
fn sound(replay: &Replay) {
    for task in replay.tasks() {
        let Some(space) = replay.space(task) else { panic!("task {task} has no address space") };
        space.memory.check(false).unwrap_or_else(|broken| panic!("task {task}: {broken}"));
        let maps = space.memory.maps();
        assert!(maps.is_ordered());
        for row in maps.iter() {
            for pieces in [space.origins_of(row.range), space.touched_in(row.range)] {
                let mut from = row.range.start;
                for (piece, _) in pieces {
                    assert!(piece.start == from && from < piece.end, "{piece} of {}", row.range);
                    from = piece.end;
                }
                assert_eq!(from, row.range.end, "every byte has an origin");
            }
        }
    }
}

/// Prints the whole state at a moment, line by line.
fn shown(replay: &Replay) -> Vec<String> {
    let mut lines = Vec::new();
    for task in replay.tasks() {
        let Some(space) = replay.space(task) else { continue };
        lines.push(format!("task {task}, break {:x}", space.memory.program_break()));
        let rows = space.memory.render();
        lines.extend(rows.split(|&b| b == b'\n').map(|row| row.escape_ascii().to_string()));
        lines.extend(space.origins.iter().map(|(range, origin)| format!("{range} {origin:?}")));
    }
    lines
}

/// The most events and snapshots of a program.
const EVENTS: usize = 48;
const MOMENTS: usize = 3;

/// Runs a program for a writer, and reads the result.
fn written(program: &[u8]) {
    let meta = Meta {
        kernel: "6.18.0".to_owned(),
        machine: "x86_64".to_owned(),
        page_size: 4096,
        vsyscall: Vsyscall::ExecuteOnly,
        pkeys: true,
        backend: "ptrace".to_owned(),
        began_ns: 0,
        command: vec![b"true".to_vec()],
    };
    let mut writer = Writer::new(&meta);
    let mut replay = Replay::new(meta.profile());
    let mut program = Program {
        bytes: program,
        tasks: vec![TaskId::NONE],
        files: vec![0],
        stacks: vec![StackId::NONE],
    };
    program.tasks.push(writer.task(TaskEntry { tid: Tid::new(1), pid: 1, comm: b"one".to_vec() }));
    for (name, inode) in NAMES {
        let device = Device::new(0, u32::from(inode != 0));
        let entry = FileEntry { device, inode, name: name.to_vec(), build_id: Vec::new() };
        program.files.push(writer.file(&entry));
    }
    let (mut all, mut moments) = (Vec::new(), vec![(EventNumber::NONE, shown(&replay))]);
    let mut time_ns = 0;
    while !program.bytes.is_empty() && all.len() < EVENTS {
        let op = program.byte();
        if op == 0xff && moments.len() < MOMENTS {
            writer.snapshot(&replay);
            moments.push((writer.next_number().previous(), shown(&replay)));
            continue;
        }
        time_ns += u64::from(program.byte());
        let stack = program.stack(&mut writer);
        let task = program.task();
        let Some(what) = program.what(op, &mut writer) else { continue };
        let event = writer.event(time_ns, task, stack, what);
        replay.apply(&event, writer.files());
        all.push(event);
        // What is broken stays so.
        if all.len() % 4 == 0 {
            sound(&replay);
        }
    }
    sound(&replay);
    moments.push((writer.next_number().previous(), shown(&replay)));
    writer.finish();
    let bytes = writer.take();
    let recording = Recording::open(&bytes[..]).expect("a written recording can be read");
    assert!(recording.warnings().is_empty());
    assert_eq!(events(&recording, EventNumber::FIRST), all, "events are those that were written");
    for (number, expected) in moments {
        let (replay, error) = recording.at(Moment::Event(number), |_, _| ());
        assert_eq!((replay.number(), error), (number, None));
        let found = shown(&replay);
        let other = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(other, None, "after event {number}");
        assert_eq!(found.len(), expected.len(), "after event {number}");
    }
    // A truncated recording must be readable as well.
    let cut = &bytes[..bytes.len() * 2 / 3];
    if let Ok(recording) = Recording::open(cut) {
        let events = events(&recording, EventNumber::FIRST);
        assert_eq!(events, all[..events.len()]);
    }
}

const NAMES: [(&[u8], u64); 10] = [
    (b"[heap]", 0),
    (b"[stack]", 0),
    (b"[vdso]", 0),
    (b"[anon:name]", 0),
    (b"/lib/libc.so.6", 7),
    (b"/dev/zero (deleted)", 8),
    (b"/SYSV00000000 (deleted)", 9),
    (b"/anon_hugepage (deleted)", 10),
    (b"/[aio] (deleted)", 11),
    (b"anon_inode:[io_uring]", 12),
];

/// Numbers with a meaning for some call.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    3,
    5,
    0x22,
    0x32,
    0x8022,
    0x4_0022,
    0x0100_0001,
    35,
    0x5356_4d41,
    67,
    103,
    0xffff_ffff,
    u64::MAX,
];

/// Bytes that choose the events to write.
struct Program<'a> {
    bytes: &'a [u8],
    tasks: Vec<TaskId>,
    files: Vec<u32>,
    stacks: Vec<StackId>,
}

impl Program<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.bytes.split_first() else { return 0 };
        self.bytes = rest;
        *first
    }

    fn pick<T: Copy>(&mut self, list: impl Fn(&Self) -> &[T]) -> T {
        let byte = usize::from(self.byte());
        let list = list(self);
        list[byte % list.len()]
    }

    fn task(&mut self) -> TaskId {
        self.pick(|program| &program.tasks)
    }

    fn file(&mut self) -> u32 {
        self.pick(|program| &program.files)
    }

    fn stack(&mut self, writer: &mut Writer) -> StackId {
        let byte = self.byte();
        if byte & 1 == 0 {
            let frame = |offset| FrameEntry { file: 5, offset, guessed: byte & 2 != 0 };
            let frames: Vec<FrameEntry> = (0..u64::from(byte >> 4)).map(frame).collect();
            self.stacks.push(writer.stack(&frames));
        }
        self.pick(|program| &program.stacks)
    }

    /// An address among a few pages.
    fn address(&mut self) -> u64 {
        match self.byte() {
            0xff => self.number(),
            0xfe => 0x7fff_ffff_f000,
            byte => 0x7f00_0000_0000 + (u64::from(byte % 64) << 12),
        }
    }

    fn length(&mut self) -> u64 {
        match self.byte() {
            0xff => self.number(),
            0xfe => 0,
            byte => (u64::from(byte % 16) << 12) + u64::from(byte >> 4 & 1),
        }
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    fn argument(&mut self) -> u64 {
        match self.byte() % 4 {
            0 => self.pick(|_| &NUMBERS),
            1 => self.address(),
            2 => self.length(),
            _ => u64::from(self.byte()),
        }
    }

    fn what(&mut self, op: u8, writer: &mut Writer) -> Option<What> {
        Some(match usize::from(op) % 50 {
            index @ 0..29 => self.call(CallKind::all().nth(index)?),
            // The most frequent calls.
            29..34 => self.call(CallKind::Mmap),
            34 | 35 => self.call(CallKind::Mremap),
            36 => self.call(CallKind::Brk),
            37 | 38 => What::Observed {
                range: AddressRange::new(self.address(), self.address()),
                rows: self.rows(),
            },
            39 => What::Exec { to: self.task(), rows: self.rows() },
            40 => What::Attached { rows: self.rows() },
            41 => What::Clone { child: self.new_task(writer), memory: self.byte() & 1 == 0 },
            42 => What::Clone { child: self.task(), memory: self.byte() & 1 == 0 },
            43 => What::Renamed { to: self.new_task(writer) },
            44 => What::Exit { status: i32::from(self.byte()) },
            45 => What::Signal { number: 11, code: -6, address: self.number() },
            46 => What::Fault { address: self.address(), write: self.byte() & 1 == 0 },
            48 => What::Registers {
                values: vec![(vec![self.byte()], self.number()), (Vec::new(), self.number())],
                code: vec![self.byte(); 3],
            },
            47 => What::Resident { ranges: self.rows().iter().map(|row| row.range).collect() },
            _ => What::Lost { events: self.number() },
        })
    }

    fn new_task(&mut self, writer: &mut Writer) -> TaskId {
        let number = self.tasks.len() as u32;
        let pid = u32::from(self.byte() % 4);
        self.tasks.push(writer.task(TaskEntry { tid: Tid::new(number), pid, comm: Vec::new() }));
        self.tasks[self.tasks.len() - 1]
    }

    fn call(&mut self, kind: CallKind) -> What {
        let mut args = [0; 6];
        args[0] = match kind {
            CallKind::Prctl | CallKind::Personality => self.pick(|_| &NUMBERS),
            _ => self.address(),
        };
        args[1] = self.length();
        for argument in &mut args[2..6] {
            *argument = self.argument();
        }
        // Unused arguments are not stored, so they are not read back.
        args[kind.arguments()..].fill(0);
        let result = match self.byte() % 8 {
            0 => -12,
            1 => -22,
            2 => self.number() as i64,
            3 | 4 => 0,
            5 => args[0] as i64,
            _ => self.address() as i64,
        };
        What::Call {
            call: Call { kind, args, result },
            file: self.file(),
            in_order: self.byte() & 7 != 0,
        }
    }

    fn rows(&mut self) -> Vec<RecordedRow> {
        let count = self.byte() % 8;
        let mut at = self.address();
        let mut rows = Vec::new();
        for _ in 0..count {
            let bits = self.byte();
            let letter = |bit: u8, letter: u8| if bits & bit != 0 { letter } else { b'-' };
            let shared = if bits & 8 != 0 { b's' } else { b'p' };
            let perms = Perms([letter(1, b'r'), letter(2, b'w'), letter(4, b'x'), shared]);
            let start = at.wrapping_add(u64::from(bits >> 4 & 7) << 12);
            let end = start.wrapping_add(self.length());
            at = if bits & 0x80 != 0 { self.address() } else { end };
            let offset = u64::from(self.byte()) << 12;
            rows.push(RecordedRow {
                range: AddressRange::new(start, end),
                perms,
                offset,
                file: self.file(),
            });
        }
        rows
    }
}
