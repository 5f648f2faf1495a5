//! The page shared by all processes of a scenario; the runner reads it through its file.

use rustix::fd::AsFd;
use rustix::mm::{MapFlags, ProtFlags, mmap};
use rustix::thread::futex;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Offset of the log in the file, after the page.
pub(crate) const LOG_START: u64 = 1 << 16;
/// Maximum size of the log in bytes.
pub(crate) const MAX_LOG: u64 = 256 << 20;
/// Maximum number of System V segments of a scenario.
pub(crate) const SEGMENTS: usize = 512;

/// The shared state.
#[repr(C)]
pub(crate) struct Shared {
    /// The next or current operation.
    pub(crate) at: AtomicU32,
    /// The reason why the scenario cannot continue; 0 if it can.
    pub(crate) trouble: AtomicU32,
    /// Whether the segments are in a namespace that ends with the processes.
    pub(crate) own_segments: AtomicU32,
    segments: AtomicU32,
    ids: [AtomicI32; SEGMENTS],
}

/// Offset of the segments, for the runner.
pub(crate) const SEGMENT_COUNT_OFFSET: usize = std::mem::offset_of!(Shared, segments);
pub(crate) const SEGMENTS_OFFSET: usize = std::mem::offset_of!(Shared, ids);

const _: () = assert!(size_of::<Shared>() <= 4096);

/// The values of [`Shared::trouble`].
pub(crate) const NO_REGION: u32 = 1;
pub(crate) const LOG_FULL: u32 = 2;
pub(crate) const NO_FORK: u32 = 3;

impl Shared {
    /// Maps the page at the start of a file, permanently.
    pub(crate) fn map(file: impl AsFd) -> rustix::io::Result<&'static Shared> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping, never unmapped, of a file that is only ever made longer; it is
        // aligned to a page and long enough, any bytes are a valid `Shared`, and all processes
        // change it through atomics.
        unsafe {
            let page = mmap(std::ptr::null_mut(), size_of::<Shared>(), prot, flags, file, 0)?;
            Ok(&*page.cast::<Shared>())
        }
    }

    pub(crate) fn reset(&self) {
        self.at.store(0, Ordering::Release);
        self.trouble.store(0, Ordering::Release);
        self.segments.store(0, Ordering::Release);
    }

    /// Advances to another operation, and wakes the processes if it belongs to another process.
    pub(crate) fn go_on(&self, at: u32, wake: bool) {
        self.at.store(at, Ordering::Release);
        if wake {
            let _ = futex::wake(&self.at, futex::Flags::empty(), i32::MAX as u32);
        }
    }

    /// Sleeps while this is the current operation.
    pub(crate) fn wait(&self, at: u32) {
        let _ = futex::wait(&self.at, futex::Flags::empty(), at, None);
    }

    /// Ends the scenario because it cannot continue.
    pub(crate) fn stop(&self, trouble: u32) {
        self.trouble.store(trouble, Ordering::Release);
        self.go_on(u32::MAX, true);
    }

    pub(crate) fn add_segment(&self, id: i32) {
        let slot = self.segments.fetch_add(1, Ordering::AcqRel) as usize;
        if let Some(slot) = self.ids.get(slot) {
            slot.store(id, Ordering::Release);
        }
    }

    /// The segments that were made.
    pub(crate) fn segments(&self) -> impl Iterator<Item = i32> {
        let count = self.segments.load(Ordering::Acquire) as usize;
        self.ids.iter().take(count).map(|id| id.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher as _;

    /// Each maps the page for itself, as processes do, and waits for its turns.
    #[test]
    fn turns_of_many_at_once() {
        const TURNS: u32 = 4000;
        const MEMBERS: u64 = 4;
        let seed = RandomState::new().hash_one(0) | 1;
        let file = tempfile::tempfile().unwrap();
        file.set_len(LOG_START).unwrap();
        let whose = |turn: u32| (seed.wrapping_mul(u64::from(turn) * 2 + 1) >> 33) % MEMBERS;
        let member = |me: u64| {
            let shared = Shared::map(&file).unwrap();
            loop {
                let at = shared.at.load(Ordering::Acquire);
                if at >= TURNS {
                    break;
                }
                if whose(at) != me {
                    shared.wait(at);
                    continue;
                }
                shared.add_segment(at as i32);
                let next = at + 1;
                shared.go_on(next, next == TURNS || whose(next) != me);
            }
        };
        std::thread::scope(|scope| {
            let member = &member;
            (0..MEMBERS).for_each(|me| drop(scope.spawn(move || member(me))));
        });
        let shared = Shared::map(&file).unwrap();
        // Those beyond its room are counted and not kept.
        let kept: BTreeSet<i32> = shared.segments().collect();
        assert_eq!(kept, (0..SEGMENTS as i32).collect(), "seed {seed}");
        shared.stop(NO_FORK);
        assert_eq!(shared.trouble.load(Ordering::Acquire), NO_FORK);
        shared.reset();
        assert_eq!((shared.segments().count(), shared.at.load(Ordering::Acquire)), (0, 0));
    }
}
