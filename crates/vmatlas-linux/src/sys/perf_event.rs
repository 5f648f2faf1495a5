//! perf_event_open(2), its ioctls and its ring buffers (include/uapi/linux/perf_event.h).

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use vmatlas_recording::Tid;

pub(crate) const TYPE_SOFTWARE: u32 = 1;
pub(crate) const TYPE_TRACEPOINT: u32 = 2;

pub(crate) const SW_PAGE_FAULTS: u64 = 2;
pub(crate) const SW_DUMMY: u64 = 9;

/// The bits of [`Attr::sample_type`].
pub(crate) mod sample {
    pub(crate) const TID: u64 = 1 << 1;
    pub(crate) const TIME: u64 = 1 << 2;
    pub(crate) const ADDR: u64 = 1 << 3;
    pub(crate) const CPU: u64 = 1 << 7;
    pub(crate) const RAW: u64 = 1 << 10;
    pub(crate) const REGS_USER: u64 = 1 << 12;
    pub(crate) const STACK_USER: u64 = 1 << 13;
    pub(crate) const IDENTIFIER: u64 = 1 << 16;
}

/// The bits of [`Attr::flags`].
pub(crate) mod flag {
    pub(crate) const INHERIT: u64 = 1 << 1;
    pub(crate) const EXCLUDE_KERNEL: u64 = 1 << 5;
    pub(crate) const EXCLUDE_HV: u64 = 1 << 6;
    pub(crate) const MMAP: u64 = 1 << 8;
    pub(crate) const COMM: u64 = 1 << 9;
    pub(crate) const TASK: u64 = 1 << 13;
    /// `wakeup` counts bytes.
    pub(crate) const WATERMARK: u64 = 1 << 14;
    pub(crate) const MMAP_DATA: u64 = 1 << 17;
    pub(crate) const SAMPLE_ID_ALL: u64 = 1 << 18;
    pub(crate) const MMAP2: u64 = 1 << 23;
    pub(crate) const COMM_EXEC: u64 = 1 << 24;
    pub(crate) const USE_CLOCKID: u64 = 1 << 25;
    /// Since Linux 5.12.
    pub(crate) const BUILD_ID: u64 = 1 << 34;
    /// Since Linux 5.13.
    pub(crate) const INHERIT_THREAD: u64 = 1 << 35;
}

/// `struct perf_event_attr` with the length of Linux 4.8, which contains all fields used here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attr {
    pub(crate) kind: u32,
    /// Set by [`Event::open`].
    pub(crate) size: u32,
    pub(crate) config: u64,
    pub(crate) sample_period: u64,
    pub(crate) sample_type: u64,
    pub(crate) read_format: u64,
    pub(crate) flags: u64,
    pub(crate) wakeup: u32,
    pub(crate) bp_type: u32,
    pub(crate) config1: u64,
    pub(crate) config2: u64,
    pub(crate) branch_sample_type: u64,
    pub(crate) sample_regs_user: u64,
    pub(crate) sample_stack_user: u32,
    pub(crate) clockid: i32,
    pub(crate) sample_regs_intr: u64,
    pub(crate) aux_watermark: u32,
    pub(crate) sample_max_stack: u16,
    pub(crate) reserved: u16,
}

const _: () = assert!(size_of::<Attr>() == 112);

const FLAG_FD_CLOEXEC: libc::c_ulong = 8;

/// The task and processor of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// A thread, on one processor.
    Thread(Tid, u32),
    /// A thread, on any processor.
    Task(Tid),
    /// The calling thread, on any processor.
    Own,
    /// The calling thread, on one processor.
    OwnOn(u32),
    /// Every task on one processor.
    Processor(u32),
}

/// An open event, which counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Event(OwnedFd);

