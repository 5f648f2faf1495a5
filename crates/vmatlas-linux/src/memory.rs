//! The memory of a live process.

use crate::error::Error;
use crate::process::Process;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use vmatlas_maps::{AddressRange, Maps};
use vmatlas_object::Memory;

/// The memory of a live process, read through `/proc/PID/mem`: once opened, it stays the address
/// space it was, whatever the process executes and whoever gets its number.
///
/// Reading brings in pages that were swapped out. Pages that were never touched stay so as far as
/// anyone sees: the kernel maps its page of zeroes, which counts nowhere. That holds of private
/// memory only: a hole of shared memory would be filled, so what is shared is not read at all.
///
/// A page of a file comes from its file system, which may keep the reader waiting; one that a
/// userfaultfd is to give is refused by the kernel (`EIO`).
#[derive(Debug)]
pub struct ProcessMemory {
    file: OwnedFd,
    /// In order.
    private: Vec<AddressRange>,
}

impl ProcessMemory {
    /// Opens the memory of a process for reading, as far as these rows of it are private; this takes
    /// the rights of ptrace(2).
    ///
    /// # Errors
    /// As for [`Process::read`].
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

    /// How much of what begins at an address may be read in one go.
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
