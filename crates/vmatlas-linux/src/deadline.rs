//! Work that a hostile file system could hold up for ever.
//!
//! A file of a process may lie on a file system whose server never answers (FUSE, NFS). A call
//! that waits for it cannot be taken back, so it is made in a thread that can be left behind.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Does `work` in a thread of its own and waits at most `limit` for it.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    within_each(limit, 1, move |send| send(work())).pop()
}

/// Does `work`, which hands over up to `count` results one by one, and gives those that came
/// within `limit`.
pub(crate) fn within_each<T: Send + 'static>(
    limit: Duration,
    count: usize,
    work: impl FnOnce(&dyn Fn(T)) + Send + 'static,
) -> Vec<T> {
    let end = Instant::now() + limit;
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("vmatlas-files".to_owned());
    // Nobody may be left to take a late result.
    let spawned = thread.spawn(move || work(&|result| drop(sender.send(result))));
    let mut results = Vec::new();
    while spawned.is_ok() && results.len() < count {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(result) => results.push(result),
            Err(_) => break,
        }
    }
    results
}
