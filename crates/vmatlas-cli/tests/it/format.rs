//! Checks docs/recording.md: a Python reader written from it reads the same data as vmatlas.

use crate::vmatlas::{testdata, vmatlas};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use vmatlas::recording::{
    Call, CallKind, Event, EventNumber, FileEntry, FrameEntry, Meta, PlaceEntry, RecordedRow,
    Recording, Replay, SymbolEntry, TaskEntry, TaskId, Tid, What, Writer,
};
use vmatlas::space::Vsyscall;
use vmatlas::{AddressRange, Device, Perms};

/// The lines that the script must print, grouped by kind.
fn ours(bytes: &[u8]) -> Vec<String> {
    let mut recording = Recording::open(bytes).unwrap();
    recording.read_stacks();
    assert_eq!(recording.warnings(), [""; 0]);
    let definitions = recording.definitions();
    let mut lines = Vec::new();
    for (at, file) in definitions.files.iter().enumerate().skip(1) {
        let Device { major, minor, .. } = file.device;
        let (name, build_id) = (hex(&file.name), hex(&file.build_id));
        lines.push(format!("file {at} {major}:{minor} {} {name} {build_id}", file.inode));
    }
    for (at, task) in definitions.tasks.iter().enumerate().skip(1) {
        lines.push(format!("task {at} {} {} {}", task.tid, task.pid, hex(&task.comm)));
    }
    for (at, frame) in definitions.frames.iter().enumerate().skip(1) {
        let guessed = u8::from(frame.guessed);
        lines.push(format!("frame {at} {} {} {guessed}", frame.file, frame.offset));
    }
    for (at, call) in definitions.calls.iter().enumerate().skip(1) {
        lines.push(format!("call {at} {} {}", call.caller, call.frame));
    }
    for (at, symbol) in definitions.symbols.iter().enumerate().skip(1) {
        let SymbolEntry { pid, address, size, name } = symbol;
        lines.push(format!("symbol {at} {pid} {address} {size} {}", hex(name)));
    }
    for (at, place) in definitions.places.iter().enumerate().skip(1) {
        let (function, source) = (hex(&place.function), hex(&place.source));
        let (file, offset, into) = (place.file, place.offset, place.function_offset);
        let inlined = u8::from(place.inlined);
        lines.push(format!("place {at} {file} {offset} {function} {into} {source} {inlined}"));
    }
    let read = recording.events(EventNumber::FIRST, |event| {
        lines.push(line(event));
        ControlFlow::Continue(())
    });
    read.unwrap();
    lines
}

fn line(event: &Event) -> String {
    let what = match &event.what {
        What::Call { call, file, in_order } => {
            let args = call.args.map(|argument| argument.to_string()).join(" ");
            let late = u8::from(!in_order);
            format!("{} {args} {} {file} {late}", call.kind.name(), call.result as u64)
        }
        What::Clone { child, memory } => format!("clone {child} {}", u8::from(*memory)),
        What::Renamed { to } => format!("renamed {to}"),
        What::Exec { to, rows } => format!("exec {to}{}", shown(rows)),
        What::Attached { rows } => format!("attached{}", shown(rows)),
        What::Observed { range, rows } => {
            format!("observed {} {}{}", range.start, range.end, shown(rows))
        }
        What::Exit { status } => format!("exit {status}"),
        What::Signal { number, code, address } => format!("signal {number} {code} {address}"),
        What::Fault { address, write: false } => format!("fault {address}"),
        What::Fault { address, write: true } => format!("write-fault {address}"),
        What::Lost { events } => format!("lost {events}"),
        What::Resident { ranges } => {
            let range = |range: &AddressRange| format!(" {}-{}", range.start, range.end);
            format!("resident{}", ranges.iter().map(range).collect::<String>())
        }
        What::Registers { values, code } => {
            let value = |(name, value): &(Vec<u8>, u64)| format!(" {}={value}", hex(name));
            format!("registers{} {}", values.iter().map(value).collect::<String>(), hex(code))
        }
        other => panic!("docs/recording.md does not know {other:?}"),
    };
    let Event { number, time_ns, task, stack, .. } = event;
    format!("event {number} {time_ns} {task} {stack} {what}")
}

fn shown(rows: &[RecordedRow]) -> String {
    let row = |row: &RecordedRow| {
        let (start, end) = (row.range.start, row.range.end);
        format!(" {start}-{end}:{}:{}:{}", hex(&row.perms.0), row.offset, row.file)
    };
    rows.iter().map(row).collect()
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if digits.is_empty() { "-".to_owned() } else { digits }
}

/// The lines that the script prints, without those of blocks, in the order of [`ours`].
fn of_the_script(path: &Path) -> (Vec<String>, Vec<String>) {
    let script = testdata().join("programs/read_recording.py");
    let output = Command::new("python3").arg(script).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (blocks, mut lines): (Vec<String>, Vec<String>) =
        text.lines().map(str::to_owned).partition(|line| line.starts_with("block "));
    let kinds = ["file", "task", "frame", "call", "symbol", "place", "event"];
    let kind = |line: &String| kinds.iter().position(|kind| line.split(' ').next() == Some(kind));
    lines.sort_by_key(kind);
    (blocks, lines)
}

