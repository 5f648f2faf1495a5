//! Fuzzes the reader of core dumps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_explain::coredump::CoreDump;
use vmatlas_object::Memory as _;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let Ok(core) = CoreDump::read(bytes) else { return };
    let maps = core.maps();
    assert!(maps.is_ordered());
    assert!(core.warnings().len() < 20, "warnings are bounded");
    // A program header has at least 32 bytes, a file mapping 13; each may split other rows.
    assert!(maps.len() <= 3 * (bytes.len() / 13 + 1), "rows are bounded");
    vmatlas_fuzz::find_is_a_scan(maps);
    let (crash, facts) = (core.crash(), core.facts());
    assert_eq!(crash.maps.len(), maps.len());
    assert_eq!(facts.threads.len(), core.threads().len());
    assert!(facts.images.len() <= maps.len());
    for row in maps.iter() {
        let held = core.dumped(row.range);
        assert!(held.start == row.range.start && held.end <= row.range.end);
        assert!(held.size() <= bytes.len() as u64);
        let mut some = [0; 64];
        let count = core.read(row.range.start, &mut some);
        assert!(count as u64 >= held.size().min(64));
        if core.image_of(&row).is_some() {
            assert!(!row.name.is_empty());
        }
    }
}
