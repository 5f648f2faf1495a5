//! The live memory of a task for a walk.

use crate::file_server::Handle;
use crate::process::Process;
use crate::query::{PointQuery, Which};
use std::collections::HashSet;
use std::sync::Arc;
use vmatlas_maps::Device;
use vmatlas_object::unwind::ReadMemory;

/// Size of the first read. It covers half of all stacks and the innermost frames of the others, and
/// two pages cost hardly more than a word.
const FIRST: usize = 8192;
/// Maximum size of a later read; sizes double.
const MAX: usize = 64 << 10;
/// Maximum number of reads per walk. A stack of 256 large frames needs many.
const PIECES: usize = 48;

/// Size of a read of code, which lies within few pages.
const PAGE: u64 = 4096;

/// The live memory of a task, read in pieces on demand from `/proc/TID/mem`. Unlike
/// process_vm_readv(2), the kernel then does not wait for the missing pages of a userfaultfd.
#[derive(Debug, Default)]
pub(crate) struct TaskMemory {
    /// `None` if it may not be read.
    file: Option<Handle>,
    pieces: Vec<Piece>,
    /// The number of `pieces` in this walk; the others keep their buffers.
    used: usize,
    /// The piece with the last word.
    last: usize,
    /// Pages of code, if a server reads them.
    code: Vec<Piece>,
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
    /// Copies bytes at an address, if it has all of them.
    fn copy(&self, address: u64, bytes: &mut [u8]) -> bool {
        let at = address.checked_sub(self.start).and_then(|at| usize::try_from(at).ok());
        let here = at.and_then(|at| self.bytes[..self.size].get(at..at.checked_add(bytes.len())?));
        here.map(|here| bytes.copy_from_slice(here)).is_some()
    }

    fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let bytes = self.bytes[..self.size].get(at..)?.first_chunk()?;
        Some(u64::from_le_bytes(*bytes))
    }
}

impl TaskMemory {
    /// Selects the memory to read: `mem` of a task.
    pub(crate) fn of(&mut self, file: Option<Handle>) -> &mut TaskMemory {
        self.file = file;
        self.used = 0;
        self.code.clear();
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
        let Some(file) = self.file.as_ref().filter(|_| !bytes.is_empty()) else { return 0 };
        file.read_at(address, bytes).unwrap_or(0)
    }

    /// Reads code through a server, which a request costs more than a page.
    fn served_code(&mut self, address: u64, bytes: &mut [u8]) -> bool {
        if self.code.iter().any(|piece| piece.copy(address, bytes)) {
            return true;
        }
        let start = address & !(PAGE - 1);
        let mut page = vec![0; PAGE as usize];
        let size = self.read(start, &mut page);
        self.code.push(Piece { start, size, bytes: page });
        // Code may span two pages.
        self.code.last().is_some_and(|piece| piece.copy(address, bytes))
            || self.read(address, bytes) == bytes.len()
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
        match self.file {
            Some(Handle::Served(_)) => self.served_code(address, bytes),
            _ => self.read(address, bytes) == bytes.len(),
        }
    }
}
