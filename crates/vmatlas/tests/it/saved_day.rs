//! What a day of snapshots takes. Run it with
//! `cargo test --release -p vmatlas --test it saved_day -- --ignored --nocapture`.

use std::time::Instant;
use vmatlas::recording::machine::{Header, Limits, NewProcess, NewSnapshot, Snapshot};
use vmatlas::{AddressRange, Identity, Maps, Sizes};

const PROCESSES: usize = 1000;
const SNAPSHOTS: u64 = 48;

struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % most
    }
}

#[derive(Clone)]
struct Process {
    identity: Identity,
    maps: Maps,
    sizes: [u64; 3],
}

/// The processes of this machine.
fn real() -> Vec<Process> {
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let process = |pid: u32| {
        let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).ok();
        let maps = Maps::parse(&read("maps")?).ok()?;
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let exe = exe.to_str()?.as_bytes().to_vec();
        let comm = read("comm")?.trim_ascii().to_vec();
        let sizes = Maps::parse(&read("smaps_rollup")?).ok()?;
        let Sizes { rss, pss, uss, .. } = Sizes::of(&sizes, 0);
        let cgroup = String::from_utf8(read("cgroup")?.trim_ascii().to_vec()).ok()?;
        let identity = Identity { comm, exe, cgroup, uid: Some(0), ..Identity::default() };
        Some(Process { identity, maps, sizes: [rss?, pss?, uss?] })
    };
    pids.filter_map(process).collect()
}

/// The rows after another random layout of the address space: each part of them is moved.
fn moved(maps: &Maps, random: &mut Random) -> Maps {
    let (mut moved, mut end, mut at) = (Maps::default(), 0, 0u64);
    for row in maps.iter() {
        let mut row = row;
        let gap = row.range.start - end;
        end = row.range.end;
        // A large gap is one between parts with bases of their own.
        let by = if gap > 1 << 30 { random.below(1 << 28) << 12 } else { 0 };
        let start = if row.range.start >> 63 != 0 { row.range.start } else { at + gap + by };
        let range = AddressRange::sized(start, row.range.size()).unwrap();
        at = range.end - by / 2 / 4096 * 4096;
        at = at.max(range.end);
        row.range = range;
        moved.push(&row);
    }
    moved
}

fn started(from: &Process, pid: u32, now: u64, random: &mut Random) -> Process {
    let mut process = from.clone();
    (process.identity.pid, process.identity.started) = (Some(pid), Some(now - random.below(1800)));
    process.maps = moved(&from.maps, random);
    process
}

/// A process whose heap grew, which mapped something or unmapped it.
fn changed(maps: &Maps, random: &mut Random) -> Maps {
    let mut changed = Maps::default();
    let heap = random.below(maps.len() as u64 / 2) as usize;
    let mut end = 0;
    for (index, row) in maps.iter().enumerate() {
        let mut row = row;
        if index == heap && maps.get(index + 1).is_some_and(|next| next.range.start > row.range.end)
        {
            row.range = AddressRange::new(row.range.start, row.range.end + 0x1000);
        }
        let has_room = row.range.start - end > 1 << 30;
        if has_room && random.below(3) == 0 && row.range.start >> 63 == 0 {
            let start = row.range.start - ((1 + random.below(4096)) << 12);
            let mut new = row;
            new.range = AddressRange::sized(start, 0x1000).unwrap();
            (new.perms.0, new.offset, new.inode, new.name) = (*b"rw-p", 0, 0, b"");
            new.device = Default::default();
            changed.push(&new);
        }
        end = row.range.end;
        changed.push(&row);
    }
    changed
}

fn write(time: u64, base: Option<(String, Snapshot)>, processes: &[Process]) -> Vec<u8> {
    let header = Header { time_ms: time * 1000, boot: [1; 16], ..Header::default() };
    let mut new = NewSnapshot::new(header, base);
    for process in processes {
        let mut sizes = Sizes::default();
        let [rss, pss, uss] = process.sizes;
        (sizes.rss, sizes.pss, sizes.uss) = (Some(rss), Some(pss), Some(uss));
        new.add(NewProcess {
            identity: process.identity.clone(),
            status_rss: Some(rss),
            page_tables: Some(process.maps.len() as u64 * 4096),
            threads: Some(1),
            sizes,
            maps: &process.maps,
            ..NewProcess::default()
        });
    }
    new.encode()
}

#[test]
#[ignore = "a measurement"]
fn a_day_of_a_thousand_processes() {
    let mut random = Random(1);
    let real = real();
    let mut now = 1_800_000_000;
    let mut next_pid = 300;
    let mut start = |random: &mut Random, now| {
        next_pid += 1 + random.below(20) as u32;
        let from = &real[random.below(real.len() as u64) as usize];
        started(from, next_pid, now, random)
    };
    let mut processes: Vec<Process> = (0..PROCESSES).map(|_| start(&mut random, now)).collect();
    let rows: usize = processes.iter().map(|process| process.maps.len()).sum();
    let mut files: Vec<Vec<u8>> = Vec::new();
    let mut last: Option<Snapshot> = None;
    let mut written = std::time::Duration::ZERO;
    for number in 0..SNAPSHOTS {
        let base = last.clone().map(|last| (format!("{number}.vmsnap"), last));
        let begun = Instant::now();
        let bytes = write(now, base, &processes);
        written += begun.elapsed();
        last = Some(Snapshot::read(&bytes, last.take(), Limits::default()).unwrap());
        files.push(bytes);
        now += 1800;
        for process in &mut processes {
            match random.below(20) {
                0 => *process = start(&mut random, now),
                1 | 2 => process.maps = changed(&process.maps, &mut random),
                _ => {}
            }
            // All sums change a little, each by itself.
            for size in &mut process.sizes {
                *size = (*size + random.below(64) * 4096).saturating_sub(32 * 4096);
            }
        }
        processes.sort_by_key(|process| process.identity.pid);
    }
    let begun = Instant::now();
    let mut read: Option<Snapshot> = None;
    for bytes in &files {
        read = Some(Snapshot::read(bytes, read.take(), Limits::default()).unwrap());
    }
    let all: usize = files.iter().map(Vec::len).sum();
    println!("{} real processes, {PROCESSES} made of them, {rows} rows", real.len());
    println!("first {} bytes, others {} each", files[0].len(), (all - files[0].len()) / 47);
    println!(
        "{SNAPSHOTS} snapshots: {all} bytes; written in {written:?}; read in {:?}",
        begun.elapsed()
    );
    assert!(all <= 1_000_000, "a day is at most 1 MB");
}
