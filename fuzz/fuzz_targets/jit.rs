//! Fuzzes perf maps and jitdumps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_object::{Budget, jit::JitMap};

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let (mut map, errors) = JitMap::parse_perf_map(bytes, &Budget::default());
    assert!(errors.len() <= 101, "errors are bounded");
    assert!(map.len() <= bytes.split(|&b| b == b'\n').count(), "at most one from each line");
    all_found(&map);
    let until = bytes.last().map(|&last| u64::from(last));
    for until in [None, until] {
        let (dump, errors) = JitMap::parse_jitdump(bytes, until, &Budget::default());
        assert!(errors.len() <= 101, "errors are bounded");
        all_found(&dump);
        map.extend(dump);
    }
    all_found(&map);
}

/// Every symbol found for an address covers the address.
fn all_found(map: &JitMap) {
    let mut address = 0;
    for step in 0..64 {
        if let Some(code) = map.find(address) {
            assert_eq!(code.start.checked_add(code.offset), Some(address));
        }
        address = if step % 2 == 0 { 1 << (step / 2) } else { u64::MAX >> step };
    }
}
