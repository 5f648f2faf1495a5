//! Queries one address of a process.

use crate::error::Error;
use crate::process::Process;
use crate::snapshot::{Source, is_gone};
use crate::sys::procmap_query::{
    COVERING_OR_NEXT_VMA, ProcmapQuery, VMA_EXECUTABLE, VMA_READABLE, VMA_SHARED, VMA_WRITABLE,
    procmap_query,
};
use rustix::io::Errno;
use std::borrow::Borrow;
use std::os::fd::OwnedFd;
use vmatlas_maps::{AddressRange, Device, Kind, Mapping, Maps, Perms};

/// Maximum size in bytes of the name buffer that the kernel accepts (fs/proc/task_mmu.c, 6.11 to
/// 7.3).
const NAME: usize = 4096;

/// Queries the mapping at an address of a process: by `PROCMAP_QUERY`, which takes half a
/// microsecond, or by reading its maps on kernels before 6.11.
#[derive(Debug)]
pub struct PointQuery<P> {
    process: P,
    file: OwnedFd,
    name: Vec<u8>,
    /// The last text reading, if the ioctl is not available.
    text: Maps,
}

/// Selects the mapping to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Which {
    /// The mapping that covers the address.
    Covering,
    /// The mapping that covers the address, otherwise the next one above it.
    CoveringOrNext,
}

impl<P: Borrow<Process>> PointQuery<P> {
    /// Opens the process's maps.
    ///
    /// # Errors
    /// The same as [`Process::rows`].
    pub fn open(process: P) -> Result<Self, Error> {
        let thread = process.borrow().living_thread();
        let file = thread.as_ref().unwrap_or(process.borrow()).open_file(Source::Maps.file())?;
        Ok(PointQuery { process, file, name: vec![0; NAME], text: Maps::default() })
    }

    /// The mapping at an address; `None` if nothing is mapped there, as in a zombie.
    ///
    /// The name has unescaped line feeds if the ioctl answers, and escaped ones if the text was
    /// read; [`raw_name`](PointQuery::raw_name) distinguishes the two.
    ///
    /// # Errors
    /// [`Error::Vanished`] if the address space is gone, because the process ended or executed
    /// another program after [`open`](PointQuery::open). Otherwise the same as [`Process::rows`].
    pub fn find(&mut self, address: u64, which: Which) -> Result<Option<Mapping<'_>>, Error> {
        let flags = if which == Which::CoveringOrNext { COVERING_OR_NEXT_VMA } else { 0 };
        match procmap_query(&self.file, address, flags, &mut self.name) {
            Ok(answer) => {
                let length = (answer.vma_name_size as usize).saturating_sub(1).min(NAME);
                return Ok(Some(mapping(&answer, &self.name[..length])));
            }
            // Only the text contains the gate page [vsyscall].
            Err(Errno::NOENT) if which == Which::Covering && !gate(address) => return Ok(None),
            // ENAMETOOLONG: the text has names of any length. ENOTTY: before 6.11. ESRCH: there may
            // be no address space, or another thread may have it.
            Err(Errno::NOENT | Errno::NAMETOOLONG | Errno::NOTTY | Errno::SRCH) => {}
            Err(errno) => return Err(self.process.borrow().error("maps", errno)),
        }
        let snapshot = self.process.borrow().rows(Source::Maps)?;
        if snapshot.empty.is_none() && snapshot.thread.is_none() && is_gone(&self.file) {
            return Err(self.process.borrow().error("maps", Errno::SRCH));
        }
        self.text = snapshot.maps;
        let place = self.text.find(address);
        let next = if which == Which::CoveringOrNext { place.after } else { None };
        Ok(place.mapping.or(next).and_then(|index| self.text.get(index)))
    }

    /// Whether the address space that was opened is gone.
    #[cfg(all(feature = "record", target_arch = "x86_64", target_pointer_width = "64"))]
    pub(crate) fn is_gone(&self) -> bool {
        is_gone(&self.file)
    }

    /// The name of the mapping at an address with unescaped line feeds; `None` if only the text is
    /// available, which escapes them, or if nothing is mapped.
    pub fn raw_name(&mut self, address: u64) -> Option<&[u8]> {
        let answer = procmap_query(&self.file, address, 0, &mut self.name).ok()?;
        Some(&self.name[..(answer.vma_name_size as usize).saturating_sub(1).min(NAME)])
    }
}

/// Whether an address is above every user address, where x86-64 has its gate page.
fn gate(address: u64) -> bool {
    address >> 63 != 0
}

fn mapping<'a>(answer: &ProcmapQuery, name: &'a [u8]) -> Mapping<'a> {
    let letter = |flag, set, clear| if answer.vma_flags & flag != 0 { set } else { clear };
    let row = Mapping {
        range: AddressRange::new(answer.vma_start, answer.vma_end),
        perms: Perms([
            letter(VMA_READABLE, b'r', b'-'),
            letter(VMA_WRITABLE, b'w', b'-'),
            letter(VMA_EXECUTABLE, b'x', b'-'),
            letter(VMA_SHARED, b's', b'p'),
        ]),
        offset: answer.vma_offset,
        device: Device::new(answer.dev_major, answer.dev_minor),
        inode: answer.inode,
        name,
    };
    debug_assert!(row.kind() != Kind::Vsyscall, "the call does not know the gate page");
    row
}
