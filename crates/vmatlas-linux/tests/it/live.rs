//! Reads all rows of live processes: the bytes equal the kernel's, and an inconsistent reading has
//! a warning.

use crate::child::{Child, process, program, skipped, wait_until};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use vmatlas_linux::files::{Files, Now};
use vmatlas_linux::{
    Empty, Error, FactSources, PointQuery, Process, ProcessId, ProcessMemory, Snapshot, Source,
    Which, gather_facts,
};
use vmatlas_maps::{AddressRange, Maps, SmapsField, SmapsValue};
use vmatlas_object::{Budget, Memory as _};

/// The rows of a process that does not change them equal the kernel's bytes.
fn check_bytes(process: &Process, source: Source, file: &str) -> Snapshot {
    let path = format!("/proc/{}/{file}", process.id().to_string().replace('/', "/task/"));
    // Sharing by other processes changes the sizes of smaps.
    let mut difference = String::new();
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(2));
        let before = fs::read(&path).unwrap();
        let snapshot = process.rows(source).unwrap();
        if before != fs::read(&path).unwrap() {
            continue;
        }
        let maps = &snapshot.maps;
        // The single row of a rollup may be longer than any other row.
        assert!(
            maps.warnings().is_empty() || source == Source::Rollup,
            "{path}: {:?}",
            maps.warnings()
        );
        let rendered = maps.render(maps.format(), None);
        let pairs = || before.split(|&b| b == b'\n').zip(rendered.split(|&b| b == b'\n'));
        if let Some((kernel, ours)) = pairs().find(|(kernel, ours)| kernel != ours) {
            difference = format!("{}\n{}", kernel.escape_ascii(), ours.escape_ascii());
            continue;
        }
        assert_eq!(rendered.len(), before.len());
        return snapshot;
    }
    panic!("{path}:\n{difference}");
}

fn kib(maps: &Maps, name: &str) -> u64 {
    let of_row =
        |index| maps.fields(index).find(|field: &SmapsField<'_>| field.name == name.as_bytes());
    let kib = |field: SmapsField<'_>| match field.value {
        SmapsValue::Kib(kib) => kib,
        other => panic!("{name}: {other:?}"),
    };
    (0..maps.len()).filter_map(of_row).map(kib).sum()
}

fn check_all(process: &Process) -> Snapshot {
    let maps = check_bytes(process, Source::Maps, "maps");
    let smaps = check_bytes(process, Source::Smaps, "smaps");
    assert!(maps.maps.iter().eq(smaps.maps.iter()), "maps and smaps have the same rows");
    let rollup = check_bytes(process, Source::Rollup, "smaps_rollup").maps;
    assert_eq!((rollup.len(), rollup.get(0).unwrap().name), (1, b"[rollup]".as_slice()));
    assert_eq!(kib(&rollup, "Rss"), kib(&smaps.maps, "Rss"));
    assert_eq!((maps.empty, maps.thread), (None, None));
    maps
}

/// A zoo process with one mapping of every kind, in a temporary directory.
pub(crate) fn zoo() -> (Child, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Child::start(Command::new(program("zoo")).arg(dir.path()));
    for refused in child.until_ready() {
        eprintln!("the zoo has {refused}");
    }
    (child, dir)
}

#[test]
fn every_sort_of_mapping_is_the_kernels_bytes() {
    let (child, dir) = zoo();
    let snapshot = check_all(&child.process());
    let names: Vec<_> = snapshot.maps.iter().map(|row| row.name).collect();
    let dir = dir.path().as_os_str().as_encoded_bytes();
    let file = |name: &[u8]| [dir, b"/", name].concat();
    for name in [
        b"new\\012line".as_slice(),
        b"both\\012\\012",
        b"tab\tin",
        b"cr at end\r",
        b"esc\x1b[31mred",
        b"   ",
        b"bytes\xff\xfe",
        b"[heap]",
        b"fake (deleted)",
        b"gone (deleted) (deleted)",
        b"after",
        b"replaced (deleted)",
        b"\\012".repeat(255).as_slice(),
    ] {
        assert!(names.contains(&file(name).as_slice()), "{}", name.escape_ascii());
    }
    assert!(names.iter().any(|name| name.len() > 4900 && name.ends_with(b"/deep")));
    let kinds: std::collections::BTreeSet<_> =
        snapshot.maps.iter().map(|row| row.kind().word()).collect();
    for kind in [
        "anonymous",
        "file",
        "heap",
        "stack",
        "memfd",
        "sysv-shm",
        "shared-anonymous",
        "device",
        "vdso",
    ] {
        assert!(kinds.contains(kind), "{kind} in {kinds:?}");
    }
    let heaps = names.iter().filter(|name| **name == b"[heap]").count();
    assert!(heaps >= 3, "the heap is in pieces");
    // Files with these names are not such mappings.
    let one = |kind: &str| snapshot.maps.iter().filter(|row| row.kind().word() == kind).count();
    assert_eq!((one("stack"), one("heap"), one("vdso")), (1, heaps, 1));
    // Its threads have the same rows.
    let process = child.process();
    let truths = |process: &Process| {
        let truths = Files::read(process).unwrap().truths(process, &snapshot.maps);
        (0..snapshot.maps.len()).map(|row| truths.get(row).cloned()).collect::<Vec<_>>()
    };
    for tid in process.threads().unwrap() {
        let id = ProcessId { pid: child.pid(), tid: Some(tid) };
        let thread = Process::open(Path::new("/proc"), id).unwrap();
        let of_thread = check_bytes(&thread, Source::Maps, "maps");
        assert!(of_thread.maps.iter().eq(snapshot.maps.iter()));
        assert_eq!(truths(&thread), truths(&process));
    }
    assert_eq!(process.threads().unwrap().len(), 3);
}

