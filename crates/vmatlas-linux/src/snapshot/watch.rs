//! The kernel's events of the mappings that a process makes or protects, while its rows are read:
//! they tell what was changed and changed back.
//!
//! The kernel reports no event for memory that is unmapped or moved. Undoing that takes another call
//! that it reports, or one that moves the memory back.

use crate::process::Process;
use crate::sys::perf_event::{Attr, Event, Ring, SW_DUMMY, TYPE_SOFTWARE, Where, flag};
use std::collections::BTreeMap;
use vmatlas_maps::AddressRange;
use vmatlas_recording::Tid;

/// More threads take longer to watch than the rows to read again.
const MAX_THREADS: usize = 256;
/// The bytes for the events of a thread: some 80 events.
const ROOM: usize = 8 << 10;

/// `perf_event_type`, see perf_event_open(2).
const MMAP: u32 = 1;

pub(super) struct Watch<'p> {
    process: &'p Process,
    threads: BTreeMap<u32, (Event, Ring)>,
}

impl Watch<'_> {
    /// Watches all threads of a process; `None` if that is not permitted, or if there are too many.
    pub(super) fn begin(process: &Process) -> Option<Watch<'_>> {
        if !process.is_in_our_pid_namespace() {
            return None;
        }
        let mut watch = Watch { process, threads: BTreeMap::new() };
        let attr = Attr {
            kind: TYPE_SOFTWARE,
            config: SW_DUMMY,
            flags: flag::MMAP | flag::MMAP_DATA | flag::EXCLUDE_KERNEL | flag::EXCLUDE_HV,
            ..Attr::default()
        };
        // A thread may be made while the others are opened.
        for _ in 0..3 {
            let new = watch.others()?;
            if new.is_empty() {
                return Some(watch);
            }
            for tid in new {
                let event = Event::open(&attr, Where::Task(Tid::new(tid))).ok()?;
                let ring = Ring::new(&event, ROOM).ok()?;
                watch.threads.insert(tid, (event, ring));
            }
        }
        None
    }

    /// The threads that are not watched.
    fn others(&self) -> Option<Vec<u32>> {
        let mut threads = self.process.threads().ok()?;
        if threads.len() > MAX_THREADS {
            return None;
        }
        threads.retain(|tid| !self.threads.contains_key(tid));
        Some(threads)
    }

    /// The ranges that were mapped or protected since the beginning; `None` if some are not known.
    pub(super) fn changes(mut self) -> Option<Vec<AddressRange>> {
        let is_complete = self.others().is_some_and(|others| others.is_empty());
        let mut changes = Vec::new();
        let mut are_whole = true;
        for (_, ring) in self.threads.values_mut() {
            let mut each = |record: &[u8]| match of_record(record) {
                Some(range) => changes.push(range),
                None => are_whole = false,
            };
            while !ring.take(usize::MAX, &mut each) {}
        }
        (is_complete && are_whole).then_some(changes)
    }
}

/// The range of `PERF_RECORD_MMAP`; `None` for other records: lost ones.
fn of_record(record: &[u8]) -> Option<AddressRange> {
    let word = |at: usize| Some(u64::from_ne_bytes(*record.get(at..)?.first_chunk()?));
    let kind = u32::from_ne_bytes(*record.first_chunk()?);
    let (start, length) = (word(16)?, word(24)?);
    (kind == MMAP).then(|| AddressRange::new(start, start.saturating_add(length)))
}
