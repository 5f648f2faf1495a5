//! The memory of a live process.

use crate::error::Error;
use crate::process::Process;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::Memory;

/// The memory of a live process, read through `/proc/PID/mem`. An open file stays with its address
/// space, even if the process executes another program or its pid is reused.
///
/// Reading swaps in pages. An untouched page stays uncounted, because the kernel maps its zero
/// page. This holds only for private memory: reading a hole of shared memory would fill it, so
/// shared memory is not read.
///
/// Reading a file page can block on its file system. The kernel refuses to read a missing page of a
/// userfaultfd (`EIO`).
#[derive(Debug)]
pub struct ProcessMemory {
    file: OwnedFd,
    /// Sorted.
    private: Vec<AddressRange>,
}

impl ProcessMemory {
    /// Opens the memory of a process for reading, restricted to the private rows of `maps`. This
    /// needs ptrace(2) permission.
    ///
    /// # Errors
    /// The same as [`Process::read`].
    pub fn open(process: &Process, maps: &Maps) -> Result<ProcessMemory, Error> {
        let mut private: Vec<AddressRange> = Vec::new();
        for row in maps.iter().filter(|row| row.perms.read() && !row.perms.shared()) {
            match private.last_mut() {
                Some(last) if last.end == row.range.start => *last = last.with_end(row.range.end),
                _ => private.push(row.range),
            }
        }
        let thread = process.living_thread();
        let file = thread.as_ref().unwrap_or(process).open_file("mem")?;
        Ok(ProcessMemory { file, private })
    }

    /// The number of bytes from an address that one read may cover.
    fn readable(&self, address: u64) -> u64 {
        let at = self.private.partition_point(|range| range.end <= address);
        let range = self.private.get(at).filter(|range| range.contains(address));
        range.map_or(0, |range| range.end - address)
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let readable = usize::try_from(self.readable(address)).unwrap_or(usize::MAX);
        let wanted = readable.min(bytes.len());
        let bytes = &mut bytes[..wanted];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            let Some(offset) = address.checked_add(length as u64) else { break };
            match rustix::io::pread(&self.file, rest, offset) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        length
    }
}
