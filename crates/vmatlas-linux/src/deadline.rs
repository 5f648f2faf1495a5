//! Work that a hostile file system could hold up for ever.
//!
//! A file of a process may lie on a file system whose server never answers (FUSE, NFS). A call
//! that waits for it cannot be taken back, so it is made in a thread that can be left behind.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Does `work` in a thread of its own and waits at most `limit` for it.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    all_within(limit, [move |results: &Results<T>| results.add(work())]).pop()
}

/// What threads have found so far, and when the last of it came.
pub struct Results<T>(Arc<Mutex<(Vec<T>, Instant)>>);

impl<T> Results<T> {
    /// Adds one. The wait for the next begins anew.
    pub fn add(&self, result: T) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.0.push(result);
        found.1 = Instant::now();
    }
}

/// How many times the limit the whole may take while results keep coming.
const MAX_WAITS: u32 = 5;

/// Does each of `jobs` in a thread of its own, which may add any number of results, and gives
/// those that came before nothing more did for `limit`: a machine may be busy. It waits at most
/// five times as long in all.
pub fn all_within<T: Send + 'static>(
    limit: Duration,
    jobs: impl IntoIterator<Item = impl FnOnce(&Results<T>) + Send + 'static>,
) -> Vec<T> {
    let start = Instant::now();
    let found = Arc::new(Mutex::new((Vec::new(), start)));
    let (running, ended) = channel::<()>();
    for job in jobs {
        let (running, results) = (running.clone(), Results(Arc::clone(&found)));
        // Without a thread its results are missing, as if they came too late.
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
        // Nothing is sent: it is over when no thread is left that could, or when time is up.
        let is_late = ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout);
        if !is_late || left.is_zero() {
            break;
        }
    }
    std::mem::take(&mut locked().0)
}
