//! Work that a hostile file system could hold up for ever.
//!
//! A file of a process may lie on a file system whose server never answers (FUSE, NFS). A call
//! that waits for it cannot be taken back, so it is made in a thread that can be left behind.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Does `work` in a thread of its own and waits at most `limit` for it.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    all_within(limit, [move |results: &Results<T>| results.add(work())]).pop()
}

/// What threads have found so far.
pub(crate) struct Results<T>(Arc<Mutex<Vec<T>>>);

impl<T> Results<T> {
    pub(crate) fn add(&self, result: T) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }
}

/// Does each of `jobs` in a thread of its own, which may add any number of results, and gives
/// the results that came within `limit`.
pub(crate) fn all_within<T: Send + 'static>(
    limit: Duration,
    jobs: impl IntoIterator<Item = impl FnOnce(&Results<T>) + Send + 'static>,
) -> Vec<T> {
    let end = Instant::now() + limit;
    let results = Arc::new(Mutex::new(Vec::new()));
    let (running, ended) = channel::<()>();
    for job in jobs {
        let (running, results) = (running.clone(), Results(Arc::clone(&results)));
        // Without a thread its results are missing, as if they came too late.
        let thread = std::thread::Builder::new().name("vmatlas-files".to_owned());
        let _ = thread.spawn(move || {
            job(&results);
            drop(running);
        });
    }
    drop(running);
    // Nothing is sent: it is over when no thread is left that could, or when time is up.
    let _ = ended.recv_timeout(end.saturating_duration_since(Instant::now()));
    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *results)
}
