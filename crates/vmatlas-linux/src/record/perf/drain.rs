//! A thread that empties the rings of calls, so that no calls are lost while the recorder is busy.

use super::rings::{Held, wait};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// With more pending bytes than this, records stay in the rings, and are lost when those are full.
const MAX: usize = 1 << 30;

/// Maximum sleep of the thread: filling rings wake it, the end does not.
const NAP: Duration = Duration::from_millis(100);

/// Rings that are being emptied.
pub(super) struct Drain {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Consecutive records.
    bytes: Mutex<Vec<u8>>,
    rings: Mutex<Vec<Held>>,
    /// Readable when many bytes are pending.
    many: OwnedFd,
    stop: AtomicBool,
}

impl Drain {
    /// Starts to empty rings.
    pub(super) fn new(rings: Vec<Held>) -> std::io::Result<Drain> {
        let many = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            bytes: Mutex::new(Vec::new()),
            rings: Mutex::new(rings),
            many,
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let run = move || theirs.run();
        let thread = std::thread::Builder::new().name("vmatlas-drain".into()).spawn(run)?;
        Ok(Drain { shared, thread: Some(thread) })
    }

    /// Takes all records written so far.
    pub(super) fn take(&self) -> Vec<u8> {
        let mut seen = [0; 8];
        let _ = rustix::io::read(&self.shared.many, &mut seen);
        let bytes = || self.shared.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken first, to make room for the contents of the rings.
        let mut taken = std::mem::take(&mut *bytes());
        self.shared.empty();
        taken.append(&mut bytes());
        taken
    }

    /// A descriptor that is readable when many bytes are pending.
    pub(super) fn many(&self) -> BorrowedFd<'_> {
        self.shared.many.as_fd()
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        // A higher priority than the programs that fill the rings, if permitted.
        let _ = rustix::process::setpriority_process(None, -10);
        // Separate descriptors, because the rings are locked only briefly.
        let holders: Vec<OwnedFd> = {
            let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            rings.iter().filter_map(|held| held.holder.as_fd().try_clone_to_owned().ok()).collect()
        };
        let fds: Vec<BorrowedFd<'_>> = holders.iter().map(OwnedFd::as_fd).collect();
        while !self.stop.load(Ordering::Relaxed) {
            if wait(&fds, NAP) {
                self.empty();
                let _ = rustix::io::write(&self.many, &1_u64.to_ne_bytes());
            }
        }
    }

    /// Moves the contents of the rings to memory.
    fn empty(&self) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        for held in rings.iter_mut() {
            if bytes.len() < MAX {
                held.ring.take(usize::MAX, |record| bytes.extend_from_slice(record));
            }
        }
    }
}
