//! Names of files, for bash, which offers them only in the place of other words.

use super::candidate::Candidate;
use vmatlas::words;

/// The most entries of a directory to read.
const MAX_ENTRIES: usize = 10_000;

/// The files of the working directory whose name begins with `typed`.
pub(super) fn beginning_with(prefix: &str, typed: &str) -> Vec<Candidate> {
    if typed.contains('/') {
        return Vec::new();
    }
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten().take(MAX_ENTRIES);
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let is_hidden = name.starts_with('.') && !typed.starts_with('.');
            // A name that commands a terminal is not offered, and one like an option means that.
            let is_offered = words::printable(name.as_bytes()) == name && !name.starts_with('-');
            if is_hidden || !is_offered || !name.starts_with(typed) {
                return None;
            }
            let is_directory = entry.path().is_dir();
            Some(if is_directory { name + "/" } else { name })
        })
        .collect();
    names.sort_unstable();
    let candidate = |name: String| {
        let goes_on = name.ends_with('/');
        Candidate { goes_on, ..Candidate::new(prefix, name, "") }
    };
    names.into_iter().map(candidate).collect()
}
