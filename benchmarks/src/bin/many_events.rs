//! Writes a recording and replays it as a recorder does, for the measure `record`: `many_events
//! EVENTS STACKS FILE` prints JSON, with the peak memory.

use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::time::Instant;
use vmatlas_maps::{AddressRange, Device, Perms};
use vmatlas_recording::{
    Call, CallKind, FileEntry, FrameEntry, Meta, RecordedRow, Replay, TaskEntry, Tid, What, Writer,
};
use vmatlas_space::Vsyscall;

/// The number of places that are mapped, unmapped and protected.
const PLACES: u64 = 400;
/// The distance between places: adjacent rows never merge.
const STEP: u64 = 1 << 20;
const BASE: u64 = 0x7f00_0000_0000;
const BREAK: u64 = 0x5555_0000_0000;
const FRAMES: u64 = 17;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().and_then(|word| word.parse::<u64>().ok());
    let (Some(events), Some(stacks)) = (number(), number()) else {
        panic!("many_events EVENTS STACKS FILE")
    };
    let path = arguments.next().expect("a file");
    let mut file = BufWriter::new(File::create(path).expect("a file to write"));
    let meta = Meta {
        kernel: "6.18.0".to_owned(),
        machine: "x86_64".to_owned(),
        page_size: 4096,
        vsyscall: Vsyscall::None,
        pkeys: false,
        backend: "ptrace".to_owned(),
        began_ns: 0,
        command: vec![b"many_events".to_vec()],
    };
    let from = Instant::now();
    let mut writer = Writer::new(&meta);
    let mut replay = Replay::new(meta.profile());
    let task =
        writer.task(TaskEntry { tid: Tid::new(100), pid: 100, comm: b"many_events".to_vec() });
    let files: Vec<u32> = (0..40).map(|number| writer.file(&library(number))).collect();
    let heap = writer.file(&FileEntry { name: b"[heap]".to_vec(), ..FileEntry::default() });
    let mut random = 1u64;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % limit
    };
    let mut program_break = BREAK + 0x21000;
    let mut counts = [0u64; 4];
    for number in 0..events {
        let place = BASE + STEP * below(PLACES);
        let size = 0x1000 * (1 + below(16));
        let (kind, args, result) = match below(10) {
            // The first brk records the start of the heap.
            _ if number == 1 => (CallKind::Brk, [0, 0, 0, 0, 0, 0], program_break),
            0..4 => (CallKind::Mmap, [place, size, 3, 0x32, u64::MAX, 0], place),
            4..7 => (CallKind::Munmap, [place, 0x10000, 0, 0, 0, 0], 0),
            // A program cannot mprotect an unmapped range: the call would fail, and would not be
            // recorded.
            7..9 if replay.space(task).is_some_and(|space| mapped(space, place)) => {
                (CallKind::Mprotect, [place, 0x1000, below(4), 0, 0, 0], 0)
            }
            _ => {
                program_break = BREAK + 0x1000 * (1 + below(256));
                (CallKind::Brk, [program_break, 0, 0, 0, 0, 0], program_break)
            }
        };
        let what = if number == 0 {
            let mut rows = vec![RecordedRow {
                range: AddressRange::new(BREAK, program_break),
                perms: Perms(*b"rw-p"),
                offset: 0,
                file: heap,
            }];
            rows.extend(files.iter().zip(0..).map(|(file, at)| library_row(*file, at)));
            What::Exec { to: task, rows }
        } else {
            let place = [CallKind::Mmap, CallKind::Munmap, CallKind::Mprotect, CallKind::Brk];
            let at = place.iter().position(|other| *other == kind).expect("one of them");
            counts[at] += 1;
            What::Call { call: Call { kind, args, result: result as i64 }, file: 0, in_order: true }
        };
        // Most stacks occur often, and some only once.
        let chosen = below(stacks).min(below(stacks));
        let stack = writer.stack(&frames(chosen, &files));
        let event = writer.event(number * 1_000, task, stack, what);
        let applied = replay.apply(&event, writer.files());
        assert_eq!(applied.refused, None, "{event:?}");
        if writer.snapshot_due() {
            writer.snapshot(&replay);
        }
        file.write_all(&writer.take()).expect("written");
    }
    writer.finish();
    file.write_all(&writer.take()).expect("written");
    file.flush().expect("written");
    let nanos = from.elapsed().as_nanos() as u64;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let space = replay.space(task).expect("it lives");
    println!(
        "{}",
        json!({
            "nanos": nanos,
            "peak_kib": peak,
            "calls": counts,
            "maps": String::from_utf8_lossy(&space.memory.render()),
            "origins": space.origins.iter().map(|(_, origin)| origin.event.get()).sum::<u64>(),
        })
    );
}

fn mapped(space: &vmatlas_recording::RecordedSpace, address: u64) -> bool {
    space.memory.find(address).is_some_and(|range| range.contains(address))
}

fn library(number: u64) -> FileEntry {
    FileEntry {
        device: Device::new(0xfd, 1),
        inode: 1_000 + number,
        name: format!("/usr/lib/x86_64-linux-gnu/libnumber{number}.so.1.{number}").into_bytes(),
        build_id: (0..20).map(|byte| byte ^ number as u8).collect(),
    }
}

fn library_row(file: u32, at: u64) -> RecordedRow {
    let start = 0x7fff_0000_0000 + at * STEP;
    let range = AddressRange::new(start, start + 0x40000);
    RecordedRow { range, perms: Perms(*b"r-xp"), offset: 0, file }
}

/// The frames of a stack; it shares its outer ones with many others.
fn frames(stack: u64, files: &[u32]) -> Vec<FrameEntry> {
    let frame = |depth: u64| {
        let shared = stack >> (2 * depth);
        let file = files[(shared % files.len() as u64) as usize];
        FrameEntry { file, offset: 0x1000 + (shared * 37 + depth) % 5_000 * 16, guessed: false }
    };
    (0..FRAMES).map(frame).collect()
}
