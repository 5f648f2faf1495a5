//! Functions of the C library that send signals.

/// A function's name without the prefixes of the C library's internal names and the version of a
/// symbol.
pub(crate) fn plain(name: &str) -> &str {
    let name = name.split('@').next().unwrap_or_default();
    name.trim_start_matches("__").trim_start_matches("GI_").trim_start_matches("__")
}

/// Whether a function sends a signal to a process.
pub(crate) fn sends_signal(name: &str) -> bool {
    ["kill", "raise", "gsignal", "pthread_kill", "tgkill", "sigqueue"].contains(&plain(name))
        || name.starts_with("__pthread_kill_")
}
