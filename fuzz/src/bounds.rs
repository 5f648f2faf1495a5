//! Bounds on what an input may cost.

use rustix::time::{ClockId, clock_gettime};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Memory that an input may use at once, in bytes. Inputs have at most 8 KiB.
const MEMORY: usize = 32 << 20;
/// Processor time that an input may take: with instrumentation and assertions, on a slow machine.
const TIME: Duration = Duration::from_secs(2);

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts the bytes in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn took(size: usize) {
    let used = USED.fetch_add(size, Ordering::Relaxed).wrapping_add(size);
    PEAK.fetch_max(used, Ordering::Relaxed);
}

fn gave(size: usize) {
    USED.fetch_sub(size, Ordering::Relaxed);
}

// SAFETY: all is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        took(size);
        gave(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        gave(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs what a target does with an input, and panics if it takes more memory or time than an input
/// may.
pub fn bounded(work: impl FnOnce()) {
    let before = USED.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = clock_gettime(ClockId::ThreadCPUTime);
    work();
    let taken = clock_gettime(ClockId::ThreadCPUTime) - start;
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    assert!(peak <= MEMORY, "the input took {peak} bytes of memory");
    let taken = Duration::try_from(taken).unwrap_or_default();
    assert!(taken <= TIME, "the input took {taken:?}");
}