/// Each prints a line when it is ready.
#[test]
fn real_programs_are_the_kernels_bytes() {
    let java = tempfile::tempdir().unwrap();
    let source = java.path().join("Up.java");
    let main = "public static void main(String[] a) throws Exception {
        System.out.println(\"up\"); Thread.sleep(100000); }";
    fs::write(&source, format!("class Up {{ {main} }}")).unwrap();
    let source = source.to_str().unwrap();
    let programs: [&[&str]; 4] = [
        &["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", source],
        &["python3", "-c", "import ssl, time; print('up', flush=True); time.sleep(100)"],
        &["node", "-e", "console.log('up'); setTimeout(() => {}, 100000)"],
        &["bash", "-c", "echo up; read"],
    ];
    let children: Vec<_> = programs
        .into_iter()
        .filter_map(|words| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]);
            match Command::new(words[0]).arg("--version").output() {
                Ok(output) if output.status.success() => Some(Child::start(&mut command)),
                _ => {
                    skipped(&format!("{} is not installed", words[0]));
                    None
                }
            }
        })
        .collect();
    for mut child in children {
        assert_eq!(child.line(), "up");
        child.stop();
        check_all(&child.process());
    }
}

#[test]
fn through_another_thread_where_the_first_has_ended() {
    let (child, thread) = Child::odd("no-leader");
    let tid: u32 = thread.parse().unwrap();
    let process = child.process();
    let snapshot = process.rows(Source::Maps).unwrap();
    assert_eq!((snapshot.thread, snapshot.empty), (Some(tid), None));
    let path = format!("/proc/{}/task/{tid}/maps", child.pid());
    assert_eq!(snapshot.maps.render(snapshot.maps.format(), None), fs::read(path).unwrap());
    assert_eq!(snapshot.maps.warnings(), []);
    // Queries one address too.
    let stack = snapshot.maps.iter().find(|row| row.name == b"[stack]").unwrap();
    let mut query = PointQuery::open(&process).unwrap();
    let found = query.find(stack.range.start, Which::Covering).unwrap();
    assert_eq!(found, Some(stack));
    assert_eq!(query.raw_name(stack.range.start).unwrap(), b"[stack]");
    let files = Files::read(&process).unwrap();
    let truths = files.truths(&process, &snapshot.maps);
    let first = truths.get(0).unwrap();
    assert_eq!((first.certain, first.now), (true, Now::Same));
    assert!(files.open(&snapshot.maps.get(0).unwrap(), Some(first)).is_some());
    // Reads its memory and facts too.
    let memory = ProcessMemory::open(&process, &snapshot.maps, Some(&files)).unwrap();
    let mut magic = [0; 4];
    assert_eq!(memory.read(snapshot.maps.get(0).unwrap().range.start, &mut magic), 4);
    assert_eq!(magic, *b"\x7fELF");
    let (maps, budget) = (&snapshot.maps, &Budget::default());
    let sources =
        FactSources { process: &process, files: None, maps, images: None, budget, deep: false };
    let (facts, _) = gather_facts(sources);
    assert!(facts.auxv.get(6).is_some() && facts.word_size.is_some(), "{facts:?}");
    assert!(facts.threads.iter().any(|thread| thread.tid == tid), "{facts:?}");
    // And the ended thread, by its own id.
    let id = ProcessId { pid: child.pid(), tid: Some(child.pid()) };
    let ended = Process::open(Path::new("/proc"), id).unwrap();
    assert_eq!(ended.rows(Source::Maps).unwrap().empty, Some(Empty::Zombie));
}

