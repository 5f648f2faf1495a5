//! Reads all rows of a process.

mod second;
#[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
mod watch;
#[cfg(not(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64")))]
#[path = "snapshot/no_watch.rs"]
mod watch;

use self::second::{Brief, Rest, differences, rows_by_query, user_rows};
use self::watch::Watch;
use crate::error::Error;
use crate::process::Process;
use crate::sys::procmap_query::{COVERING_OR_NEXT_VMA, procmap_query};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Duration;
use vmatlas_maps::{AddressRange, Maps, MapsReader};

/// The rows of a process at one moment, as nearly as the kernel allows.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The rows, with a warning for each uncertainty.
    pub maps: Maps,
    /// The address ranges that changed while they were read: their rows are of another moment than
    /// all others. In order and disjoint; empty if all rows are of one moment.
    pub changed: Vec<AddressRange>,
    /// The reason why there are no rows; `None` if there are rows.
    pub empty: Option<Empty>,
    /// The thread whose maps were read, if the main thread has ended.
    pub thread: Option<u32>,
    /// The file that the rows were read from, which stays with their address space.
    file: Option<OwnedFd>,
}

/// The address space whose rows were read.
#[derive(Debug)]
pub struct Space(OwnedFd);

impl Space {
    /// Whether it is gone: its process has ended or executed another program, so what else is read of
    /// the process does not belong to the rows. Its pid may be another process's by now.
    pub fn is_gone(&self) -> bool {
        is_gone(&self.0)
    }
}

/// The reason why a process has no mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Empty {
    /// It is a kernel thread.
    KernelThread,
    /// It is a zombie.
    Zombie,
    /// It unmapped everything.
    Unmapped,
}

impl Empty {
    /// The reason in a word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            Empty::KernelThread => "kernel-thread",
            Empty::Zombie => "zombie",
            Empty::Unmapped => "unmapped",
        }
    }

    /// The reason with this word.
    pub fn named(word: &str) -> Option<Empty> {
        let all = [Empty::KernelThread, Empty::Zombie, Empty::Unmapped];
        all.into_iter().find(|empty| empty.word() == word)
    }
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
#[non_exhaustive]
pub enum Source {
    /// Only the rows; cheap.
    Maps,
    /// With the sizes of each row. The kernel walks the page tables, so the cost grows with the
    /// resident memory.
    Smaps,
    /// One row with the sums of those sizes.
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

/// Number of attempts to get a consistent reading.
const ATTEMPTS: usize = 4;
/// Tolerated difference in pages between the rows and the kernel's count.
const FEW_PAGES: u64 = 16;
/// So few rows are read within some hundred microseconds, and then some more times: a change that is
/// undone meanwhile is seen by one of them. Otherwise the kernel's events show it.
const FEW: usize = 500;
const MORE: usize = 6;
/// Bytes parsed at once. The kernel returns at most a page of whole lines for each read, or one
/// longer line.
const BUFFER: usize = 128 << 10;
/// The number of full buffers that wait to be parsed, so that the kernel writes on while other
/// threads of ours run.
const BUFFERS: usize = 4;

impl Process {
    /// Reads all rows.
    ///
    /// Reading many rows is not atomic (proc_pid_maps(5)). Therefore they are read twice, unless no
    /// thread of the process ran meanwhile: both readings have the rows of one moment if they agree.
    /// Also, the sizes of the rows are compared with the kernel's count of mapped pages. If anything
    /// differs, the process changed
    /// its mappings, and the read is repeated. It is also repeated if the address space was gone at
    /// the end, because the process executed another program. After several failed attempts, the
    /// last reading is returned with a warning, and [`Snapshot::changed`] has the address ranges
    /// that are of other moments. If the main thread has ended, the rows are read through another
    /// thread.
    ///
    /// # Errors
    /// [`Error::Denied`] if the kernel refuses, [`Error::Vanished`] if the process ended, otherwise
    /// [`Error::Io`].
    pub fn rows(&self, source: Source) -> Result<Snapshot, Error> {
        let mut last: Option<Reading> = None;
        let mut difference = None;
        // Our own memory must not change between the counts.
        let mut buffer = vec![0; BUFFER];
        for attempt in 0..ATTEMPTS {
            let before = self.total_pages();
            let reading = match self.read_rows(source, attempt > 0, &mut buffer) {
                Err(Error::Vanished { .. }) if last.is_some() => return Ok(torn(last, ENDED)),
                read => read?,
            };
            let maps = &reading.maps;
            if maps.is_empty() {
                let ended = |found: &Result<Option<Snapshot>, Error>| match found {
                    Ok(Some(snapshot)) => snapshot.empty == Some(Empty::Zombie),
                    Ok(None) => false,
                    Err(error) => matches!(error, Error::Vanished { .. }),
                };
                match self.without_rows(source) {
                    found if last.is_some() && ended(&found) => return Ok(torn(last, ENDED)),
                    Ok(Some(snapshot)) => return Ok(snapshot),
                    Ok(None) => continue,
                    Err(error) => return Err(error),
                }
            }
            if source == Source::Rollup {
                return Ok(Snapshot::of(reading));
            }
            // The kernel moves a mapping in steps, and counts it twice in between.
            let rows = pages(maps);
            let counts = [before, reading.pages];
            difference = counts.into_iter().flatten().find(|counted| *counted != rows);
            // Two equal readings are accepted although the count differs: before 4.12 the kernel
            // hid the guard page of a stack, and not every kernel has a gate page.
            let again = || {
                difference.is_some_and(|counted| counted.abs_diff(rows) <= FEW_PAGES)
                    && last.as_ref().is_some_and(|last| last.maps.iter().eq(maps.iter()))
            };
            // The address space may have vanished before the last row was read.
            let holds = (difference.is_none() || again()) && !is_gone(&reading.file);
            // If the kernel gives us no events, the two readings must do.
            let is_same = reading.changed.is_empty() && (reading.is_sure || attempt > 0);
            if maps.is_ordered() && holds && is_same {
                return Ok(Snapshot::of(reading));
            }
            last = Some(reading);
        }
        let counts = match (&last, difference) {
            (Some(last), Some(counted)) => {
                let rows = pages(&last.maps);
                format!(" (the rows add up to {rows} pages, the kernel counts {counted})")
            }
            _ => String::new(),
        };
        Ok(torn(last, &format!("{CHANGING}{counts}")))
    }

