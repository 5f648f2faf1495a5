//! The live memory of a task for a walk.

use crate::process::Process;
use crate::query::{PointQuery, Which};
use crate::sys::vm_read;
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use vmatlas_maps::Device;
use vmatlas_object::unwind::ReadMemory;
use vmatlas_recording::Tid;

/// Size of the first read. It covers half of all stacks and the innermost frames of the others, and
/// two pages cost hardly more than a word.
const FIRST: usize = 8192;
/// Maximum size of a later read; sizes double.
const MAX: usize = 64 << 10;
/// Maximum number of reads per walk. A stack of 256 large frames needs many.
const PIECES: usize = 48;

/// The live memory of a stopped task, read in pieces on demand.
#[derive(Debug, Default)]
pub(crate) struct TaskMemory {
    tid: Tid,
    pieces: Vec<Piece>,
    /// The number of `pieces` in this walk; the others keep their buffers.
    used: usize,
    /// The piece with the last word.
    last: usize,
    /// /proc/TID/mem, if the system call is forbidden.
    file: Option<(Tid, File)>,
    guard: Option<Guard>,
}

/// Refuses memory whose pages a file system may never deliver.
#[derive(Debug)]
struct Guard {
    /// `None` if its rows are not known: then nothing is read.
    query: Option<PointQuery<Arc<Process>>>,
    refused: HashSet<Device>,
}

impl Guard {
    /// The number of bytes at an address that may be read at once, at most `most`.
    fn readable(&mut self, address: u64, most: usize) -> usize {
        let Some(query) = &mut self.query else { return 0 };
        let Ok(Some(row)) = query.find(address, Which::Covering) else { return 0 };
        if self.refused.contains(&row.device) {
            return 0;
        }
        most.min(usize::try_from(row.range.end - address).unwrap_or(usize::MAX))
    }
}

#[derive(Debug, Default)]
struct Piece {
    start: u64,
    /// The number of valid `bytes`; the rest is from earlier walks.
    size: usize,
    bytes: Vec<u8>,
}

impl Piece {
    fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes[..self.size].get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }
}

impl TaskMemory {
    /// Selects the task to read.
    pub(crate) fn of(&mut self, tid: Tid) -> &mut TaskMemory {
        self.tid = tid;
        self.used = 0;
        self
    }

    /// From now on, refuses memory in rows of these devices, if there are any.
    pub(crate) fn guard(
        &mut self,
        query: &mut Option<PointQuery<Arc<Process>>>,
        refused: &mut HashSet<Device>,
    ) {
        if !refused.is_empty() {
            self.guard = Some(Guard { query: query.take(), refused: std::mem::take(refused) });
        }
    }

    /// Gives back what the guard took.
    pub(crate) fn end_guard(
        &mut self,
        query: &mut Option<PointQuery<Arc<Process>>>,
        refused: &mut HashSet<Device>,
    ) {
        if let Some(guard) = self.guard.take() {
            *query = guard.query;
            *refused = guard.refused;
        }
    }

    /// Reads a missing piece.
    fn fetch(&mut self, address: u64) -> Option<u64> {
        if let Some(found) = (0..self.used).find_map(|i| Some((i, self.pieces[i].word(address)?))) {
            self.last = found.0;
            return Some(found.1);
        }
        if self.used == PIECES {
            return None;
        }
        // From the second piece on whole pages; a word may begin in the page before.
        let (start, size) = match self.used {
            0 => (address, FIRST),
            used => (address & !4095, (FIRST << used.min(4)).min(MAX)),
        };
        if self.pieces.len() == self.used {
            self.pieces.push(Piece::default());
        }
        let mut bytes = std::mem::take(&mut self.pieces[self.used].bytes);
        if bytes.len() < size {
            bytes.resize(size, 0);
        }
        let read = self.read(start, &mut bytes[..size]);
        let piece = &mut self.pieces[self.used];
        *piece = Piece { start, size: read, bytes };
        let word = piece.word(address);
        self.last = self.used;
        self.used += 1;
        // An unaligned word may span two pieces.
        word.or_else(|| {
            let mut bytes = [0; 8];
            (self.read(address, &mut bytes) == 8).then(|| u64::from_le_bytes(bytes))
        })
    }

    /// Reads memory; returns the number of bytes.
    pub(crate) fn read(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        // With a guard, row by row.
        while done < bytes.len() {
            let Some(next) = address.checked_add(done as u64) else { break };
            let left = &mut bytes[done..];
            let most = left.len();
            let readable = self.guard.as_mut().map_or(most, |guard| guard.readable(next, most));
            let read = self.read_now(next, &mut left[..readable]);
            done += read;
            if read == 0 || read < readable {
                break;
            }
        }
        done
    }

    /// Reads memory that may be read at once.
    fn read_now(&mut self, address: u64, bytes: &mut [u8]) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        match vm_read::read_memory(self.tid, address, bytes) {
            Ok(read) => read,
            // A seccomp filter around us may forbid the system call.
            Err(Errno::PERM | Errno::NOSYS) => self.read_file(address, bytes).unwrap_or(0),
            Err(_) => 0,
        }
    }

    /// Reads through the file instead of the system call.
    pub(super) fn read_file(&mut self, address: u64, bytes: &mut [u8]) -> Option<usize> {
        if self.file.as_ref().is_none_or(|(tid, _)| *tid != self.tid) {
            let file = File::open(format!("/proc/{}/mem", self.tid)).ok()?;
            self.file = Some((self.tid, file));
        }
        let (_, file) = self.file.as_ref()?;
        let read = file.read_at(bytes, address);
        if !matches!(read, Ok(1..)) {
            // The id may now be another task's, or its address space is gone.
            self.file = None;
        }
        read.ok()
    }
}

impl ReadMemory for TaskMemory {
    fn begin(&mut self, stack_pointer: u64) {
        self.used = 0;
        self.last = 0;
        self.fetch(stack_pointer);
    }

    #[inline]
    fn word(&mut self, address: u64) -> Option<u64> {
        let last = self.pieces[..self.used].get(self.last);
        match last.and_then(|piece| piece.word(address)) {
            Some(word) => Some(word),
            None => self.fetch(address),
        }
    }

    fn code(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        self.read(address, bytes) == bytes.len()
    }
}
