//! Snapshots of a machine: what is written is read, in a chain, and damage is an error.

use vmatlas_maps::{AddressRange, Device, Identity, Mapping, Maps, Perms, Sizes, SmapsValue};
use vmatlas_recording::machine::{
    Header, Limits, MAX_CHAIN, NewLabel, NewProcess, NewSnapshot, Snapshot, SnapshotError, State,
    looks_like_snapshot,
};

/// Numbers that look random, the same in each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % most
    }
}

/// A process as a test knows it.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) identity: Identity,
    pub(crate) state: State,
    pub(crate) sizes: Sizes,
    /// Start, size, perms, inode, name.
    pub(crate) rows: Vec<(u64, u64, [u8; 4], u64, String)>,
    /// Of each row.
    pub(crate) rss: Vec<u64>,
}

impl Process {
    pub(crate) fn maps(&self, with_fields: bool) -> Maps {
        let mut maps = Maps::default();
        for (row, rss) in self.rows.iter().zip(&self.rss) {
            let (start, size, perms, inode, name) = row;
            maps.push(&Mapping {
                range: AddressRange::new(*start, start + size),
                perms: Perms(*perms),
                offset: 0x1000,
                device: Device::new(8, 1),
                inode: *inode,
                name: name.as_bytes(),
            });
            if with_fields {
                maps.push_field(b"Rss", &SmapsValue::Kib(*rss));
            }
        }
        maps
    }

    fn labels(&self) -> Vec<NewLabel<'static>> {
        let heap = self.rows.iter().filter(|row| row.3 == 0);
        heap.map(|row| {
            (AddressRange::new(row.0, row.0 + 0x1000), "glibc heap", "a heap", "it is one", 1)
        })
        .collect()
    }
}

pub(crate) fn process(random: &mut Random, pid: u32, now: u64) -> Process {
    let mut at = 0x5500_0000_0000 + (random.below(1 << 20) << 12);
    let program = random.below(5);
    let mut rows = Vec::new();
    for row in 0..10 + random.below(5) {
        at += if row % 4 == 0 { random.below(1 << 20) << 12 } else { 0 };
        let (inode, name) = match row % 3 {
            0 => (0, String::new()),
            _ => (100 * program + row, format!("/lib/lib{program}-{row}.so")),
        };
        let size = 0x1000 * (1 + (row + program) % 7);
        rows.push((at, size, *b"r-xp", inode, name));
        at += size;
    }
    let identity = Identity {
        pid: Some(pid),
        comm: format!("p{program}").into_bytes(),
        exe: format!("/bin/p{program}").into_bytes(),
        uid: Some(1000),
        cgroup: format!("/system.slice/p{program}.service"),
        container: String::new(),
        unit: format!("p{program}.service"),
        started: Some(now - random.below(1000)),
    };
    let mut sizes = Sizes::default();
    (sizes.rss, sizes.pss) = (Some(random.below(9999) * 1024), Some(random.below(999) * 1024));
    let rss = rows.iter().map(|_| random.below(100)).collect();
    Process { identity, state: State::Read, sizes, rows, rss }
}

/// Ends, starts and changes some processes.
pub(crate) fn churn(random: &mut Random, processes: &mut Vec<Process>, now: u64) {
    for changed in processes.iter_mut() {
        match random.below(20) {
            0 => {
                let pid = 10_000 + random.below(1 << 20) as u32;
                *changed = process(random, pid, now);
            }
            1 | 2 => {
                // One row is protected, one goes, one comes, and the last grows.
                let rows = &mut changed.rows;
                let first = random.below(3) as usize;
                rows[first].2 = *b"r--p";
                let last = rows.len() - 1;
                rows[last].1 += 0x1000;
                let end = rows[last].0 + rows[last].1;
                rows.push((end, 0x2000, *b"rw-p", 0, String::new()));
                rows.remove(first + 1);
            }
            _ => {}
        }
        let change = random.below(30) * 4096;
        changed.sizes.rss = changed.sizes.rss.map(|rss| rss + change);
        changed.sizes.pss = changed.sizes.pss.map(|pss| pss + change);
        changed.rss.resize(changed.rows.len(), 5);
    }
    processes.sort_by_key(|process| process.identity.pid);
    processes.dedup_by_key(|process| process.identity.pid);
}

pub(crate) fn header(time_s: u64, with_fields: bool) -> Header {
    Header {
        time_ms: time_s * 1000,
        boot: [7; 16],
        kernel: "6.18.1".to_owned(),
        page_size: 4096,
        fields: if with_fields { vec!["Rss".to_owned()] } else { Vec::new() },
        ..Header::default()
    }
}

pub(crate) fn write(
    header: Header,
    base: Option<(String, Snapshot)>,
    processes: &[Process],
) -> Vec<u8> {
    let with_fields = !header.fields.is_empty();
    let mut new = NewSnapshot::new(header, base);
    new.fact("total", 1 << 34);
    new.fact("free", processes.len() as u64 * 4096);
    for process in processes {
        let maps = process.maps(with_fields);
        new.add(NewProcess {
            identity: process.identity.clone(),
            state: process.state,
            status_rss: Some(4096),
            threads: Some(3),
            sizes: process.sizes,
            maps: &maps,
            labels: process.labels(),
            ..NewProcess::default()
        });
    }
    new.encode()
}

