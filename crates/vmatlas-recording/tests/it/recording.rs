//! Recordings survive a round trip, from any snapshot on, truncated anywhere, and damaged.

use std::ops::ControlFlow;
use vmatlas_maps::{AddressRange, Device, Perms};
use vmatlas_recording::{
    Call, CallKind, Event, EventNumber, FileEntry, FrameEntry, Maker, Meta, Moment, RecordedRow,
    Recording, RecordingError, Replay, StackId, TaskEntry, TaskId, Tid, What, Writer,
    looks_like_recording,
};
use vmatlas_space::Vsyscall;

const PAGE: u64 = 0x1000;
const BASE: u64 = 0x7f00_0000_0000;

fn meta() -> Meta {
    Meta {
        kernel: "6.18.44".to_owned(),
        machine: "x86_64".to_owned(),
        page_size: PAGE,
        vsyscall: Vsyscall::ExecuteOnly,
        pkeys: false,
        backend: "ptrace".to_owned(),
        began_ns: 1,
        command: vec![b"program".to_vec(), b"argument".to_vec()],
    }
}

/// Perf events do not report the status of a process.
#[test]
fn statuses_are_unknown_to_perf_events() {
    for (backend, status) in [("ptrace", Some(0)), ("perf", None)] {
        let mut writer = Writer::new(&Meta { backend: backend.to_owned(), ..meta() });
        let task = writer.task(TaskEntry { tid: Tid::new(7), pid: 7, comm: b"a".to_vec() });
        writer.event(0, task, StackId::NONE, What::Exec { to: task, rows: Vec::new() });
        writer.event(1, task, StackId::NONE, What::Exit { status: 0 });
        writer.flush();
        let cut = writer.take();
        writer.finish();
        let whole = [cut.clone(), writer.take()].concat();
        for bytes in [cut, whole] {
            let mut recording = Recording::open(bytes).unwrap();
            let processes = recording.processes();
            assert_eq!(processes.len(), 1);
            assert_eq!(
                (processes[0].status, processes[0].last),
                (status, Some(EventNumber::new(2)))
            );
        }
    }
}

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % limit
    }
}

/// A recording of random calls of some processes, with the written events.
struct Made {
    bytes: Vec<u8>,
    events: Vec<Event>,
}

fn file() -> FileEntry {
    FileEntry {
        device: Device::new(0xfe, 0),
        inode: 42,
        name: b"/usr/lib/libc.so.6".to_vec(),
        build_id: vec![1, 2, 3],
    }
}

fn call(random: &mut Random, file: u32) -> What {
    let page = |n: u64| BASE + n * PAGE;
    let (at, length) = (page(random.below(48)), (1 + random.below(12)) * PAGE);
    let prot = random.below(8);
    let (kind, args, result, file) = match random.below(12) {
        0..4 => (CallKind::Mmap, [0, length, prot, 0x22, u64::MAX, 0], at as i64, 0),
        4 => (CallKind::Mmap, [at, length, prot, 0x12, 3, PAGE * 7], at as i64, file),
        5 | 6 => (CallKind::Munmap, [at, length, 0, 0, 0, 0], 0, 0),
        7 | 8 => (CallKind::Mprotect, [at, length, prot, 0, 0, 0], 0, 0),
        9 => {
            let to = page(64 + random.below(32));
            (CallKind::Mremap, [at, length, length + PAGE, 3, to, 0], to as i64, 0)
        }
        10 => (CallKind::Madvise, [at, length, 10 + random.below(8), 0, 0, 0], 0, 0),
        _ => {
            let brk = 0x5555_0000_0000 + random.below(40) * 0x800;
            (CallKind::Brk, [brk, 0, 0, 0, 0, 0], brk as i64, 0)
        }
    };
    What::Call { call: Call { kind, args, result }, file, in_order: random.below(50) != 0 }
}

