//! Whether a reading of rows is of one moment.
//!
//! The kernel prints the rows of a process one after another, while the process may change them: the
//! first rows are then older than the last. If no thread of it ran meanwhile, nothing has changed.
//! Otherwise the rows are read a second time: what both readings have was there between the two.
//!
//! Two changes go unnoticed: one that is undone before the second reading comes to it, and one by
//! another process with the same address space (`CLONE_VM` without `CLONE_THREAD`) while this one
//! does not run.

use crate::process::Process;
use crate::sys::cpu_clock::cpu_time;
use crate::sys::procmap_query::{
    COVERING_OR_NEXT_VMA, ProcmapQuery, VMA_EXECUTABLE, VMA_READABLE, VMA_SHARED, VMA_WRITABLE,
    procmap_query,
};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::Duration;
use vmatlas_maps::{AddressRange, Mapping, Maps};

/// More threads take longer to look at than the rows.
const MAX_THREADS: usize = 256;

/// A process that may be at rest from now on.
pub(super) struct Rest<'p> {
    process: &'p Process,
    cpu_time: Option<Duration>,
}

impl Rest<'_> {
    pub(super) fn begin(process: &Process) -> Rest<'_> {
        let pid = process.is_in_our_pid_namespace().then(|| process.id().pid);
        Rest { process, cpu_time: pid.and_then(cpu_time) }
    }

    /// Whether no thread of the process has run since the beginning.
    pub(super) fn lasted(&self) -> bool {
        // The time of a thread counts when it stops running, so first: none is running.
        self.cpu_time.is_some()
            && self.no_thread_runs() == Some(true)
            && cpu_time(self.process.id().pid) == self.cpu_time
    }

    fn no_thread_runs(&self) -> Option<bool> {
        let threads = self.process.threads().ok()?;
        if threads.len() > MAX_THREADS {
            return None;
        }
        for tid in threads {
            // A thread that is gone does not run, and whoever ended it has.
            let state = self.process.thread(tid).and_then(|thread| thread.state());
            if state.is_ok_and(|state| state.is_none_or(|state| state.runs)) {
                return Some(false);
            }
        }
        Some(true)
    }
}

/// A row without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brief {
    range: AddressRange,
    offset: u64,
    inode: u64,
    device: (u32, u32),
    perms: [bool; 4],
}

impl Brief {
    fn of_query(query: &ProcmapQuery) -> Brief {
        let has = |flag| query.vma_flags & flag != 0;
        Brief {
            range: AddressRange::new(query.vma_start, query.vma_end),
            offset: query.vma_offset,
            inode: query.inode,
            device: (query.dev_major, query.dev_minor),
            perms: [VMA_READABLE, VMA_WRITABLE, VMA_EXECUTABLE, VMA_SHARED].map(has),
        }
    }

    pub(super) fn of_row(row: &Mapping<'_>) -> Brief {
        let perms = row.perms;
        Brief {
            range: row.range,
            offset: row.offset,
            inode: row.inode,
            device: (row.device.major, row.device.minor),
            perms: [perms.read(), perms.write(), perms.execute(), perms.shared()],
        }
    }
}

/// The rows without the gate page, which is in no address space and alone at a kernel address.
pub(super) fn user_rows(maps: &Maps) -> impl Iterator<Item = Mapping<'_>> {
    maps.iter().filter(|row| row.range.start >> 63 == 0)
}

/// The rows of an open maps file by `PROCMAP_QUERY`, one after another.
///
/// # Errors
/// `ENOTTY` the kernel is older than 6.11, or the file is none of the kernel's; `ESRCH` the address
/// space is gone. No row follows an error.
pub(super) fn rows_by_query(file: &OwnedFd) -> impl Iterator<Item = Result<Brief, Errno>> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let found = procmap_query(file, next?, COVERING_OR_NEXT_VMA, &mut []);
        next = found.as_ref().ok().map(|found| found.vma_end);
        match found {
            Err(Errno::NOENT) => None,
            found => Some(found.map(|found| Brief::of_query(&found))),
        }
    })
}

/// The address ranges in which two readings differ, in order, disjoint and not adjacent.
///
/// # Errors
/// That of the second reading.
pub(super) fn differences(
    first: &Maps,
    mut second: impl Iterator<Item = Result<Brief, Errno>>,
) -> Result<Vec<AddressRange>, Errno> {
    let mut first = user_rows(first).map(|row| Brief::of_row(&row));
    let mut changed = Vec::new();
    let (mut a, mut b) = (first.next(), second.next().transpose()?);
    loop {
        let start = |row: Option<Brief>| row.map_or(u64::MAX, |row| row.range.start);
        let is_first = start(a) <= start(b);
        let is_second = start(b) <= start(a);
        if a.is_none() && b.is_none() {
            return Ok(AddressRange::joined(changed));
        }
        if a != b {
            let of = |row: Option<Brief>, is: bool| row.filter(|_| is).map(|row| row.range);
            changed.extend(of(a, is_first));
            changed.extend(of(b, is_second));
        }
        if is_first {
            a = first.next();
        }
        if is_second {
            b = second.next().transpose()?;
        }
    }
}