    /// Rough upper estimate of the time of a read that depends on the resident memory; `None` if it
    /// does not. The kernel visits each page: 50 to 280 ns measured on Linux 6.18, a 2.5 GHz Xeon,
    /// 2.5 GiB of pages of 4 KiB, the less the more of them is in its caches. Calls of mmap waited as
    /// long.
    pub fn cost(&self, source: Source) -> Option<Duration> {
        const PER_PAGE: u64 = 200;
        if source == Source::Maps {
            return None;
        }
        Some(Duration::from_nanos(self.resident_pages()?.saturating_mul(PER_PAGE)))
    }

    /// Reads the rows, and finds out what changed meanwhile. With `watch`, also what was changed back.
    fn read_rows(&self, source: Source, watch: bool, buffer: &mut [u8]) -> Result<Reading, Error> {
        // Our own memory changes because we read: the count of pages must do.
        let is_own = self.id().pid == std::process::id() && self.is_in_our_pid_namespace();
        if is_own {
            let file = self.open_file(source.file())?;
            let (maps, pages) = self.parse(source, &file, buffer)?;
            return Ok(Reading { maps, changed: Vec::new(), is_sure: true, file, pages });
        }
        let rest = Rest::begin(self);
        let watch = watch.then(|| Watch::begin(self)).flatten();
        let file = self.open_file(source.file())?;
        let (maps, pages) = self.parse(source, &file, buffer)?;
        if source == Source::Rollup || maps.is_empty() || rest.lasted() {
            return Ok(Reading { maps, changed: Vec::new(), is_sure: true, file, pages });
        }
        let mut changed = self.differences(&maps, buffer)?;
        let changes = watch.and_then(Watch::changes);
        let is_few = maps.len() < FEW && source == Source::Maps;
        for _ in 0..MORE {
            if changes.is_none() && is_few && changed.is_empty() {
                changed = self.differences(&maps, buffer)?;
            }
        }
        let is_sure = changes.is_some() || is_few;
        changed.extend(changes.into_iter().flatten());
        Ok(Reading { maps, changed: AddressRange::joined(changed), is_sure, file, pages })
    }

    /// The address ranges in which a second reading differs.
    fn differences(&self, maps: &Maps, buffer: &mut [u8]) -> Result<Vec<AddressRange>, Error> {
        // If the process has executed another program by now, all rows differ.
        let file = self.open_file(Source::Maps.file())?;
        match differences(maps, rows_by_query(&file)) {
            Ok(changed) => Ok(changed),
            // The address space is gone, which the caller notices.
            Err(Errno::SRCH) => Ok(Vec::new()),
            // Before Linux 6.11, and in a copy of a /proc tree.
            Err(_) => {
                let (again, _) = self.parse(Source::Maps, &file, buffer)?;
                let rows = user_rows(&again).map(|row| Ok(Brief::of_row(&row)));
                differences(maps, rows).map_err(|errno| self.error(Source::Maps.file(), errno))
            }
        }
    }

    /// Reads the rows, and the kernel's count of mapped pages right after them.
    fn parse(
        &self,
        source: Source,
        file: &OwnedFd,
        buffer: &mut [u8],
    ) -> Result<(Maps, Option<u64>), Error> {
        let error = |errno| self.error(source.file(), errno);
        let length = fill(file, buffer).map_err(error)?;
        let mut pages = self.total_pages();
        let mut reader = MapsReader::default();
        reader.push(&buffer[..length]);
        if length == buffer.len() {
            read_beside(file, &mut reader).map_err(error)?;
            pages = self.total_pages();
        }
        Ok((reader.finish(), pages))
    }

