//! Fuzzes the function table of Go programs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_object::pclntab::Pclntab;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let text = bytes.len() as u64;
    let Ok(table) = Pclntab::parse(bytes, text) else { return };
    for address in (0..64).map(|bit| 1 << bit).chain(text..text + 64).chain([0, u64::MAX]) {
        if let Ok(Some(function)) = table.find(bytes, address) {
            assert!(function.start <= address || function.start > u64::MAX / 2);
        }
    }
}
