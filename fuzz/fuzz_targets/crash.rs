//! Fuzzes the readers of crash logs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmatlas_explain::crash::{apport_core, read_log};

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| check(bytes)));

fn check(bytes: &[u8]) {
    let crashes = read_log(bytes);
    assert!(crashes.len() <= bytes.len() / 8, "a crash takes at least 8 bytes of log");
    for crash in &crashes {
        assert!(crash.frames.len() <= bytes.len(), "a frame takes at least one byte of log");
        assert!(crash.registers.len() <= 128);
        if let Some((name, range)) = &crash.ip_mapping {
            assert!(range.start <= range.end);
            assert!(
                bytes.windows(name.len().max(1)).any(|part| part == name.as_slice())
                    || name.is_empty()
            );
        }
        if let Some((start, code)) = &crash.code_bytes {
            let end = start.checked_add(code.len() as u64);
            assert!(crash.ip.is_none() || end.is_some() || *start > u64::MAX / 2);
        }
    }
    if let Some(core) = apport_core(bytes) {
        core.for_each(drop);
    }
}