fn make(seed: u64, events: u64, snapshot_every: u64) -> Made {
    let mut random = Random(seed);
    let mut writer = Writer::new(&meta());
    let mut replay = Replay::new(meta().profile());
    let file = writer.file(&file());
    assert_eq!(file, writer.file(&self::file()), "a file is kept once");
    let mut next_tid = 100;
    let first = writer.task(TaskEntry {
        tid: Tid::new(next_tid),
        pid: next_tid,
        comm: b"program".to_vec(),
    });
    let mut living = vec![first];
    let mut made = Vec::new();
    let mut bytes = Vec::new();
    let mut time_ns = 0;
    let rows = vec![RecordedRow {
        range: AddressRange::new(0x40_0000, 0x40_2000),
        perms: Perms(*b"r-xp"),
        offset: 0,
        file,
    }];
    for number in 0..events {
        time_ns += random.below(100_000);
        let at = random.below(living.len() as u64) as usize;
        let task = living[at];
        let what = match random.below(60) {
            _ if number == 0 => What::Exec { to: first, rows: rows.clone() },
            0 if living.len() < 5 => {
                next_tid += 1;
                let memory = random.below(2) == 0;
                let pid = if memory { 100 } else { next_tid };
                let entry = TaskEntry { tid: Tid::new(next_tid), pid, comm: b"child".to_vec() };
                let child = writer.task(entry);
                living.push(child);
                What::Clone { child, memory }
            }
            1 if living.len() > 1 => {
                living.remove(at);
                What::Exit { status: random.below(256) as i32 }
            }
            2 => What::Exec { to: task, rows: rows.clone() },
            3 => What::Observed {
                range: AddressRange::new(BASE, BASE + 96 * PAGE),
                rows: vec![RecordedRow {
                    range: AddressRange::new(BASE + 3 * PAGE, BASE + 5 * PAGE),
                    perms: Perms(*b"rw-p"),
                    offset: 0,
                    file: 0,
                }],
            },
            4 => What::Fault { address: BASE + random.below(1 << 20), write: random.below(2) == 0 },
            5 => What::Lost { events: random.below(9) },
            7 => What::Registers {
                values: vec![(b"rax".to_vec(), random.below(1 << 40)), (b"rip".to_vec(), 0)],
                code: vec![0xc3; random.below(16) as usize],
            },
            6 => What::Signal { number: 11, code: 1, address: random.below(1 << 40) },
            _ => call(&mut random, file),
        };
        let depth = random.below(20);
        let frames: Vec<FrameEntry> = (0..depth)
            .map(|level| FrameEntry {
                file: if level % 3 == 0 { 0 } else { file },
                offset: level * 64 + random.below(3),
                guessed: false,
            })
            .collect();
        let stack = writer.stack(&frames);
        let event = writer.event(time_ns, task, stack, what);
        replay.apply(&event, writer.files());
        made.push(event);
        if (number + 1).is_multiple_of(snapshot_every) {
            writer.snapshot(&replay);
        }
        bytes.append(&mut writer.take());
    }
    writer.finish();
    bytes.append(&mut writer.take());
    Made { bytes, events: made }
}

fn open(bytes: &[u8]) -> Recording<&[u8]> {
    Recording::open(bytes).expect("a recording")
}

fn events(recording: &Recording<&[u8]>) -> (Vec<Event>, Result<(), RecordingError>) {
    let mut all = Vec::new();
    let end = recording.events(EventNumber::FIRST, |event| {
        all.push(event.clone());
        ControlFlow::Continue(())
    });
    (all, end)
}

/// Everything that a reader sees of a state.
fn shown(replay: &Replay) -> String {
    let mut text = format!("after {} at {} ns\n", replay.number(), replay.time_ns());
    for task in replay.tasks() {
        let space = replay.space(task).expect("a living task has an address space");
        text += &format!("task {task}\n{}", String::from_utf8_lossy(&space.memory.render()));
        for (range, origin) in space.origins.iter() {
            text += &format!("{range} {origin:?}\n");
        }
        space.memory.check(false).expect("the invariants hold");
    }
    text
}

