//! Time limits for work that a hostile file system could block for ever.
//!
//! A file of a process may be on a file system whose server never answers (FUSE, NFS). A blocked
//! call cannot be cancelled, so it runs in a thread that can be abandoned.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Does `work` in a new thread and waits at most `limit`; `None` if it takes longer.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    all_within(limit, [move |results: &Results<T>| results.add(work())]).pop()
}

/// The results of threads, and the time of the last one.
pub struct Results<T>(Arc<Mutex<(Vec<T>, Instant)>>);

impl<T> Results<T> {
    /// Adds a result and restarts the time limit.
    pub fn add(&self, result: T) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.0.push(result);
        found.1 = Instant::now();
    }
}

/// Maximum total time, as a multiple of the limit, while results keep arriving.
const MAX_WAITS: u32 = 5;

/// Runs each of `jobs` in its own thread, which may add any number of results. Returns the results
/// when all jobs have ended or no result arrived for `limit`, which allows for a busy machine.
/// Waits at most five times `limit`.
pub fn all_within<T: Send + 'static>(
    limit: Duration,
    jobs: impl IntoIterator<Item = impl FnOnce(&Results<T>) + Send + 'static>,
) -> Vec<T> {
    let start = Instant::now();
    let found = Arc::new(Mutex::new((Vec::new(), start)));
    let (running, ended) = channel::<()>();
    for job in jobs {
        let (running, results) = (running.clone(), Results(Arc::clone(&found)));
        // If a thread cannot be started, its results are missing, as if they were late.
        let thread = std::thread::Builder::new().name("vmatlas-files".to_owned());
        let _ = thread.spawn(move || {
            job(&results);
            drop(running);
        });
    }
    drop(running);
    let locked = || found.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let end = (locked().1 + limit).min(start + MAX_WAITS * limit);
        let left = end.saturating_duration_since(Instant::now());
        // The channel carries no data: it closes when all threads have ended.
        let is_late = ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout);
        if !is_late || left.is_zero() {
            break;
        }
    }
    std::mem::take(&mut locked().0)
}