#[track_caller]
fn check(snapshot: &Snapshot, processes: &[Process], with_fields: bool) {
    assert_eq!(snapshot.processes.len(), processes.len());
    assert_eq!(snapshot.facts["total"], 1 << 34);
    assert_eq!(snapshot.facts["free"], processes.len() as u64 * 4096);
    for (index, (saved, process)) in snapshot.processes.iter().zip(processes).enumerate() {
        assert_eq!(*saved.identity, process.identity);
        assert_eq!((saved.state, saved.sizes), (process.state, process.sizes));
        assert_eq!((saved.threads, saved.page_tables), (Some(3), None));
        let (maps, expected) = (snapshot.maps(index), process.maps(with_fields));
        assert!(maps.iter().eq(expected.iter()), "{:?}", process.identity);
        for row in 0..maps.len() {
            assert!(maps.fields(row).eq(expected.fields(row)), "{:?}", process.identity);
        }
        let labels = snapshot.labels(index);
        let found: Vec<_> = labels
            .iter()
            .map(|(range, part)| (*range, snapshot.string(part.group), part.confidence))
            .collect();
        let wanted: Vec<_> = process.labels().iter().map(|l| (l.0, l.1.as_bytes(), l.4)).collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn a_chain_is_read_as_it_was_written() {
    for with_fields in [false, true] {
        let mut random = Random(if with_fields { 1 } else { 2 });
        let mut now = 1_800_000_000;
        let mut processes: Vec<Process> =
            (0..60).map(|pid| process(&mut random, 100 + pid, now)).collect();
        let mut last: Option<Snapshot> = None;
        for number in 0..MAX_CHAIN + 3 {
            let base = last.clone().map(|last| (format!("{}.vmsnap", number - 1), last));
            let bytes = write(header(now, with_fields), base, &processes);
            assert!(looks_like_snapshot(&bytes));
            let header = Header::read(&bytes).unwrap();
            assert_eq!(header.chain, number % MAX_CHAIN);
            assert_eq!(header.base.is_some(), number % MAX_CHAIN != 0);
            let read = Snapshot::read(&bytes, last.take(), Limits::default()).unwrap();
            check(&read, &processes, with_fields);
            last = Some(read);
            now += 1800;
            churn(&mut random, &mut processes, now);
        }
    }
}

#[test]
fn fields_may_come_and_go_in_a_chain() {
    let mut random = Random(3);
    let processes: Vec<Process> = (0..9).map(|pid| process(&mut random, pid, 9000)).collect();
    let mut last: Option<Snapshot> = None;
    for with_fields in [false, true, false, true, true] {
        let base = last.clone().map(|last| ("before".to_owned(), last));
        let bytes = write(header(9000, with_fields), base, &processes);
        let read = Snapshot::read(&bytes, last.take(), Limits::default()).unwrap();
        check(&read, &processes, with_fields);
        last = Some(read);
    }
}

/// The clock of the kernel may be a second off, and the process is the same.
#[test]
fn a_process_is_the_same_if_its_start_differs_by_the_clock_only() {
    let mut random = Random(4);
    let mut processes = vec![process(&mut random, 7, 9000)];
    let first = write(header(9000, false), None, &processes);
    let base = Snapshot::read(&first, None, Limits::default()).unwrap();
    let before = processes.clone();
    processes[0].identity.started = before[0].identity.started.map(|started| started + 1);
    let second = write(header(9001, false), Some(("1".to_owned(), base.clone())), &processes);
    check(&Snapshot::read(&second, Some(base), Limits::default()).unwrap(), &before, false);
}

#[test]
fn another_boot_begins_a_chain() {
    let first = write(header(1, false), None, &[]);
    let base = Snapshot::read(&first, None, Limits::default()).unwrap();
    let booted = Header { boot: [8; 16], ..header(2, false) };
    let second = write(booted, Some(("1".to_owned(), base)), &[]);
    assert_eq!(Header::read(&second).unwrap().base, None);
}

#[test]
fn a_base_that_is_missing_or_another_is_named() {
    let mut random = Random(5);
    let processes: Vec<Process> = (0..3).map(|pid| process(&mut random, pid, 9000)).collect();
    let first = write(header(9000, false), None, &processes);
    let other = write(header(9001, false), None, &processes);
    let read = |bytes: &[u8], base| Snapshot::read(bytes, base, Limits::default());
    let base = read(&first, None).unwrap();
    let second = write(header(9002, false), Some(("first.vmsnap".to_owned(), base)), &processes);
    let error = SnapshotError::Base("first.vmsnap".to_owned());
    assert_eq!(read(&second, None).unwrap_err(), error);
    assert_eq!(read(&second, read(&other, None).ok()).unwrap_err(), error);
    assert!(read(&second, read(&first, None).ok()).is_ok());
}

#[test]
fn damage_is_an_error() {
    let mut random = Random(6);
    let processes: Vec<Process> = (0..3).map(|pid| process(&mut random, pid, 9000)).collect();
    let bytes = write(header(9000, true), None, &processes);
    for at in 0..bytes.len() {
        let read = |bytes: &[u8]| Snapshot::read(bytes, None, Limits::default());
        assert!(read(&bytes[..at]).is_err(), "cut at {at}");
        let mut flipped = bytes.clone();
        flipped[at] ^= 4;
        assert!(read(&flipped).is_err(), "flipped at {at}");
    }
    let few = Limits { rows: 5, ..Limits::default() };
    assert!(Snapshot::read(&bytes, None, few).is_err());
}
