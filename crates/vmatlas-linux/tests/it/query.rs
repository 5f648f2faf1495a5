//! Compares queries of single addresses with the text.

use crate::child::{Child, FileChild, skipped, wait_until};
use crate::live::zoo;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use vmatlas_linux::files::{Files, Now};
use vmatlas_linux::{Empty, Error, PointQuery, Process, ProcessId, Source, Which};
use vmatlas_maps::{Kind, Mapping, Maps};

/// Queries every row and every gap in both modes.
fn check(process: &Process, maps: &Maps) {
    let mut query = PointQuery::open(process).unwrap();
    let mut addresses = vec![0, 1, u64::MAX, 1 << 47, (1 << 63) - 1, 1 << 63];
    for row in maps.iter() {
        let (start, end) = (row.range.start, row.range.end);
        addresses.extend([start - 1, start, start + 1, start + (end - start) / 2, end - 1, end]);
    }
    for address in addresses {
        let place = maps.find(address);
        for (which, index) in [
            (Which::Covering, place.mapping),
            (Which::CoveringOrNext, place.mapping.or(place.after)),
        ] {
            let expected = index.map(|index| maps.get(index).unwrap());
            let found = query.find(address, which).unwrap().map(|row| (row, escaped(row.name)));
            let found = found.as_ref().map(|(row, name)| Mapping { name, ..*row });
            assert_eq!(found, expected, "{address:x} {which:?}");
        }
        let name = query.raw_name(address).map(escaped);
        match place.mapping.map(|index| maps.get(index).unwrap()) {
            // Only the text has these.
            Some(row) if row.kind() == Kind::Vsyscall || row.name.len() > 4095 => {
                assert_eq!(name, None);
            }
            row => assert_eq!(name.as_deref(), row.map(|row| row.name)),
        }
    }
}

fn escaped(name: &[u8]) -> Vec<u8> {
    name.split(|&b| b == b'\n').collect::<Vec<_>>().join(br"\012".as_slice())
}

#[test]
fn every_address_of_a_zoo_answers_as_the_text() {
    let (child, dir) = zoo();
    let process = child.process();
    let maps = process.rows(Source::Maps).unwrap().maps;
    if PointQuery::open(&process).unwrap().raw_name(maps.get(0).unwrap().range.start).is_none() {
        skipped("PROCMAP_QUERY (Linux 6.11)");
        return;
    }
    check(&process, &maps);
    // Line feeds are distinguished from the four characters.
    let mut query = PointQuery::open(&process).unwrap();
    for (shown, name) in [
        (br"new\012line".as_slice(), b"new\nline".as_slice()),
        (br"\012", br"\012"),
        (br"lit\012eral", br"lit\012eral"),
        (br"both\012\012", b"both\n\\012"),
        (br"gone\012and \012 (deleted)", b"gone\nand \\012 (deleted)"),
    ] {
        let path = |name: &[u8]| [dir.path().as_os_str().as_encoded_bytes(), b"/", name].concat();
        let mut rows = maps.iter().filter(|row| row.name == path(shown));
        let found: Vec<_> =
            rows.by_ref().map(|row| query.raw_name(row.range.start).unwrap().to_vec()).collect();
        assert!(found.contains(&path(name)), "{found:?}");
    }
}

#[test]
fn another_program_under_an_open_query() {
    let mut child = FileChild::start();
    let process = child.process();
    let mut query = PointQuery::open(&process).unwrap();
    let before = process.rows(Source::Maps).unwrap().maps;
    let start = before.get(0).unwrap().range.start;
    assert!(query.find(start, Which::Covering).unwrap().is_some());
    child.send("exec", &[OsStr::new("cat")]);
    wait_until("it executes cat", || process.comm().unwrap() == b"cat");
    for which in [Which::Covering, Which::CoveringOrNext] {
        let error = query.find(start, which).unwrap_err();
        assert!(matches!(error, Error::Vanished { .. }), "{error:?}");
    }
    assert_eq!(query.raw_name(start), None);
    // Waits until the process has executed cat.
    wait_until("cat is up", || {
        process.rows(Source::Maps).unwrap().maps.iter().any(|row| row.name.ends_with(b"/cat"))
    });
}

/// Copies `files` of /proc/PID to `dir`.
fn save(child: &Child, dir: &Path, files: &[&str]) -> Process {
    let saved = dir.join(child.pid().to_string());
    fs::create_dir_all(&saved).unwrap();
    for file in files {
        fs::write(saved.join(file), fs::read(format!("/proc/{}/{file}", child.pid())).unwrap())
            .unwrap();
    }
    Process::open(dir, ProcessId { pid: child.pid(), tid: None }).unwrap()
}

#[test]
fn a_copy_of_a_proc_tree() {
    let (child, _dir) = zoo();
    let live = child.process().rows(Source::Maps).unwrap().maps;
    let copy = tempfile::tempdir().unwrap();
    let all = ["maps", "smaps", "smaps_rollup", "stat", "statm", "comm", "mountinfo"];
    for files in [["maps"].as_slice(), &["maps", "stat"], &all] {
        let dir = copy.path().join(files.len().to_string());
        let saved = save(&child, &dir, files);
        // The links of the tree refer to files of this machine.
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, dir.join(child.pid().to_string()).join(name)).unwrap();
        };
        link("/", "root");
        link(&format!("/proc/{}/map_files", child.pid()), "map_files");

        let snapshot = saved.rows(Source::Maps).unwrap();
        assert!(snapshot.maps.iter().eq(live.iter()));
        assert_eq!((snapshot.maps.warnings(), snapshot.empty), ([].as_slice(), None));
        let mut query = PointQuery::open(&saved).unwrap();
        for row in live.iter().step_by(7) {
            assert_eq!(query.find(row.range.start, Which::Covering).unwrap(), Some(row));
            assert_eq!(query.raw_name(row.range.start), None);
        }
        assert_eq!(query.find(0, Which::Covering).unwrap(), None);
        assert_eq!(query.find(0, Which::CoveringOrNext).unwrap(), live.get(0));

        let files = Files::read(&saved).unwrap();
        let truths = files.truths(&saved, &snapshot.maps);
        for (index, row) in live.iter().enumerate() {
            let truth = truths.get(index);
            assert_eq!(truth.is_some(), row.file_name().is_some());
            assert!(truth.is_none_or(|truth| !truth.certain && truth.now == Now::Unknown));
            assert!(files.open(&row, truth).is_none());
        }
    }
    let saved = save(&child, &copy.path().join("7"), &all);
    assert!(saved.rows(Source::Smaps).unwrap().maps.has_fields());
    assert_eq!(saved.rows(Source::Rollup).unwrap().maps.len(), 1);
    assert_eq!(saved.comm().unwrap(), b"zoo");
    let files = Files::read(&saved).unwrap();
    assert!(files.mounts().holding(live.get(0).unwrap().device, b"/x").is_some());

    // Without rows, the reason is unknown.
    let empty = save(&child, &copy.path().join("empty"), &[]);
    fs::write(copy.path().join(format!("empty/{}/maps", child.pid())), "").unwrap();
    assert_eq!(empty.rows(Source::Maps).unwrap().empty, Some(Empty::Unmapped));
    let error = save(&child, &copy.path().join("none"), &[]).rows(Source::Maps).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}