impl Event {
    /// Opens an event.
    ///
    /// # Errors
    /// `EACCES`, `EPERM` no permission; `ESRCH` no such thread; `EINVAL`, `ENOENT`, `E2BIG` the
    /// kernel does not support the event; `ENODEV` the processor is offline; `EMFILE` too many open
    /// files.
    pub(crate) fn open(attr: &Attr, target: Where) -> Result<Event> {
        let mut attr = Attr { size: size_of::<Attr>() as u32, ..*attr };
        let number = |number: u32| i32::try_from(number).map_err(|_| Errno::SRCH);
        let (pid, cpu) = match target {
            Where::Thread(tid, cpu) => (number(tid.get())?, number(cpu)?),
            Where::Task(tid) => (number(tid.get())?, -1),
            Where::Own => (0, -1),
            Where::OwnOn(cpu) => (0, number(cpu)?),
            Where::Processor(cpu) => (-1, number(cpu)?),
        };
        // SAFETY: the kernel reads `size` bytes of `attr`, which is a `perf_event_attr` of that
        // size, and may write its own size to `attr.size`, which is in our copy; nothing else is
        // written. No safe wrapper of this call exists.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw mut attr,
                pid,
                cpu,
                -1, // no group
                FLAG_FD_CLOEXEC,
            )
        };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(last_error)?;
        // SAFETY: the call has returned a new descriptor, which nobody else owns.
        Ok(Event(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The id in its samples, and in those of the copies that new threads inherit.
    pub(crate) fn id(&self) -> Result<u64> {
        let mut id = 0_u64;
        // SAFETY: PERF_EVENT_IOC_ID writes one u64 to the address given.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), IOC_ID, &raw mut id) };
        if result < 0 { Err(last_error()) } else { Ok(id) }
    }

    /// Stops it permanently.
    pub(crate) fn disable(&self) -> Result<()> {
        // SAFETY: PERF_EVENT_IOC_DISABLE takes no argument and writes no memory.
        let result = unsafe { libc::ioctl(self.0.as_raw_fd(), IOC_DISABLE, 0) };
        if result < 0 { Err(last_error()) } else { Ok(()) }
    }

    /// The number of its records that a ring lost, for an event with [`FORMAT_LOST`].
    pub(crate) fn lost(&self) -> Result<u64> {
        let mut values = [0; 16];
        let len = rustix::io::read(&self.0, &mut values)?;
        // `value` and `lost`.
        let lost = values[..len].get(8..16).and_then(|lost| lost.try_into().ok());
        lost.map(u64::from_ne_bytes).ok_or(Errno::INVAL)
    }

    /// Redirects its records to the ring of another event on the same processor.
    pub(crate) fn write_to(&self, other: &Event) -> Result<()> {
        // SAFETY: PERF_EVENT_IOC_SET_OUTPUT takes a descriptor and writes no memory.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), IOC_SET_OUTPUT, other.0.as_raw_fd()) };
        if result < 0 { Err(last_error()) } else { Ok(()) }
    }

    /// Filters the hits of a tracepoint by an expression over its fields (the language of
    /// Documentation/trace/events.rst).
    pub(crate) fn filter(&self, expression: &CStr) -> Result<()> {
        // SAFETY: PERF_EVENT_IOC_SET_FILTER reads a string that a NUL ends.
        let result =
            unsafe { libc::ioctl(self.0.as_raw_fd(), IOC_SET_FILTER, expression.as_ptr()) };
        if result < 0 { Err(last_error()) } else { Ok(()) }
    }
}

impl From<Event> for OwnedFd {
    fn from(event: Event) -> OwnedFd {
        event.0
    }
}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// `PERF_FORMAT_LOST`, since Linux 6.0.
pub(crate) const FORMAT_LOST: u64 = 1 << 4;

const IOC_DISABLE: libc::Ioctl = 0x2401;
const IOC_SET_OUTPUT: libc::Ioctl = 0x2405;
const IOC_SET_FILTER: libc::Ioctl = 0x4008_2406u32 as libc::Ioctl;
const IOC_ID: libc::Ioctl = 0x8008_2407u32 as libc::Ioctl;

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Word offsets of `data_head`, `data_tail`, `data_offset` and `data_size` in `struct
/// perf_event_mmap_page`, which is a page.
const HEAD: usize = 1024;
const TAIL: usize = 1032;
const DATA_OFFSET: usize = 1040;
const DATA_SIZE: usize = 1048;

/// The ring of an event's records. If it is full, records are lost, and a later record reports the
/// loss.
#[derive(Debug)]
pub(crate) struct Ring {
    base: *mut u8,
    len: usize,
    /// Offset of the records.
    data: usize,
    /// A power of two.
    size: usize,
}

// SAFETY: `base` is a mapping of its own, that only this value reads, in whichever thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes the ring of an event with room for `size` bytes, rounded to a power of two of whole
    /// pages.
    ///
    /// # Errors
    /// `EPERM` it exceeds `perf_event_mlock_kb` and `RLIMIT_MEMLOCK`; `ENOMEM`.
    pub(crate) fn new(event: &Event, size: usize) -> Result<Ring> {
        let page = rustix::param::page_size();
        let size = size.max(page).checked_next_power_of_two().ok_or(Errno::NOMEM)?;
        let len = size.checked_add(page).ok_or(Errno::NOMEM)?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, where the kernel chooses.
        let base = unsafe { mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, event, 0)? };
        let mut ring = Ring { base: base.cast(), len, data: page, size };
        // Since Linux 4.1 the page has these fields; before, the records follow after one page.
        let [offset, data_size] =
            [DATA_OFFSET, DATA_SIZE].map(|at| ring.word(at).load(Ordering::Relaxed));
        if offset != 0 {
            (ring.data, ring.size) = (offset as usize, data_size as usize);
        }
        let fits = ring.data.checked_add(ring.size).is_some_and(|end| end <= len);
        if fits && ring.size.is_power_of_two() { Ok(ring) } else { Err(Errno::INVAL) }
    }

    /// Takes the written records, each whole with its header, and frees their room: as many as fit
    /// in `limit` bytes, but at least one. Returns whether the ring is empty now.
    pub(crate) fn take(&mut self, limit: usize, mut each: impl FnMut(&[u8])) -> bool {
        // Acquire: the records up to the head are read after it.
        let head = self.word(HEAD).load(Ordering::Acquire);
        let tail = self.word(TAIL).load(Ordering::Relaxed);
        let available = head.wrapping_sub(tail);
        let mut scratch = Vec::new();
        let mut taken = 0_u64;
        // Never more than the ring's size, as the kernel checks the tail.
        while available <= self.size as u64 && taken < available {
            let position = tail.wrapping_add(taken);
            let len = self.record_len(position);
            let next = taken + len;
            if len < 8 || next > available {
                break;
            }
            if next > limit as u64 && taken > 0 {
                // Release: the room is freed after it was read.
                self.word(TAIL).store(position, Ordering::Release);
                return false;
            }
            each(self.bytes(position, len as usize, &mut scratch));
            taken = next;
        }
        // Invalid data is skipped.
        self.word(TAIL).store(head, Ordering::Release);
        true
    }

    /// The length of the record at a position, from its `struct perf_event_header`. Records begin
    /// at multiples of 8, so no header wraps around.
    fn record_len(&self, position: u64) -> u64 {
        let at = self.data + (position as usize & (self.size - 1) & !7);
        // SAFETY: `at` is a multiple of 8 below the end of the records, and 8 bytes of a mapping
        // that was found long enough are read. The kernel writes only beyond the head.
        let header = unsafe { self.base.add(at).cast::<[u8; 8]>().read() };
        u64::from(u16::from_ne_bytes([header[6], header[7]]))
    }

    /// `len` bytes from a position, at most the bytes between tail and head; copied to `scratch` if
    /// they wrap around.
    fn bytes<'a>(&'a self, position: u64, len: usize, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        let start = position as usize & (self.size - 1);
        let piece = |start: usize, len: usize| {
            // SAFETY: `start + len` is no more than `size`. The kernel does not write between
            // tail and head, and `take` borrows `self` alone until it moves the tail.
            unsafe { std::slice::from_raw_parts(self.base.add(self.data + start), len) }
        };
        let first = len.min(self.size - start);
        if first == len {
            return piece(start, len);
        }
        scratch.clear();
        scratch.extend_from_slice(piece(start, first));
        scratch.extend_from_slice(piece(0, len - first));
        scratch
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        // SAFETY: `at` is one of the constants above: a multiple of 8 in the first page, which
        // stays mapped as long as `self`; kernel and reader change these words atomically only.
        unsafe { &*self.base.add(at).cast::<AtomicU64>() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own, and nothing borrowed from it outlives it.
        let _ = unsafe { munmap(self.base.cast(), self.len) };
    }
}

