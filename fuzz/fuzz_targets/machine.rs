//! Fuzzes snapshots of a machine: two files with any contents, the second with the first as its
//! base.
//!
//! The bytes are contents, a column after the other, framed here: a file has a checksum. A part that
//! is read can be written again, and is then the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_recording::machine::{Limits, Snapshot, SnapshotError};

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

/// The mark between columns, and between the two files. It survives inserted and removed bytes.
const COLUMN: &[u8] = b"COL";
const FILE: &[u8] = b"FILE";
/// The columns of a file that keeps one field of each row.
const COLUMNS: usize = 21;

const LIMITS: Limits = Limits { rows: 50_000, fields: 50_000, processes: 5000 };

fn check(bytes: &[u8]) {
    let (first, second) = match bytes.windows(FILE.len()).position(|window| window == FILE) {
        Some(at) => (&bytes[..at], Some(&bytes[at + FILE.len()..])),
        None => (bytes, None),
    };
    // The bytes as a file, too.
    let _ = Snapshot::read(bytes, None, LIMITS);
    let Ok(base) = Snapshot::read(&framed(first, None), None, LIMITS) else { return };
    sound(&base);
    let Some(second) = second else { return };
    let file = framed(second, Some(base.checksum));
    assert_eq!(
        Snapshot::read(&file, None, LIMITS).err(),
        Some(SnapshotError::Base("base".to_owned()))
    );
    if let Ok(snapshot) = Snapshot::read(&file, Some(base), LIMITS) {
        sound(&snapshot);
    }
}

fn number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn string(out: &mut Vec<u8>, string: &[u8]) {
    number(out, string.len());
    out.extend_from_slice(string);
}

/// A file with these columns, by docs/snapshots.md.
fn framed(mut bytes: &[u8], base: Option<u32>) -> Vec<u8> {
    let mut header = vec![100];
    string(&mut header, &[0; 16]);
    string(&mut header, b"6.18");
    header.extend_from_slice(&[1, 1]);
    string(&mut header, b"Rss");
    header.extend_from_slice(&[0, u8::from(base.is_some())]);
    if let Some(base) = base {
        string(&mut header, b"base");
        number(&mut header, base as usize);
    }
    let mut contents = Vec::new();
    for _ in 0..COLUMNS {
        let end = bytes.windows(COLUMN.len()).position(|window| window == COLUMN);
        string(&mut contents, &bytes[..end.unwrap_or(bytes.len())]);
        bytes = end.map_or(&[], |end| &bytes[end + COLUMN.len()..]);
    }
    let mut out = b"\x89vmatlas\r\n\x1a\nall\x01".to_vec();
    string(&mut out, &header);
    number(&mut out, contents.len());
    out.push(0);
    out.extend_from_slice(&contents);
    let checksum = crc32fast::hash(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn sound(snapshot: &Snapshot) {
    assert!(snapshot.processes.len() <= LIMITS.processes);
    let rows: usize = snapshot.processes.iter().map(|process| process.len()).sum();
    assert!(rows <= LIMITS.rows);
    for (place, process) in snapshot.processes.iter().enumerate().take(8) {
        let maps = snapshot.maps(place);
        assert_eq!(maps.len(), process.len());
        for (range, part) in snapshot.labels(place) {
            assert!(range.start <= range.end);
            snapshot.string(part.text);
        }
    }
}
