//! Memory that readers of untrusted files may hold.

use crate::elf::ElfError;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of memory that the tables of one or more files may take together. Clones share them.
///
/// ```
/// use vmatlas_object::Budget;
/// let budget = Budget::new(100);
/// let part = budget.take("table", 60)?;
/// assert!(budget.take("names", 60).is_err());
/// drop(part);
/// assert!(budget.take("names", 60).is_ok());
/// # Ok::<(), vmatlas_object::elf::ElfError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Budget(Arc<AtomicU64>);

/// Bytes taken from a [`Budget`], which gets them back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    budget: Budget,
    bytes: u64,
}

impl Default for Budget {
    /// 512 MiB: more than the symbols and half of the DWARF of the largest programs.
    fn default() -> Budget {
        Budget::new(512 << 20)
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Budget {
        Budget(Arc::new(AtomicU64::new(bytes)))
    }

    /// The bytes that are left.
    pub fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes bytes for the structure `place`.
    ///
    /// # Errors
    ///
    /// [`ElfError::OverBudget`] if fewer bytes are left.
    pub fn take(&self, place: impl Into<Cow<'static, str>>, bytes: u64) -> Result<Lease, ElfError> {
        let subtract = |left: u64| left.checked_sub(bytes);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract) {
            Ok(_) => Ok(Lease { budget: self.clone(), bytes }),
            Err(left) => Err(ElfError::OverBudget { place: place.into(), size: bytes, left }),
        }
    }
}

impl Lease {
    /// The number of bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