#[test]
fn what_is_written_is_read() {
    for seed in 0..20 {
        let made = make(seed, 3000, 700);
        assert!(looks_like_recording(&made.bytes));
        let mut recording = open(&made.bytes);
        assert_eq!(recording.meta(), &meta());
        let (read, end) = events(&recording);
        assert_eq!(read, made.events, "seed {seed}");
        assert_eq!(end, Ok(()));
        assert_eq!(recording.warnings(), &[] as &[String]);
        assert!(!recording.processes().is_empty());
        assert_eq!(recording.definitions().files[1], file());
        recording.read_stacks();
        let deep = read.iter().filter(|event| !event.stack.is_none());
        for event in deep {
            let frames = recording.definitions().frames_of(event.stack).count();
            assert!((1..20).contains(&frames));
        }
    }
}

#[test]
fn every_moment_is_the_same_from_a_snapshot_as_from_the_start() {
    for seed in 20..26 {
        let made = make(seed, 2000, 300);
        let recording = open(&made.bytes);
        let mut naive = Replay::new(meta().profile());
        for event in &made.events {
            naive.apply(event, &recording.definitions().files);
            if event.number.get() % 97 == 0 || event.number.get() % 300 < 2 {
                let mut applied = 0;
                let (seen, end) = recording.at(Moment::Event(event.number), |_, _| applied += 1);
                assert_eq!(end, None);
                assert!(applied <= 300, "{applied} events were applied");
                assert_eq!(shown(&seen), shown(&naive), "seed {seed}, event {}", event.number);
            }
        }
        let last = made.events.last().unwrap();
        let (at_end, _) = recording.at(Moment::End, |_, _| {});
        let (at_time, _) = recording.at(Moment::Time(last.time_ns), |_, _| {});
        assert_eq!(shown(&at_end), shown(&naive));
        assert_eq!(shown(&at_time), shown(&naive));
        let (start, _) = recording.at(Moment::Event(EventNumber::NONE), |_, _| {});
        assert!(start.tasks().is_empty());
    }
}

#[test]
fn a_recording_that_is_cut_is_read_up_to_the_last_whole_block() {
    let made = make(3, 3000, 700);
    let mut before = 0;
    for length in (0..made.bytes.len()).step_by(397) {
        match Recording::open(&made.bytes[..length]) {
            Err(error) => assert!(length < 200, "{error} at {length}"),
            Ok(mut recording) => {
                let (read, _) = events(&recording);
                assert!(read.len() >= before, "fewer events of more bytes");
                assert_eq!(read, made.events[..read.len()]);
                before = read.len();
                assert!(!recording.warnings().is_empty(), "a cut gives a warning");
                let _ = recording.processes();
                let _ = recording.at(Moment::End, |_, _| {});
            }
        }
    }
    assert!(before > 2000, "{before} events of a recording that lacks its index only");
}

#[test]
fn damage_is_reported_and_gives_no_wrong_event() {
    let made = make(5, 2000, 500);
    let mut random = Random(9);
    let mut noticed = 0;
    for _ in 0..400 {
        let mut bytes = made.bytes.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        let Ok(mut recording) = Recording::open(bytes.as_slice()) else {
            noticed += 1;
            continue;
        };
        recording.read_stacks();
        let (read, end) = events(&recording);
        // Checksums reject any damage, so every event read is correct.
        assert_eq!(read, made.events[..read.len()]);
        let _ = recording.at(Moment::End, |_, _| {});
        let _ = recording.processes();
        noticed += usize::from(end.is_err() || !recording.warnings().is_empty());
    }
    assert!(noticed > 200, "{noticed} of 400");
}

#[test]
fn other_bytes_are_no_recording() {
    let not = |bytes: &[u8]| Recording::open(bytes).err();
    assert_eq!(not(b""), Some(RecordingError::NotARecording));
    assert_eq!(not(b"55d0c000-55d0d000 r-xp"), Some(RecordingError::NotARecording));
    let mut newer = make(1, 5, 100).bytes;
    newer[15] = 2;
    assert_eq!(not(&newer), Some(RecordingError::Version(2)));
    let mut damaged = make(1, 5, 100).bytes;
    damaged[60] ^= 1;
    assert_eq!(not(&damaged), Some(RecordingError::Damaged(16)));
}

