//! A log of strace that is one file for each thread.

use std::path::{Path, PathBuf};

/// The files of `strace -ff -o PATH`: `PATH.PID`.
pub(crate) fn log_parts(path: &str) -> Vec<(u32, PathBuf)> {
    let path = Path::new(path);
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let entries = std::fs::read_dir(parent.unwrap_or(Path::new("."))).into_iter().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix(name)?.strip_prefix('.')?.parse();
            Some((number.ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found
}
