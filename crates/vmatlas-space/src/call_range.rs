//! The range that a program passes to a system call.

use vmatlas_maps::AddressRange;

/// The address and the length that a program passes to a system call, in bytes. They may be
/// unaligned, and the range may end above the last address: the call then returns the error of
/// the kernel. An [`AddressRange`] converts into it.
///
/// ```
/// use vmatlas_maps::AddressRange;
/// use vmatlas_space::{AddressSpace, CallRange, Errno, KernelProfile, Mmap, Prot};
/// let mut space = AddressSpace::new(KernelProfile::of("6.18".parse()?));
/// let address = space.mmap(&Mmap::anonymous(0x4000, Prot::READ))?;
/// space.munmap(AddressRange::new(address, address + 0x1000))?;
/// let wraps = CallRange { address: address + 0x1000, length: u64::MAX };
/// assert_eq!(space.munmap(wraps), Err(Errno::EINVAL));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRange {
    /// The first address.
    pub address: u64,
    /// The number of bytes.
    pub length: u64,
}

impl From<AddressRange> for CallRange {
    fn from(range: AddressRange) -> CallRange {
        CallRange { address: range.start, length: range.size() }
    }
}