    /// The snapshot of a process that shows no rows; `None` if the read should be repeated.
    fn without_rows(&self, source: Source) -> Result<Option<Snapshot>, Error> {
        let empty = |why| Ok(Some(Snapshot { empty: Some(why), ..Snapshot::default() }));
        // Read first: once the process has ended, this is 0 as well.
        let unmapped = self.total_pages() == Some(0);
        let Some(state) = self.state()? else { return empty(Empty::Unmapped) };
        if state.kernel_thread {
            return empty(Empty::KernelThread);
        }
        if !state.ended {
            // Otherwise it is executing another program at this moment.
            return if unmapped { empty(Empty::Unmapped) } else { Ok(None) };
        }
        let Some(thread) = self.living_thread() else { return empty(Empty::Zombie) };
        match thread.rows(source) {
            Ok(snapshot) => Ok(Some(Snapshot { thread: thread.id().tid, ..snapshot })),
            // Another thread may still live.
            Err(Error::Vanished { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// One reading of the rows, checked by a second one.
struct Reading {
    maps: Maps,
    /// The address ranges in which the two differ, or where something was changed and changed back.
    changed: Vec<AddressRange>,
    /// Whether it is known what was changed and changed back.
    is_sure: bool,
    file: OwnedFd,
    /// The kernel's count of mapped pages right after the rows were read.
    pages: Option<u64>,
}

impl Snapshot {
    fn of(Reading { maps, changed, file, .. }: Reading) -> Snapshot {
        Snapshot { maps, changed, empty: None, thread: None, file: Some(file) }
    }

    /// The address space that the rows are of.
    pub fn space(&mut self) -> Option<Space> {
        self.file.take().map(Space)
    }
}

/// Reads until the buffer is full or the file ends; a short read in /proc is not the end.
fn fill(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut length = 0;
    while length < buffer.len() {
        match rustix::io::read(file, &mut buffer[length..]) {
            Ok(0) | Err(Errno::SRCH) => break,
            Ok(more) => length += more,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(length)
}

/// Reads the rest of a long file in another thread, while this thread parses it.
fn read_beside(file: &OwnedFd, reader: &mut MapsReader) -> Result<(), Errno> {
    let (full, filled) = sync_channel(BUFFERS);
    let (done, used) = channel::<Vec<u8>>();
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            loop {
                let mut buffer = used.try_recv().unwrap_or_else(|_| vec![0; BUFFER]);
                match fill(file, &mut buffer)? {
                    0 => return Ok(()),
                    length => drop(full.send((buffer, length))),
                }
            }
        });
        for (buffer, length) in filled {
            reader.push(&buffer[..length]);
            // At the end the receiver is gone.
            drop(done.send(buffer));
        }
        reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The number of pages that the rows cover, without the gate page, which belongs to no process.
fn pages(maps: &Maps) -> u64 {
    let bytes = user_rows(maps).fold(0u64, |sum, row| sum.saturating_add(row.range.size()));
    bytes / rustix::param::page_size() as u64
}

/// Whether the address space of an open file is gone, because its process ended or executed another
/// program.
pub(crate) fn is_gone(maps: &OwnedFd) -> bool {
    match procmap_query(maps, 0, COVERING_OR_NEXT_VMA, &mut []) {
        Ok(_) | Err(Errno::NOENT) => false,
        Err(Errno::SRCH) => true,
        // A kernel before 6.11, or a file other than maps.
        Err(_) => rustix::io::pread(maps, &mut [0][..], 0).map_or(true, |length| length == 0),
    }
}

const CHANGING: &str = "the mappings keep changing, or the files of the process disagree: rows may be missing or of different moments";
const ENDED: &str = "the process ended while it was read: rows may be missing";

fn torn(last: Option<Reading>, warning: &str) -> Snapshot {
    let mut snapshot = last.map(Snapshot::of).unwrap_or_default();
    let changed = &mut snapshot.changed;
    let mut maps = disjoint(std::mem::take(&mut snapshot.maps), changed);
    maps.warn(match (changed.len(), changed.first()) {
        (1, Some(range)) => format!("{warning}: {range} changed while it was read"),
        (count, Some(range)) => {
            format!(
                "{warning}: {range} and {} other ranges changed while they were read",
                count - 1
            )
        }
        _ => warning.to_owned(),
    });
    Snapshot { maps, ..snapshot }
}

/// The rows without those that overlap a later one. Their ranges are added to `changed`.
fn disjoint(maps: Maps, changed: &mut Vec<AddressRange>) -> Maps {
    if maps.is_ordered() {
        return maps;
    }
    let mut kept: Vec<usize> = Vec::new();
    let mut last_end = |from: &mut Vec<usize>, start: u64| {
        while let Some(row) = from.last().and_then(|&last| maps.get(last))
            && row.range.end > start
        {
            changed.push(row.range);
            from.pop();
        }
    };
    for (index, row) in maps.iter().enumerate() {
        last_end(&mut kept, row.range.start);
        kept.push(index);
    }
    *changed = AddressRange::joined(std::mem::take(changed));
    let mut text = Vec::new();
    kept.iter().for_each(|&index| maps.render_row(index, maps.format(), None, &mut text));
    MapsReader::read(&text)
}