/// Builds a sequence of events, as a program would cause them.
struct Story {
    replay: Replay,
    number: u64,
}

impl Story {
    fn new() -> Story {
        let mut story = Story { replay: Replay::new(meta().profile()), number: 0 };
        story.happens(1, What::Exec { to: TaskId::new(1), rows: Vec::new() });
        story
    }

    /// Adds an event; returns its number.
    fn happens(&mut self, task: u32, what: What) -> u64 {
        self.number += 1;
        let (task, stack) = (TaskId::new(task), StackId::NONE);
        let number = EventNumber::new(self.number);
        let event = Event { number, time_ns: self.number, task, stack, what };
        self.replay.apply(&event, &[FileEntry::default()]);
        self.number
    }

    fn call(&mut self, task: u32, kind: CallKind, args: [u64; 6], result: u64) -> u64 {
        let call = Call { kind, args, result: result as i64 };
        self.happens(task, What::Call { call, file: 0, in_order: true })
    }

    fn map(&mut self, task: u32, page: u64, pages: u64) -> u64 {
        let at = BASE + page * PAGE;
        self.call(task, CallKind::Mmap, [0, pages * PAGE, 3, 0x22, u64::MAX, 0], at)
    }

    /// The origins of a task's mappings: event and pages.
    fn origins(&self, task: u32) -> Vec<(u64, u64)> {
        let space = self.replay.space(TaskId::new(task)).unwrap();
        let mut list = Vec::new();
        space.memory.for_each_row(|row| {
            if row.name != b"[vsyscall]" {
                let pieces = space.origins_of(row.range);
                let whole: u64 = pieces.iter().map(|(range, _)| range.size()).sum();
                assert_eq!(whole, row.range.size(), "every byte has one origin");
                list.extend(pieces.iter().map(|(range, o)| (o.event.get(), range.size() / PAGE)));
            }
        });
        list
    }
}

/// Two mappings of which both were written have two reverse maps, which the kernel does not join.
#[test]
fn writes_that_were_seen_decide_about_joins() {
    const MADV_NOHUGEPAGE: u64 = 15;
    let rows = |written: &[(u64, bool)]| {
        let mut story = Story::new();
        story.map(1, 0, 1);
        let advise = |story: &mut Story, page: u64| {
            let args = [BASE + page * PAGE, PAGE, MADV_NOHUGEPAGE, 0, 0, 0];
            story.call(1, CallKind::Madvise, args, 0);
        };
        advise(&mut story, 0);
        story.map(1, 1, 1);
        for &(page, write) in written {
            story.happens(1, What::Fault { address: BASE + page * PAGE, write });
        }
        advise(&mut story, 1);
        let memory = &story.replay.space(TaskId::new(1)).unwrap().memory;
        (memory.len(), memory.doubts().count())
    };
    let of_both = rows(&[(0, true), (1, true)]);
    assert_eq!(of_both, (2, 1));
    assert_eq!(rows(&[(0, true)]), (1, 1));
    // Whether they were writes is not known.
    assert_eq!(rows(&[(0, false), (1, false)]), rows(&[]));
}

#[test]
fn origins_follow_the_bytes() {
    let mut story = Story::new();
    let a = story.map(1, 0, 4);
    let b = story.map(1, 4, 4);
    assert_eq!(
        story.replay.space(TaskId::new(1)).unwrap().memory.len(),
        1,
        "the kernel joins them"
    );
    assert_eq!(story.origins(1), [(a, 4), (b, 4)]);

    // One part is unmapped, another replaced, a third only protected.
    story.call(1, CallKind::Munmap, [BASE + PAGE, PAGE, 0, 0, 0, 0], 0);
    let c = story.call(
        1,
        CallKind::Mmap,
        [BASE + 5 * PAGE, PAGE, 3, 0x32, u64::MAX, 0],
        BASE + 5 * PAGE,
    );
    story.call(1, CallKind::Mprotect, [BASE + 6 * PAGE, PAGE, 1, 0, 0, 0], 0);
    assert_eq!(story.origins(1), [(a, 1), (a, 2), (b, 1), (c, 1), (b, 1), (b, 1)]);

    // Moved bytes keep their origin; the growth has the origin of the move.
    let to = BASE + 100 * PAGE;
    let moved =
        story.call(1, CallKind::Mremap, [BASE + 2 * PAGE, 3 * PAGE, 5 * PAGE, 3, to, 0], to);
    assert_eq!(story.origins(1)[..4], [(a, 1), (c, 1), (b, 1), (b, 1)]);
    assert_eq!(story.origins(1)[4..], [(a, 2), (b, 1), (moved, 2)]);
}

