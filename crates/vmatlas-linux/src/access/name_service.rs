//! Users that are not in /etc/passwd, from the name service (nsswitch.conf(5)) by getent(1).
//!
//! A module of the name service may ask a server and wait for it, so another process calls it.

use super::login::Entry;
use crate::deadline::within;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(5);
/// The most bytes of an answer that are read.
const MAX_ANSWER: u64 = 1 << 16;

/// The entry of the user with this name or number.
pub(super) fn user(key: &str) -> Option<Entry> {
    let answer = getent("passwd", key)?;
    let entry = Entry::parse(answer.lines().next()?)?;
    let is_it = entry.name.eq_ignore_ascii_case(key) || entry.uid.to_string() == key;
    is_it.then_some(entry)
}

/// The supplementary groups that a login gives a user.
pub(super) fn groups(name: &str) -> Vec<u32> {
    let answer = getent("initgroups", name).unwrap_or_default();
    answer.split_whitespace().skip(1).map_while(|gid| gid.parse().ok()).collect()
}

fn getent(database: &str, key: &str) -> Option<String> {
    let mut command = Command::new("getent");
    command.args(["--", database, key]).stdin(Stdio::null()).stderr(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).spawn().ok()?;
    let stdout = child.stdout.take();
    let answer = within(LIMIT, move || {
        let mut answer = String::new();
        stdout?.take(MAX_ANSWER).read_to_string(&mut answer).ok().map(|_| answer)
    });
    // It has ended, its answer is too long, or it waits.
    let _ = child.kill();
    let _ = child.wait();
    answer.flatten()
}