#[track_caller]
fn same(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let (blocks, theirs) = of_the_script(path);
    let ours = ours(&bytes);
    let other = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
    assert_eq!(other, None, "a line of vmatlas and of the script");
    assert_eq!(ours.len(), theirs.len());
    blocks
}

#[test]
fn a_program_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sh.vmrec");
    let file = path.to_str().unwrap();
    let run = vmatlas(&["record", "-q", "-o", file, "--", "sh", "-c", "cat /dev/null; exit 0"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let blocks = same(&path);
    assert!(blocks[0].contains(" meta ") && blocks[blocks.len() - 1].contains(" index "));
}

/// Writes each kind of event and of call, with numbers of all sizes, over several blocks and
/// snapshots.
#[test]
fn all_that_can_be_written() {
    let meta = Meta {
        kernel: "6.18.0".to_owned(),
        machine: "x86_64".to_owned(),
        page_size: 4096,
        vsyscall: Vsyscall::ExecuteOnly,
        pkeys: true,
        backend: "ptrace".to_owned(),
        began_ns: 1_700_000_000_000_000_000,
        command: vec![b"program".to_vec()],
    };
    let mut writer = Writer::new(&meta);
    let mut replay = Replay::new(meta.profile());
    let entry = |name: &[u8], inode| FileEntry {
        device: Device::new(8, 1),
        inode,
        name: name.to_vec(),
        build_id: vec![0xab; inode as usize % 3],
    };
    let files = [0, writer.file(&entry(b"/a\\012b", 7)), writer.file(&entry(b"/c", u64::MAX))];
    let mut tasks = vec![TaskId::NONE];
    for tid in [1, 2, 70_000] {
        tasks.push(writer.task(TaskEntry { tid: Tid::new(tid), pid: 1, comm: b"a task".to_vec() }));
    }
    for inlined in [true, false] {
        writer.place(&PlaceEntry {
            file: files[1],
            offset: 0x1234,
            function: b"f".to_vec(),
            function_offset: 4,
            source: if inlined { b"a.c:1".to_vec() } else { Vec::new() },
            inlined,
        });
    }
    writer.symbol(&SymbolEntry { pid: 1, address: 1 << 46, size: 5, name: b"code".to_vec() });
    let numbers =
        [0, 1, 0x1000, 0x7f00_0000_0000, 0x7fff_ffff_ffff, u64::MAX, u64::MAX - 11, 0x1234];
    let rows = |first: usize| -> Vec<RecordedRow> {
        let row = |at: usize| {
            let start = 0x10_0000 * (first + at) as u64;
            let range = AddressRange::new(start, start + 0x3000);
            RecordedRow { range, perms: Perms(*b"r-xs"), offset: 0x2000, file: files[at % 3] }
        };
        (0..first % 5).map(row).collect()
    };
    let mut kinds: Vec<CallKind> = Vec::new();
    for number in 0..20_000_usize {
        let pick =
            |shift: usize| numbers[((number >> shift) ^ (number / 7 + shift)) % numbers.len()];
        let what = match number % 41 {
            30 => What::Clone { child: tasks[number / 41 % 4], memory: number % 3 == 0 },
            31 => What::Renamed { to: tasks[number / 41 % 4] },
            32 => What::Exec { to: tasks[number / 41 % 4], rows: rows(number) },
            33 => What::Attached { rows: rows(number) },
            34 => What::Observed { range: AddressRange::new(pick(1), pick(2)), rows: rows(number) },
            35 => What::Exit { status: -(number as i32) },
            36 => What::Signal { number: 11, code: -6, address: pick(3) },
            37 => What::Fault { address: pick(4), write: pick(5) & 1 == 1 },
            38 => What::Lost { events: pick(5) },
            40 => What::Registers {
                values: (0..number % 3).map(|at| (vec![b'x'; at], pick(at))).collect(),
                code: vec![0x90; number % 5],
            },
            39 => What::Resident { ranges: rows(number).iter().map(|row| row.range).collect() },
            kind => {
                let all = CallKind::all();
                let kind = all.clone().nth(kind % all.len()).unwrap();
                kinds.push(kind);
                let mut args = [0, 1, 2, 3, 4, 5].map(pick);
                args[kind.arguments()..].fill(0);
                let result = if number % 3 == 0 { args[0] } else { pick(6) } as i64;
                let call = Call { kind, args, result };
                What::Call { call, file: files[number % 3], in_order: number % 4 != 0 }
            }
        };
        let frame = |depth: usize| FrameEntry {
            file: files[depth % 3],
            offset: (number % 50 * depth) as u64,
            guessed: depth == 2,
        };
        let frames: Vec<FrameEntry> = (0..number % 7).map(frame).collect();
        let stack = writer.stack(&frames);
        let time_ns = numbers[number % 4].wrapping_add(number as u64);
        let event = writer.event(time_ns, tasks[number % 4], stack, what);
        replay.apply(&event, writer.files());
        if number % 7_000 == 0 {
            writer.snapshot(&replay);
        }
    }
    writer.finish();
    assert!(CallKind::all().all(|kind| kinds.contains(&kind)), "every call is tried");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("all.vmrec");
    std::fs::write(&path, writer.take()).unwrap();
    let blocks = same(&path);
    for kind in ["meta", "names", "stacks", "symbols", "events", "snapshot", "index"] {
        assert!(blocks.iter().any(|block| block.contains(&format!(" {kind} "))), "{kind}");
    }
}
