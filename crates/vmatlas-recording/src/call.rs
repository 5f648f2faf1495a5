//! The system calls that can change an address space.

mod counts;
mod table;

pub use counts::Counts;
pub use table::{Abi, CallKind, Form, Meaning, SystemCall};

use vmatlas_maps::uapi::prctl::{ARCH_MAP_VDSO_64, ARCH_MAP_VDSO_X32};

/// A system call that has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub kind: CallKind,
    /// Its arguments, as the kernel takes them. Where an argument points to something that
    /// counts, that stands here instead: the node mask of mbind(2) (the first 64 nodes), `start`,
    /// `len` and `mode` of a userfaultfd's range behind its descriptor, address and size of the ring
    /// of io_setup(2), `start_brk`, `brk` and `start_stack` of `PR_SET_MM_MAP`. The size of what shmat(2) attached follows its arguments. Of an arch_prctl(2)
    /// that maps `[vdso]` anew the second is where the lowest of its mappings begins.
    pub args: [u64; 6],
    /// What the kernel returned: an address, 0, or an error number below 0.
    pub result: i64,
}

impl Call {
    /// Whether it maps `[vdso]` anew: arch_prctl(2) with `ARCH_MAP_VDSO_*`, which returns its size.
    pub fn maps_vdso(&self) -> bool {
        let option = u64::from(self.args[0] as u32);
        self.kind == CallKind::ArchPrctl
            && (ARCH_MAP_VDSO_X32..=ARCH_MAP_VDSO_64).contains(&option)
            && self.result > 0
    }
}
