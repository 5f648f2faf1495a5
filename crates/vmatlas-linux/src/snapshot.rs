//! Reading all rows of a process.

use crate::error::Error;
use crate::process::Process;
use rustix::io::Errno;
use std::time::Duration;
use std::os::fd::OwnedFd;
use vmatlas::{Maps, MapsReader};

/// The rows of a process at one moment, as near as the kernel lets one come to that.
#[derive(Debug)]
pub struct Snapshot {
    /// The rows, with a warning for whatever is not certain about them.
    pub maps: Maps,
    /// Why there is no row, if there is none.
    pub empty: Option<Empty>,
    /// The thread through which they were read, if the process's first has ended.
    pub thread: Option<u32>,
}

/// Why a process has no mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Empty {
    /// A thread of the kernel.
    KernelThread,
    /// It has ended, and its parent has not waited for it.
    Zombie,
    /// It has unmapped everything.
    Unmapped,
}

impl std::fmt::Display for Empty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Empty::KernelThread => "a thread of the kernel, which has no address space",
            Empty::Zombie => "a zombie: it has ended, and its parent has not waited for it",
            Empty::Unmapped => "it has unmapped everything",
        })
    }
}

/// The file of /proc/PID that rows are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The rows alone; cheap.
    Maps,
    /// With the sizes of each row. The kernel walks the page tables for it, which takes longer
    /// the more memory is resident.
    Smaps,
    /// One row for all, with the sums of those sizes.
    Rollup,
}

impl Source {
    pub(crate) fn file(self) -> &'static str {
        match self {
            Source::Maps => "maps",
            Source::Smaps => "smaps",
            Source::Rollup => "smaps_rollup",
        }
    }
}

/// How often a reading that does not hold together is tried again.
const ATTEMPTS: usize = 4;
/// The kernel gives at most a page of whole lines for each read, or one line that is longer.
const BUFFER: usize = 64 << 10;

impl Process {
    /// Reads all rows.
    ///
    /// A read of many rows is not one moment (proc_pid_maps(5)), so the sizes of the rows are
    /// compared with the kernel's own count of the pages mapped: if they differ, the process
    /// changed its mappings or executed another program meanwhile, and the reading is repeated.
    /// One that will not hold together is given with a warning. If the first thread has ended,
    /// the rows are read through another one.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Vanished`], or [`Error::Io`].
    pub fn rows(&self, source: Source) -> Result<Snapshot, Error> {
        let mut last: Option<Maps> = None;
        let mut difference = None;
        for _ in 0..ATTEMPTS {
            let (maps, file) = match self.read_rows(source) {
                Err(Error::Vanished { .. }) if last.is_some() => return Ok(torn(last, ENDED)),
                read => read?,
            };
            if maps.is_empty() {
                match self.why_empty() {
                    Ok(Why::Ended) | Err(Error::Vanished { .. }) if last.is_some() => {
                        return Ok(torn(last, ENDED));
                    }
                    Ok(Why::Empty(empty)) => {
                        return Ok(Snapshot { maps, empty: Some(empty), thread: None });
                    }
                    Ok(Why::Ended) => {
                        return Ok(Snapshot { maps, empty: Some(Empty::Zombie), thread: None });
                    }
                    Ok(Why::Through(thread)) => {
                        let snapshot = thread.rows(source)?;
                        return Ok(Snapshot { thread: thread.id().tid, ..snapshot });
                    }
                    // It executes another program at this moment.
                    Ok(Why::Unknown) => continue,
                    Err(error) => return Err(error),
                }
            }
            let whole = Snapshot { maps, empty: None, thread: None };
            if source == Source::Rollup {
                return Ok(whole);
            }
            let (rows, counted) = (pages(&whole.maps), self.total_pages());
            difference = counted.filter(|counted| *counted != rows).map(|counted| (rows, counted));
            // Twice the same is what the kernel has, though its count be another one (before 4.12
            // it hid the guard page of a stack); unless the rest was cut off each time.
            let again = || last.as_ref().is_some_and(|last| last.iter().eq(whole.maps.iter()));
            let holds = counted == Some(rows)
                || (counted.is_none() || again()) && !is_gone(&file);
            if whole.maps.is_ordered() && holds {
                return Ok(whole);
            }
            last = Some(whole.maps);
        }
        let counts = difference.map_or_else(String::new, |(rows, counted)| {
            format!(" (the rows add up to {rows} pages, the kernel counts {counted})")
        });
        let warning = "the process keeps changing its mappings: rows may be missing or of different moments";
        Ok(torn(last, &format!("{warning}{counts}")))
    }

    /// How long reading will take, roughly, where it depends on how much memory is resident: the
    /// kernel looks at each page (30 ns measured on Linux 6.18, a 2.5 GHz Xeon, pages of 4 KiB).
    pub fn cost(&self, source: Source) -> Option<Duration> {
        const PER_PAGE: u64 = 30;
        let pages = self.resident_pages().filter(|_| source != Source::Maps)?;
        Some(Duration::from_nanos(pages.saturating_mul(PER_PAGE)))
    }

    fn read_rows(&self, source: Source) -> Result<(Maps, OwnedFd), Error> {
        let file = self.open_file(source.file())?;
        let mut reader = MapsReader::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            match rustix::io::read(&file, &mut buffer[..]) {
                Ok(0) | Err(Errno::SRCH) => return Ok((reader.finish(), file)),
                Ok(length) => reader.push(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error(source.file(), errno)),
            }
        }
    }

    fn why_empty(&self) -> Result<Why, Error> {
        let Some(state) = self.state()? else { return Ok(Why::Empty(Empty::Unmapped)) };
        if state.kernel_thread {
            return Ok(Why::Empty(Empty::KernelThread));
        }
        if !state.zombie {
            let unmapped = self.total_pages() == Some(0);
            return Ok(if unmapped { Why::Empty(Empty::Unmapped) } else { Why::Unknown });
        }
        let others =
            if self.id().tid.is_none() { self.threads().unwrap_or_default() } else { Vec::new() };
        let lives = |thread: &Process| {
            thread.state().is_ok_and(|state| state.is_some_and(|state| !state.zombie))
        };
        let threads = others.into_iter().filter_map(|tid| self.thread(tid).ok());
        Ok(threads.into_iter().find(lives).map_or(Why::Ended, Why::Through))
    }
}

/// How many pages the rows cover, without the gate page, which belongs to no process.
fn pages(maps: &Maps) -> u64 {
    let rows = maps.iter().filter(|row| row.name != b"[vsyscall]");
    let bytes = rows.fold(0u64, |sum, row| sum.saturating_add(row.range.size()));
    bytes / rustix::param::page_size() as u64
}

/// Whether the address space that an open file shows is gone: its process ended or executed
/// another program.
pub(crate) fn is_gone(maps: &OwnedFd) -> bool {
    rustix::io::pread(maps, &mut [0][..], 0).map_or(true, |length| length == 0)
}

enum Why {
    Ended,
    Empty(Empty),
    Through(Process),
    Unknown,
}

const ENDED: &str = "the process ended while it was read: rows may be missing";

fn torn(maps: Option<Maps>, warning: &str) -> Snapshot {
    let mut maps = maps.unwrap_or_default();
    maps.warn(warning);
    Snapshot { maps, empty: None, thread: None }
}