#[test]
fn a_child_inherits_and_goes_its_own_way() {
    let mut story = Story::new();
    let a = story.map(1, 0, 4);
    story.happens(1, What::Clone { child: TaskId::new(2), memory: false });
    let own = story.map(2, 20, 1);
    story.call(1, CallKind::Munmap, [BASE, 4 * PAGE, 0, 0, 0, 0], 0);
    assert_eq!(story.origins(1), []);
    assert_eq!(story.origins(2), [(a, 4), (own, 1)]);
    let space = story.replay.space(TaskId::new(2)).unwrap();
    let origin = space.origins.get(BASE).unwrap();
    assert_eq!((origin.task, origin.how()), (TaskId::new(1), "inherited"));
    assert_eq!(origin.maker, Maker::Call(CallKind::Mmap));

    // A thread shares the address space, including mappings that it makes.
    story.happens(1, What::Clone { child: TaskId::new(3), memory: true });
    let other = story.map(3, 50, 2);
    assert_eq!(story.origins(1), [(other, 2)]);
    story.happens(1, What::Exit { status: 0 });
    assert_eq!(story.origins(3), [(other, 2)], "the address space lives on in the thread");
}

#[test]
fn the_heap_grows_and_shrinks_by_its_calls() {
    let mut story = Story::new();
    let heap = 0x5555_0000_0000;
    let brk = |story: &mut Story, to: u64| story.call(1, CallKind::Brk, [to, 0, 0, 0, 0, 0], to);
    brk(&mut story, heap);
    let first = brk(&mut story, heap + 2 * PAGE);
    let second = brk(&mut story, heap + 5 * PAGE - 8);
    assert_eq!(story.origins(1), [(first, 2), (second, 3)]);
    brk(&mut story, heap + 3 * PAGE);
    assert_eq!(story.origins(1), [(first, 2), (second, 1)]);
}

/// Makes a recording of the events that `write` writes.
fn recording_of(write: impl FnOnce(&mut Writer, TaskId)) -> Vec<u8> {
    let mut writer = Writer::new(&meta());
    let task = writer.task(TaskEntry { tid: Tid::new(1), pid: 1, comm: b"a".to_vec() });
    writer.event(0, task, StackId::NONE, What::Exec { to: task, rows: Vec::new() });
    write(&mut writer, task);
    writer.finish();
    writer.take()
}

fn happens(writer: &mut Writer, task: TaskId, kind: CallKind, args: [u64; 6], result: u64) {
    let call = Call { kind, args, result: result as i64 };
    writer.event(0, task, StackId::NONE, What::Call { call, file: 0, in_order: true });
}