#[test]
fn processes_without_rows_say_why() {
    let (_parent, pid) = Child::odd("zombie");
    let zombie = process(pid.parse().unwrap());
    let kernel_thread = process(2);
    for (process, why) in [(&zombie, Empty::Zombie), (&kernel_thread, Empty::KernelThread)] {
        for source in [Source::Maps, Source::Smaps] {
            let snapshot = process.rows(source).unwrap();
            assert_eq!((snapshot.maps.len(), snapshot.empty), (0, Some(why)));
            assert_eq!(snapshot.maps.warnings(), []);
        }
        let mut query = PointQuery::open(process).unwrap();
        assert_eq!(query.find(0x1000, Which::CoveringOrNext).unwrap(), None, "{why}");
    }

    let (_parent, pid) = Child::odd("unmapped");
    let unmapped = process(pid.parse().unwrap());
    let snapshot = unmapped.rows(Source::Maps).unwrap();
    // On x86-64 only the gate page remains, which is not a mapping of the process.
    let vsyscall_only = snapshot.maps.iter().all(|row| row.name == b"[vsyscall]");
    assert!(vsyscall_only && snapshot.maps.warnings().is_empty());
    assert_eq!(snapshot.empty, snapshot.maps.is_empty().then_some(Empty::Unmapped));
    // There are no rows to sum up.
    unmapped.rows(Source::Smaps).unwrap();
}

#[test]
fn a_process_that_is_gone() {
    let (mut child, _) = Child::odd("plain");
    let process = child.process();
    let mut query = PointQuery::open(&process).unwrap();
    child.kill();
    let id = ProcessId { pid: child.pid(), tid: None };
    for source in [Source::Maps, Source::Smaps, Source::Rollup] {
        let error = process.rows(source).unwrap_err();
        assert!(matches!(error, Error::Vanished { .. }), "{error:?}");
    }
    let error = query.find(0x1000, Which::Covering).unwrap_err();
    assert!(matches!(error, Error::Vanished { .. }), "{error:?}");
    for id in [id, ProcessId { pid: std::process::id(), tid: Some(child.pid()) }] {
        let error = Process::open(Path::new("/proc"), id).unwrap_err();
        assert!(matches!(error, Error::NoSuchProcess { .. }), "{error:?}");
    }
    let text = Process::open(Path::new("/proc"), id).unwrap_err().to_string();
    assert_eq!(text, format!("there is no process {id}"));
}

/// Reads a process that executes itself in a loop; each map without a warning must be that of one
/// program.
fn check_exec(mode: &str, time: Duration) {
    let (child, _) = Child::odd(mode);
    let process = child.process();
    let start = Instant::now();
    let (mut whole, mut warned) = (0, 0);
    let mut refused = 0;
    while start.elapsed() < time || whole <= 100 {
        assert!(start.elapsed() < Duration::from_secs(300), "{mode}: {whole} whole only");
        let snapshot = match process.rows(Source::Maps) {
            Ok(snapshot) => snapshot,
            // During execve, access is denied.
            Err(Error::Denied { .. }) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error:?}"),
        };
        if !snapshot.maps.warnings().is_empty() {
            warned += 1;
            continue;
        }
        whole += 1;
        let maps = &snapshot.maps;
        let text = || maps.render(maps.format(), None).escape_ascii().to_string();
        assert_eq!(snapshot.empty, None);
        let has = |name: &[u8]| maps.iter().filter(|row| row.name == name).count();
        // A program that is being set up has only a stack, without a name yet.
        let being_set_up = maps.iter().all(|row| row.name.is_empty() || row.name == b"[vsyscall]");
        assert!(
            being_set_up && maps.len() <= 2 || has(b"[stack]") == 1,
            "{}",
            text().replace("\\n", "\n")
        );
        assert!(has(b"[vdso]") <= 1 && has(b"[vvar]") <= 1, "{}", text().replace("\\n", "\n"));
        assert!(maps.is_ordered());
        if mode == "exec-same" {
            // The stack is above all its rows, so none is missing below.
            let rows = maps.iter().filter(|row| row.name.is_empty()).count();
            assert!(rows <= 160, "{rows}");
        }
    }
    eprintln!("{mode}: {whole} whole, {warned} with a warning, {refused} refused");
}

#[test]
fn programs_executed_while_they_are_read() {
    check_exec("exec", Duration::from_secs(2));
    check_exec("exec-same", Duration::from_secs(2));
}

