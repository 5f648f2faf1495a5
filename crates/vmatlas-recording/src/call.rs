//! The system calls that can change an address space.

mod counts;
mod table;

pub use counts::Counts;
pub use table::{Abi, CallKind, Form, Meaning, SystemCall};

use vmatlas_maps::uapi::prctl::{ARCH_MAP_VDSO_64, ARCH_MAP_VDSO_X32};

/// A system call that has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The kind of the call.
    pub kind: CallKind,
    /// The arguments as the kernel takes them. An argument that points to relevant data is replaced
    /// by the data: the node mask of mbind(2) (the first 64 nodes), `start`, `len` and `mode` of a
    /// userfaultfd's range after its descriptor, address and size of the ring of io_setup(2),
    /// `start_brk`, `brk` and `start_stack` of `PR_SET_MM_MAP`. For shmat(2) the segment's size
    /// follows the arguments. For an arch_prctl(2) that maps `[vdso]` again, the second argument is
    /// the address of the lowest of its mappings.
    pub args: [u64; 6],
    /// The kernel's return value: an address, 0, or a negative error number.
    pub result: i64,
}

impl Call {
    /// Whether it maps `[vdso]` again: arch_prctl(2) with `ARCH_MAP_VDSO_*`, which returns its
    /// size.
    pub fn maps_vdso(&self) -> bool {
        let option = u64::from(self.args[0] as u32);
        self.kind == CallKind::ArchPrctl
            && (ARCH_MAP_VDSO_X32..=ARCH_MAP_VDSO_64).contains(&option)
            && self.result > 0
    }
}