/// The clock of the samples.
pub(crate) const CLOCK: i32 = libc::CLOCK_MONOTONIC;

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mm::mmap_anonymous;
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher as _;

    /// The kernel's side of a ring.
    struct Kernel {
        base: *mut u8,
        data: usize,
        size: usize,
        head: u64,
    }

    // SAFETY: the mapping stays until both threads have ended.
    unsafe impl Send for Kernel {}

    impl Kernel {
        fn word(&self, at: usize) -> &AtomicU64 {
            // SAFETY: a word of the first page, which both sides change atomically only.
            unsafe { &*self.base.add(at).cast::<AtomicU64>() }
        }

        /// Writes a record, as soon as there is room.
        fn write(&mut self, record: &[u8]) {
            loop {
                let tail = self.word(TAIL).load(Ordering::Acquire);
                if self.head + record.len() as u64 - tail <= self.size as u64 {
                    break;
                }
                std::thread::yield_now();
            }
            for (index, byte) in record.iter().enumerate() {
                let at = (self.head as usize + index) & (self.size - 1);
                // SAFETY: within the records, where the reader has freed the room.
                unsafe { self.base.add(self.data + at).write(*byte) };
            }
            self.head += record.len() as u64;
            self.word(HEAD).store(self.head, Ordering::Release);
        }
    }

    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }
    }

    /// A ring whose writer is a thread.
    fn pair(size: usize) -> (Kernel, Ring) {
        let data = rustix::param::page_size();
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new mapping.
        let base = unsafe { mmap_anonymous(std::ptr::null_mut(), data + size, prot, flags) };
        let base: *mut u8 = base.unwrap().cast();
        (Kernel { base, data, size, head: 0 }, Ring { base, len: data + size, data, size })
    }

    #[test]
    fn a_writer_and_a_reader_at_once() {
        const RECORDS: u64 = 60_000;
        let seed = RandomState::new().hash_one(0) | 1;
        let (mut kernel, mut ring) = pair(4096);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut random = Random(seed);
                for number in 0..RECORDS {
                    let words = 2 + random.below(40);
                    let mut record = ((words * 8) << 48).to_ne_bytes().to_vec();
                    record.extend(number.to_ne_bytes());
                    record.resize(words as usize * 8, number as u8);
                    kernel.write(&record);
                }
            });
            let mut next = 0;
            let mut random = Random(seed.rotate_left(32));
            while next < RECORDS {
                let limit = random.below(6000) as usize;
                ring.take(limit, |record| {
                    let word =
                        |at: usize| record[at..at + 8].try_into().map(u64::from_ne_bytes).ok();
                    assert_eq!(word(0), Some((record.len() as u64) << 48), "seed {seed}");
                    assert_eq!(word(8), Some(next), "seed {seed}");
                    let rest = &record[16..];
                    assert!(rest.iter().all(|byte| *byte == next as u8), "seed {seed}");
                    next += 1;
                });
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn damaged_records_are_skipped_and_never_read_beyond_the_ring() {
        let seed = RandomState::new().hash_one(0) | 1;
        let mut random = Random(seed);
        let (mut kernel, mut ring) = pair(4096);
        for _ in 0..3000 {
            let record: Vec<u8> =
                (0..8 + 8 * random.below(60)).map(|_| random.below(8) as u8).collect();
            kernel.write(&record);
            if random.below(16) == 0 {
                // A head that no kernel writes.
                kernel.head = random.below(u64::MAX) & !7;
                kernel.word(HEAD).store(kernel.head, Ordering::Release);
            }
            while !ring.take(512, |record| assert!(record.len() <= 4096, "seed {seed}")) {}
            let tail = kernel.word(TAIL).load(Ordering::Acquire);
            assert_eq!(tail, kernel.head, "seed {seed}");
        }
    }
}
