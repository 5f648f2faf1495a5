//! Fuzzes strace logs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_fuzz as laws;
use vmatlas_maps::{KernelVersion, TextFormat};
use vmatlas_recording::strace::{Line, Reader, Replay, Replayed, looks_like_log};
use vmatlas_space::KernelProfile;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    looks_like_log(bytes);
    for line in bytes.split(|&b| b == b'\n') {
        if let Err(error) = Line::parse(line) {
            assert!((1..=line.len() + 1).contains(&error.column), "{error}");
        }
    }
    assert_eq!(entries(bytes, bytes.len().max(1)), entries(bytes, 7));
    let log = replayed(bytes);
    assert!(log.warnings.len() <= 402, "warnings are bounded");
    for process in &log.processes {
        assert!(process.missing.len() <= 101, "missing facts are bounded");
        // The rows of a log are rows that a kernel could show.
        let maps = process.space.memory.maps();
        assert!(maps.is_ordered());
        let text = maps.render(TextFormat::default(), None);
        assert_eq!(text, process.space.memory.render());
        laws::find_is_a_scan(&maps);
        // Every byte has exactly one origin, whose task and stack exist.
        for row in maps.iter() {
            let mut from = row.range.start;
            for (range, origin) in process.space.origins_of(row.range) {
                assert!(range.start == from && range.end > from && range.end <= row.range.end);
                from = range.end;
                assert!(origin.task.index() < log.makers.tasks.len());
                assert_eq!(log.makers.frames_of(origin.stack).count() == 0, origin.stack.is_none());
            }
            assert_eq!(from, row.range.end);
        }
    }
}

/// The entries that a reader parses from a log in pieces.
fn entries(bytes: &[u8], size: usize) -> Vec<String> {
    let mut reader = Reader::default();
    let mut entries = Vec::new();
    for piece in bytes.chunks(size) {
        reader.push(piece, &mut |entry| entries.push(format!("{entry:?}")));
    }
    reader.finish(&mut |entry| entries.push(format!("{entry:?}")));
    entries
}

fn replayed(bytes: &[u8]) -> Replayed {
    let mut nothing = ();
    let mut replay = Replay::new(KernelProfile::of(KernelVersion::new(6, 18, 0)), &mut nothing);
    replay.push(bytes);
    replay.finish()
}
