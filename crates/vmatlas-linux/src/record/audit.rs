//! Compares the kernel's own log of changes with the events.
//!
//! Every change of an address space is a write to its maple tree (`maple_tree:ma_write`, under
//! mmap_lock). A write is explained if the same thread then returns from a call on these addresses,
//! makes a child, executes a program or ends.

use std::collections::HashMap;
use vmatlas_maps::AddressRange;
use vmatlas_recording::Tid;

/// Maximum number of unexplained writes pending per thread.
const MAX: usize = 1 << 16;
/// Maximum number of unexplained writes kept.
const KEPT: usize = 64;

/// Changes of the kernel's trees, and those that no event explains.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// Writes observed.
    pub writes: u64,
    /// Writes that no event explains.
    pub unexplained: u64,
    /// The first unexplained writes.
    pub examples: Vec<Unexplained>,
    waiting: HashMap<Tid, Vec<Unexplained>>,
}

/// A change that no event explains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unexplained {
    /// The time, on CLOCK_MONOTONIC in nanoseconds.
    pub time_ns: u64,
    /// The writing thread.
    pub tid: Tid,
    /// The written addresses.
    pub range: AddressRange,
    /// Whether a mapping was stored; otherwise it was erased.
    pub stored: bool,
}

impl Audit {
    /// Records a write to a tree.
    pub(super) fn wrote(&mut self, write: Unexplained) {
        self.writes += 1;
        let waiting = self.waiting.entry(write.tid).or_default();
        if waiting.len() < MAX {
            waiting.push(write);
        } else {
            self.unexplained += 1;
        }
    }

    /// Records that a thread returned from a call on these addresses.
    pub(super) fn called(&mut self, tid: Tid, touched: &[AddressRange]) {
        let Some(waiting) = self.waiting.remove(&tid) else { return };
        for write in waiting {
            // A stored mapping may have merged with its neighbours; the write has the merged range.
            let near = |range: &AddressRange| {
                range.size() > 0 && write.range.start <= range.end && range.start <= write.range.end
            };
            if !touched.iter().any(near) {
                self.miss(write);
            }
        }
    }

    /// Records that a thread made a child, executed a program or ended, which explains all its
    /// writes.
    pub(super) fn explains_all(&mut self, tid: Tid) {
        self.waiting.remove(&tid);
    }

    /// Records that a thread's stack has grown.
    pub(super) fn grew(&mut self, tid: Tid, range: AddressRange) {
        if let Some(waiting) = self.waiting.get_mut(&tid) {
            waiting.retain(|write| !write.range.overlaps(&range));
        }
    }

    /// Counts the remaining writes as unexplained.
    pub(super) fn end(&mut self) {
        for write in std::mem::take(&mut self.waiting).into_values().flatten() {
            self.miss(write);
        }
    }

    fn miss(&mut self, write: Unexplained) {
        self.unexplained += 1;
        if self.examples.len() < KEPT {
            self.examples.push(write);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tid: u32, start: u64, end: u64) -> Unexplained {
        Unexplained {
            time_ns: 1,
            tid: Tid::new(tid),
            range: AddressRange::new(start, end),
            stored: true,
        }
    }

    #[test]
    fn a_call_explains_only_the_addresses_that_it_touched() {
        let mut audit = Audit::default();
        audit.wrote(write(1, 0x1000, 0x2000));
        audit.wrote(write(1, 0x9000, 0xa000));
        audit.wrote(write(2, 0x1000, 0x2000));
        // The mapping merged with the one below it.
        audit.called(Tid::new(1), &[AddressRange::new(0x2000, 0x3000)]);
        assert_eq!(audit.unexplained, 1);
        assert_eq!(audit.examples, [write(1, 0x9000, 0xa000)]);
        audit.end();
        assert_eq!(
            (audit.writes, audit.unexplained),
            (3, 2),
            "no event explains the write of thread 2"
        );
    }

    #[test]
    fn a_new_program_and_a_grown_stack_explain_themselves() {
        let mut audit = Audit::default();
        audit.wrote(write(1, 0x1000, 0x2000));
        audit.explains_all(Tid::new(1));
        audit.wrote(write(1, 0x7000, 0x9000));
        audit.grew(Tid::new(1), AddressRange::new(0x7000, 0x9000));
        audit.end();
        assert_eq!((audit.writes, audit.unexplained), (2, 0));
    }
}