#[test]
fn the_life_of_an_address_goes_back_through_moves_and_forks() {
    let (a, b, c) = (BASE, BASE + 64 * PAGE, BASE + 128 * PAGE);
    let map = |writer: &mut Writer, task, at, pages| {
        let args = [0, pages * PAGE, 3, 0x22, u64::MAX, 0];
        happens(writer, task, CallKind::Mmap, args, at);
    };
    let mut child = TaskId::NONE;
    let bytes = recording_of(|writer, task| {
        map(writer, task, b, 1); // 2: another life at the later address
        happens(writer, task, CallKind::Munmap, [b, PAGE, 0, 0, 0, 0], 0); // 3
        map(writer, task, a, 4); // 4
        happens(writer, task, CallKind::Mprotect, [a, 4 * PAGE, 1, 0, 0, 0], 0); // 5
        happens(writer, task, CallKind::Mremap, [a, 4 * PAGE, 8 * PAGE, 3, b, 0], b); // 6
        map(writer, task, c, 1); // 7: elsewhere
        child = writer.task(TaskEntry { tid: Tid::new(2), pid: 2, comm: b"b".to_vec() });
        writer.event(0, task, StackId::NONE, What::Clone { child, memory: false }); // 8
        happens(writer, task, CallKind::Munmap, [b, 8 * PAGE, 0, 0, 0, 0], 0); // 9: the parent's
        happens(writer, child, CallKind::Munmap, [b + 2 * PAGE, PAGE, 0, 0, 0, 0], 0); // 10
        happens(writer, child, CallKind::Munmap, [b, 2 * PAGE, 0, 0, 0, 0], 0); // 11
    });
    let recording = open(&bytes);
    let steps = |task, address, until| {
        let (steps, error) = recording.life(task, address, EventNumber::new(until));
        assert_eq!(error, None);
        let short = |step: vmatlas_recording::LifeStep| (step.event.number.get(), step.kind);
        steps.into_iter().map(short).collect::<Vec<_>>()
    };
    use vmatlas_recording::LifeKind as K;
    let moved = (6, K::MovedFrom(a + PAGE));
    assert_eq!(
        steps(child, b + PAGE, 11),
        [
            (4, K::Made),
            (5, K::Protected),
            moved,
            (8, K::Inherited),
            (10, K::Reshaped),
            (11, K::Unmapped)
        ]
    );
    assert_eq!(
        steps(TaskId::new(1), b + PAGE, 11),
        [(4, K::Made), (5, K::Protected), moved, (9, K::Unmapped)]
    );
    assert_eq!(
        steps(TaskId::new(1), b + 5 * PAGE, 8),
        [(6, K::Made)],
        "the growth has the origin of the move"
    );
    assert_eq!(
        steps(TaskId::new(1), a, 7),
        [(4, K::Made), (5, K::Protected), (6, K::MovedTo(b))],
        "the end of a life at the address itself"
    );
    assert_eq!(steps(TaskId::new(1), c + 9 * PAGE, 11), []);
}

/// A child of vfork(2) executes a program and so leaves the address space of its parent, which
/// stays as it is.
#[test]
fn a_child_that_leaves_a_shared_address_space_makes_nothing_in_it() {
    use vmatlas_recording::LifeKind as K;
    let rows = || {
        let (range, perms) = (AddressRange::new(BASE, BASE + 8 * PAGE), Perms(*b"r--p"));
        vec![RecordedRow { range, perms, offset: 0, file: 0 }]
    };
    let mut child = TaskId::NONE;
    let bytes = recording_of(|writer, task| {
        let args = [0, 4 * PAGE, 3, 0x22, u64::MAX, 0];
        happens(writer, task, CallKind::Mmap, args, BASE); // 2
        child = writer.task(TaskEntry { tid: Tid::new(2), pid: 2, comm: b"b".to_vec() });
        writer.event(0, task, StackId::NONE, What::Clone { child, memory: true }); // 3
        writer.event(0, child, StackId::NONE, What::Exec { to: child, rows: rows() }); // 4
        writer.event(0, task, StackId::NONE, What::Exec { to: task, rows: Vec::new() }); // 5
    });
    let recording = open(&bytes);
    let steps = |task, until| {
        let (steps, _) = recording.life(task, BASE, EventNumber::new(until));
        steps.iter().map(|step| (step.event.number.get(), step.kind)).collect::<Vec<_>>()
    };
    assert_eq!(steps(TaskId::new(1), 4), [(2, K::Made)]);
    assert_eq!(steps(child, 5), [(4, K::Made)]);
    assert_eq!(steps(TaskId::new(1), 5), [], "its own execve ends what was there");
}
