//! The answers of security modules to a process that reads another.
//!
//! In Linux 6.18, `ptrace_access_check` is a hook of capability (modelled in
//! `rule.rs`), yama (attach only), landlock, selinux, smack, apparmor and bpf.
use std::fs;
use std::path::Path;

use super::credentials::Credentials;

/// A reader outside of every Landlock domain passes. For a reader inside, it is unknown whether the
/// target is inside too.
pub(super) fn landlock(reader: &Credentials) -> Option<bool> {
    let absent =
        active().is_some_and(|list| !list.trim_end().split(',').any(|name| name == "landlock"));
    (absent || reader.landlocked == Some(false)).then_some(true)
}

/// SELinux, Smack and AppArmor: `Some(true)` if none of them restricts this target.
pub(super) fn others(target: &Path, reader_is_caller: bool) -> Option<bool> {
    let unconfined = |path: &Path| {
        let label = ["attr/apparmor/current", "attr/current"]
            .iter()
            .find_map(|file| fs::read_to_string(path.join(file)).ok());
        label.is_some_and(|label| label.trim_end() == "unconfined")
    };
    // A plain login is unconfined.
    let reader_unconfined = || !reader_is_caller || unconfined(Path::new("/proc/thread-self"));
    let passes = (!is_active("selinux") || read("/sys/fs/selinux/enforce") == "0")
        && !is_active("smack")
        && (!is_active("apparmor") || (unconfined(target) && reader_unconfined()));
    passes.then_some(true)
}

/// The active modules, if securityfs is mounted.
fn active() -> Option<String> {
    fs::read_to_string("/sys/kernel/security/lsm").ok()
}

/// Whether a module is active, from its other interfaces if securityfs is not mounted.
fn is_active(module: &str) -> bool {
    match active() {
        Some(list) => list.trim_end().split(',').any(|name| name == module),
        None if module == "apparmor" => read("/sys/module/apparmor/parameters/enabled") == "Y",
        None => read("/proc/filesystems").contains(&format!("{module}fs")),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}
