//! The memory of a live process.

use crate::error::Error;
use crate::process::Process;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use vmatlas::Memory;

/// The memory of a live process, read through `/proc/PID/mem`: once opened, it stays the address
/// space it was, whatever the process executes and whoever gets its number.
///
/// Reading brings in pages that were swapped out. Pages that were never touched stay so as far as
/// anyone sees: the kernel maps its page of zeroes, which counts nowhere.
#[derive(Debug)]
pub struct ProcessMemory(OwnedFd);

impl ProcessMemory {
    /// Opens the memory of a process for reading; this takes the rights of ptrace(2).
    ///
    /// # Errors
    /// As for [`Process::read`].
    pub fn open(process: &Process) -> Result<ProcessMemory, Error> {
        process.open_file("mem").map(ProcessMemory)
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, bytes: &mut [u8]) -> usize {
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            let Some(offset) = address.checked_add(length as u64) else { break };
            match rustix::io::pread(&self.0, rest, offset) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        length
    }
}
