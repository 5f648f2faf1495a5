//! The memory of a live process.

use crate::error::Error;
use crate::file_server::{FileServer, Handle};
use crate::files::Files;
use crate::process::Process;
use rustix::param::page_size;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;
use vmatlas_maps::{AddressRange, Device, Kind, Maps};
use vmatlas_object::Memory;

/// Time limit for the pages of a file system that may not answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The memory of a live process, read through `/proc/PID/mem`. An open file stays with its address
/// space, even if the process executes another program or its pid is reused.
///
/// Reading swaps in pages. Untouched pages of anonymous memory are zeros here and stay untouched:
/// the kernel would map its zero page, with page tables that the process pays for, hundreds of
/// megabytes in the shadow memory of a sanitizer. Reading a hole of shared memory would fill it, so
/// only private memory is read.
///
/// Reading a page of a file can block on its file system, so a process reads those of file systems
/// that may not answer, in a way in which the target can still change its mappings meanwhile. The kernel refuses to read a missing page of a userfaultfd (`EIO`).
#[derive(Debug)]
pub struct ProcessMemory {
    file: Handle,
    /// `file` of a server; `None` if no page needs one.
    served: Option<Handle>,
    /// See proc_pid_pagemap(5); `None` if it cannot be opened.
    pagemap: Option<OwnedFd>,
    /// Sorted.
    private: Vec<(AddressRange, Pages)>,
}

/// Where the untouched pages of private memory come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pages {
    /// They are zeros.
    Zeros,
    /// From the kernel, or a file system of which it has the pages.
    Local,
    /// From a file system that may not answer.
    Remote,
}

/// Most pages whose state is read at once.
const MAX_STATES: usize = 512;

impl ProcessMemory {
    /// Opens the memory of a process for reading, restricted to the private rows of `maps`. `files`
    /// are those of the process. This needs ptrace(2) permission.
    ///
    /// # Errors
    /// The same as [`Process::read`].
    pub fn open(
        process: &Process,
        maps: &Maps,
        files: Option<&Files>,
    ) -> Result<ProcessMemory, Error> {
        let mut private: Vec<(AddressRange, Pages)> = Vec::new();
        for row in maps.iter().filter(|row| row.perms.read() && !row.perms.shared()) {
            let is_local =
                row.device == Device::default() || files.is_some_and(|files| files.is_local(&row));
            let pages = match row.kind() {
                Kind::Anonymous
                | Kind::NamedAnonymous { .. }
                | Kind::Heap
                | Kind::Stack
                | Kind::ThreadStack { .. } => Pages::Zeros,
                _ if is_local => Pages::Local,
                _ => Pages::Remote,
            };
            match private.last_mut() {
                Some((last, of_last)) if last.end == row.range.start && *of_last == pages => {
                    *last = last.with_end(row.range.end);
                }
                _ => private.push((row.range, pages)),
            }
        }
        let thread = process.living_thread();
        let file = Arc::new(thread.as_ref().unwrap_or(process).open_file("mem")?);
        let pagemap = thread.as_ref().unwrap_or(process).open_file("pagemap").ok();
        let id = thread.as_ref().unwrap_or(process).id();
        let start = || {
            let server = FileServer::start(&[file.as_fd()], None, LIMIT).ok()?;
            Some(match process.is_in_our_pid_namespace() {
                true => server.memory(id.tid.unwrap_or(id.pid), &file),
                false => server.directory(&file),
            })
        };
        let is_remote = private.iter().any(|(_, pages)| *pages == Pages::Remote);
        let served = is_remote.then(start).flatten();
        Ok(ProcessMemory { file: Handle::Own(file), served, pagemap, private })
    }

    /// The number of bytes from an address that one read may cover, at most `most`, and the
    /// descriptor to read them; `None` in its place if they are zeros.
    fn readable(&self, address: u64, most: usize) -> Option<(usize, Option<&Handle>)> {
        let at = self.private.partition_point(|(range, _)| range.end <= address);
        let (range, pages) = self.private.get(at).filter(|(range, _)| range.contains(address))?;
        let length = usize::try_from(range.end - address).unwrap_or(usize::MAX).min(most);
        match pages {
            Pages::Zeros => {
                let (length, are_touched) = self.alike(address, length).unwrap_or((length, true));
                Some((length, are_touched.then_some(&self.file)))
            }
            Pages::Local => Some((length, Some(&self.file))),
            Pages::Remote => Some((length, Some(self.served.as_ref()?))),
        }
    }

    /// The number of bytes from an address to the first page that was touched if that of the address
    /// was not, or the other way round; and whether that of the address was. `None` if the kernel
    /// does not say.
    fn alike(&self, address: u64, most: usize) -> Option<(usize, bool)> {
        /// The page is in memory, or in swap or marked, as guard pages are.
        const TOUCHED: u64 = 1 << 63 | 1 << 62;
        let page = page_size() as u64;
        let first = address / page;
        let last = address.saturating_add(most as u64 - 1) / page;
        let count = usize::try_from(last - first + 1).unwrap_or(usize::MAX).min(MAX_STATES);
        let mut states = [0; 8 * MAX_STATES];
        let states = &mut states[..8 * count];
        let length = rustix::io::pread(self.pagemap.as_ref()?, &mut *states, 8 * first).ok()?;
        let (states, _) = states[..length].as_chunks::<8>();
        let mut touched = states.iter().map(|state| u64::from_ne_bytes(*state) & TOUCHED != 0);
        let is_first = touched.next()?;
        let alike = 1 + touched.take_while(|other| *other == is_first).count() as u64;
        let end = (first + alike).saturating_mul(page);
        Some((most.min(usize::try_from(end - address).unwrap_or(usize::MAX)), is_first))
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty())
            && let Some(address) = address.checked_add(length as u64)
            && let Some((readable, handle)) = self.readable(address, rest.len())
        {
            let rest = &mut rest[..readable];
            let read = match handle {
                Some(handle) => handle.read_at(address, rest),
                None => {
                    rest.fill(0);
                    Ok(readable)
                }
            };
            match read {
                Ok(0) | Err(_) => break,
                Ok(more) => length += more,
            }
        }
        length
    }
}
