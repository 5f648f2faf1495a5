//! Ways to parsers for the fuzz targets. Only with `--cfg fuzzing`, which `cargo xtask fuzz` sets; no
//! part of the interface.

#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
pub use crate::record::perf::fuzzing::{Fields, IDS, Outcome, REGISTERS, fields_of, read_records};

use crate::facts::{auxv, stack_limit, starts, threads};
use crate::mounts::Mounts;
use crate::process::{TaskState, page_count};
use vmatlas_maps::Device;

/// Reads bytes as each of the texts below /proc/PID but maps and smaps, and as those of the system
/// that are parsed here.
pub fn read_proc_texts(bytes: &[u8]) {
    let (auxv, _) = auxv(bytes);
    assert!(auxv.entries.len() <= bytes.len() / 8, "an entry takes at least 8 bytes");
    let (start_brk, start_stack) = starts(bytes);
    assert!(start_brk != Some(0) && start_stack != Some(0));
    stack_limit(bytes);
    let state = TaskState::parse(bytes);
    assert!(state.is_none() || bytes.contains(&b')'));
    for field in 0..2 {
        page_count(bytes, field);
    }
    let (stack, instruction) = threads::pointers(bytes);
    assert!(stack != Some(0) && instruction != Some(0));
    read_mounts(bytes);
    let text = String::from_utf8_lossy(bytes);
    crate::access::gather::read_texts(&text);
    crate::access::login::read_texts(&text);
    #[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
    {
        crate::record::ptrace::read_texts(bytes);
        crate::record::perf::fuzzing::read_texts(&text);
    }
}

fn read_mounts(bytes: &[u8]) {
    let mounts = Mounts::parse(bytes);
    let device = Device::new(0, 44);
    let path = bytes.get(..16).unwrap_or_default();
    let on_the_way = mounts.on_the_way(path);
    assert!(on_the_way.len() <= bytes.len() / 8, "a mount takes at least 8 bytes");
    assert!(on_the_way.is_sorted_by_key(|mount| mount.point.len()));
    if let Some(mount) = mounts.holding(device, path) {
        assert_eq!(mount.device, device);
        assert_eq!(mounts.of_device(device).is_some(), true);
        mount.is_local();
        assert!(mounts.by_id(mount.id).is_some());
    }
}