#[test]
fn mappings_changed_while_they_are_read() {
    let (child, _) = Child::odd("churn");
    let process = child.process();
    let rows = |source| process.rows(source).unwrap().maps;
    wait_until("it has many rows", || rows(Source::Maps).len() > 100);
    let end = Instant::now() + Duration::from_secs(2);
    let (mut whole, mut warned) = (0, 0);
    while Instant::now() < end {
        for source in [Source::Maps, Source::Maps, Source::Maps, Source::Smaps] {
            let maps = &rows(source);
            let text = || maps.render(maps.format(), None).escape_ascii().to_string();
            let has_stack = maps.iter().any(|row| row.name == b"[stack]");
            assert!(maps.len() > 50 && has_stack, "{}", text().replace("\\n", "\n"));
            let overlap = maps
                .iter()
                .zip(maps.iter().skip(1))
                .any(|(row, next)| next.range.start < row.range.end);
            if maps.warnings().is_empty() {
                whole += 1;
                assert!(!overlap);
            } else {
                warned += 1;
            }
        }
    }
    eprintln!("churn: {whole} whole, {warned} with a warning");
    // The stopped process has one consistent state.
    child.stop();
    check_all(&process);
}

/// One or two pages may always be written and executed, each time others. A reading that has none or
/// three never was true; what changed while it was read is named.
#[test]
fn permissions_changed_while_they_are_read() {
    const START: u64 = 0x1000_0000_0000;
    // With 10,000 rows, some change meanwhile, or some hundred; with 300, hardly any. A slow
    // machine needs longer pauses.
    let slower = (0..5).map(|times| (300, 1000 * 10_u64.pow(times)));
    for (pages, pause) in [(10_000, 10_000), (10_000, 1000), (2000, 0)].into_iter().chain(slower) {
        let (child, _) = Child::odd(&format!("marks {pages} {pause}"));
        let process = child.process();
        let all = AddressRange::new(START, START + pages * 4096);
        let mut whole = 0;
        for source in [Source::Maps; 20].into_iter().chain([Source::Smaps; 5]) {
            let snapshot = process.rows(source).unwrap();
            let (maps, changed) = (&snapshot.maps, &snapshot.changed);
            assert!(maps.is_ordered());
            assert!(changed.is_empty() || !maps.warnings().is_empty(), "a note says so");
            assert!(changed.is_sorted_by(|a, b| a.end < b.start), "{changed:x?}");
            let mut end = all.start;
            let mut marks = 0;
            for row in maps.iter().filter(|row| all.contains(row.range.start)) {
                assert_eq!(row.range.start, end, "no page is ever unmapped");
                end = row.range.end;
                let is_marked = row.perms.write() && row.perms.execute();
                let is_other = changed.iter().any(|range| range.overlaps(&row.range));
                marks += u64::from(is_marked && !is_other) * (row.range.size() / 4096);
            }
            assert_eq!(end, all.end);
            assert!(marks <= 2, "{marks} of {pages}");
            if changed.is_empty() {
                assert!(marks >= 1, "{pages} rows, {pause} us: {:?}", maps.warnings());
                whole += 1;
            }
        }
        eprintln!("{pages} rows, a change in {pause} us: {whole} of 25 of one moment");
        if pages == 300 && whole > 0 {
            return;
        }
    }
    panic!("no reading is of one moment, although changes are 10 s apart");
}

/// A mapping that always exists, although a reading may show it nowhere or twice.
#[test]
fn a_mapping_moved_while_it_is_read() {
    let (child, _) = Child::odd("move");
    let process = child.process();
    let start = Instant::now();
    let (mut whole, mut warned) = (0, 0);
    while start.elapsed() < Duration::from_secs(1) || whole == 0 {
        assert!(start.elapsed() < Duration::from_secs(300), "{warned} with a warning");
        let maps = process.rows(Source::Maps).unwrap().maps;
        if maps.warnings().is_empty() {
            whole += 1;
            let moved = maps.iter().filter(|row| row.perms.none() && row.range.size() == 1 << 20);
            assert_eq!(moved.count(), 1);
        } else {
            warned += 1;
        }
    }
    eprintln!("move: {whole} whole, {warned} with a warning");
}

/// A child that ends at any moment during a reading.
#[test]
fn a_process_that_ends_while_it_is_read() {
    for delay in 0..150 {
        let (child, _) = Child::odd("churn");
        let process = child.process();
        let pid = child.pid();
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(delay * 20));
            drop(child);
        });
        loop {
            match process.rows(Source::Maps) {
                Ok(snapshot) if snapshot.empty == Some(Empty::Zombie) => {}
                Ok(snapshot) => assert!(
                    snapshot.maps.iter().any(|row| row.name == b"[stack]")
                        || !snapshot.maps.warnings().is_empty(),
                    "{pid}: {snapshot:?}"
                ),
                Err(Error::Vanished { .. }) => break,
                Err(error) => panic!("{error:?}"),
            }
        }
        killer.join().unwrap();
    }
}

#[test]
fn named() {
    let (child, _) = Child::odd("plain");
    let found = Process::named(Path::new("/proc"), "odd_process").unwrap();
    assert!(found.contains(&child.pid()), "{found:?}");
    assert_eq!(child.process().comm().unwrap(), b"odd_process");
}
