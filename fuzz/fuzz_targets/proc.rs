//! Fuzzes the texts below /proc/PID but maps and smaps, and those of the system that are parsed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| vmatlas_fuzz::bounded(|| {
    vmatlas_linux::fuzzing::read_proc_texts(bytes)
}));
