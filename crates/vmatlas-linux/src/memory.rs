//! The memory of a live process.

use crate::error::Error;
use crate::file_server::{FileServer, Handle};
use crate::files::Files;
use crate::process::Process;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;
use vmatlas_maps::{AddressRange, Device, Maps};
use vmatlas_object::Memory;

/// Time limit for the pages of a file system that may not answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The memory of a live process, read through `/proc/PID/mem`. An open file stays with its address
/// space, even if the process executes another program or its pid is reused.
///
/// Reading swaps in pages. An untouched page stays uncounted, because the kernel maps its zero
/// page. This holds only for private memory: reading a hole of shared memory would fill it, so
/// shared memory is not read.
///
/// Reading a page of a file can block on its file system, so a process reads those of file systems
/// that may not answer, in a way in which the target can still change its mappings meanwhile. The kernel refuses to read a missing page of a userfaultfd (`EIO`).
#[derive(Debug)]
pub struct ProcessMemory {
    file: Handle,
    /// `file` of a server; `None` if no page needs one.
    served: Option<Handle>,
    /// Sorted, with whether the kernel answers for their pages.
    private: Vec<(AddressRange, bool)>,
}

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
        let mut private: Vec<(AddressRange, bool)> = Vec::new();
        for row in maps.iter().filter(|row| row.perms.read() && !row.perms.shared()) {
            let is_anonymous = row.device == Device::default();
            let is_local = is_anonymous || files.is_some_and(|files| files.is_local(&row));
            match private.last_mut() {
                Some((last, local)) if last.end == row.range.start && *local == is_local => {
                    *last = last.with_end(row.range.end);
                }
                _ => private.push((row.range, is_local)),
            }
        }
        let thread = process.living_thread();
        let file = Arc::new(thread.as_ref().unwrap_or(process).open_file("mem")?);
        let id = thread.as_ref().unwrap_or(process).id();
        let start = || {
            let server = FileServer::start(&[file.as_fd()], None, LIMIT).ok()?;
            Some(match process.is_in_our_pid_namespace() {
                true => server.memory(id.tid.unwrap_or(id.pid), &file),
                false => server.directory(&file),
            })
        };
        let served = private.iter().any(|(_, is_local)| !is_local).then(start).flatten();
        Ok(ProcessMemory { file: Handle::Own(file), served, private })
    }

    /// The number of bytes from an address that one read may cover, and the descriptor to read them.
    fn readable(&self, address: u64) -> Option<(u64, &Handle)> {
        let at = self.private.partition_point(|(range, _)| range.end <= address);
        let (range, is_local) =
            self.private.get(at).filter(|(range, _)| range.contains(address))?;
        let handle = if *is_local { Some(&self.file) } else { self.served.as_ref() };
        Some((range.end - address, handle?))
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty())
            && let Some(address) = address.checked_add(length as u64)
            && let Some((readable, handle)) = self.readable(address)
        {
            let wanted = rest.len().min(usize::try_from(readable).unwrap_or(usize::MAX));
            match handle.read_at(address, &mut rest[..wanted]) {
                Ok(0) | Err(_) => break,
                Ok(more) => length += more,
            }
        }
        length
    }
}
