//! Work that a hostile file system could hold up for ever.
//!
//! A file of a process may lie on a file system whose server never answers (FUSE, NFS). A call
//! that waits for it cannot be taken back, so it is made in a thread that can be left behind.

use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// Does `work` in a thread of its own and waits at most `limit` for it.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    all_within(limit, [move |done: &Sender<T>| drop(done.send(work()))]).pop()
}

/// Does each of `jobs` in a thread of its own, which may hand over any number of results, and
/// gives the results that came within `limit`.
pub(crate) fn all_within<T: Send + 'static>(
    limit: Duration,
    jobs: impl IntoIterator<Item = impl FnOnce(&Sender<T>) + Send + 'static>,
) -> Vec<T> {
    let end = Instant::now() + limit;
    let (sender, receiver) = channel();
    for job in jobs {
        let sender = sender.clone();
        // Without a thread its results are missing, as if they came too late.
        let thread = std::thread::Builder::new().name("vmatlas-files".to_owned());
        let _ = thread.spawn(move || job(&sender));
    }
    drop(sender);
    let mut results = Vec::new();
    while let Ok(result) = receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
        results.push(result);
    }
    results
}
