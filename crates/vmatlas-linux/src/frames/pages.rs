//! The frames that a process maps.

use crate::error::Error;
use crate::process::Process;
use crate::sys::pagemap_scan::present_in;
use rustix::io::{Errno, pread};
use std::os::fd::OwnedFd;
use vmatlas_maps::AddressRange;

/// The bits of an entry of `/proc/PID/pagemap`, see proc_pid_pagemap(5).
const PRESENT: u64 = 1 << 63;
/// Only this process maps the frame, once (since Linux 4.2).
const EXCLUSIVE: u64 = 1 << 56;
const FRAME: u64 = (1 << 55) - 1;
/// The bytes of an entry.
const ENTRY: u64 = 8;
/// Entries that are read at once: 256 KiB.
const ENTRIES: usize = 32 << 10;
/// A longer range is first asked for its resident pages: a runtime reserves terabytes. An entry of a
/// hole takes some 3 ns (Linux 6.18).
const LONG: u64 = 256 << 20;

/// `/proc/PID/pagemap` of a process.
pub struct PageFrames<'p> {
    process: &'p Process,
    pagemap: OwnedFd,
    buffer: Vec<u8>,
    page: u64,
}

impl<'p> PageFrames<'p> {
    /// Opens it.
    ///
    /// # Errors
    /// The same as [`Process::read`].
    pub fn open(process: &'p Process) -> Result<PageFrames<'p>, Error> {
        let pagemap = process.open_file("pagemap")?;
        let page = rustix::param::page_size() as u64;
        Ok(PageFrames { process, pagemap, buffer: vec![0; ENTRIES * ENTRY as usize], page })
    }

    /// Calls `found` with the frame of each resident page of a range, in the order of the addresses,
    /// and whether only this process maps it.
    ///
    /// # Errors
    /// [`Error::Vanished`] if the address space is gone, otherwise [`Error::Io`].
    pub fn each(
        &mut self,
        range: AddressRange,
        mut found: impl FnMut(u64, bool),
    ) -> Result<(), Error> {
        self.each_in(range, &mut found).map_err(|errno| self.process.error("pagemap", errno))
    }

    fn each_in(
        &mut self,
        range: AddressRange,
        found: &mut impl FnMut(u64, bool),
    ) -> Result<(), Errno> {
        if range.size() <= LONG {
            return self.each_of(range, found);
        }
        match present_in(&self.pagemap, range) {
            Ok(present) => present.into_iter().try_for_each(|range| self.each_of(range, found)),
            Err(Errno::SRCH) => Err(Errno::SRCH),
            // Before Linux 6.7, or in too many pieces.
            Err(_) => self.each_of(range, found),
        }
    }

    fn each_of(
        &mut self,
        range: AddressRange,
        found: &mut impl FnMut(u64, bool),
    ) -> Result<(), Errno> {
        let (mut at, end) = (range.start / self.page, range.end.div_ceil(self.page));
        while at < end {
            let count = (end - at).min(ENTRIES as u64) as usize;
            let buffer = &mut self.buffer[..count * ENTRY as usize];
            let length = match pread(&self.pagemap, &mut *buffer, at * ENTRY) {
                Ok(0) => break,
                Ok(length) => length,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            };
            let (entries, _) = buffer[..length].as_chunks::<8>();
            for entry in entries {
                let entry = u64::from_ne_bytes(*entry);
                let frame = entry & FRAME;
                // A frame of 0 is one that the kernel hides.
                if entry & PRESENT != 0 && frame != 0 {
                    found(frame, entry & EXCLUSIVE != 0);
                }
            }
            at += (length as u64 / ENTRY).max(1);
        }
        Ok(())
    }
}
