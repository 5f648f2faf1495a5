//! Memory and time that readers of untrusted files may take.

use crate::elf::ElfError;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Bytes of memory that the tables of one or more files may take together, and optionally the time
/// in which they may be read. Clones share both.
///
/// ```
/// use vmatlas_object::Budget;
/// let budget = Budget::new(100);
/// let part = budget.take("table", 60)?;
/// assert!(!budget.is_exceeded() && budget.take("names", 60).is_err() && budget.is_exceeded());
/// drop(part);
/// assert!(budget.take("names", 60).is_ok());
/// # Ok::<(), vmatlas_object::elf::ElfError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    shared: Arc<Shared>,
    /// Whether something was refused; of [one file](Budget::of_file) or of all that share it.
    exceeded: Arc<AtomicBool>,
}

struct Shared {
    left: AtomicU64,
    time: Option<Time>,
}

/// A time limit by a clock.
struct Time {
    clock: Clock,
    limit: Duration,
    /// When it began, in nanoseconds of the clock; [`NOT_BEGUN`] before the first structure.
    began: AtomicU64,
}

const NOT_BEGUN: u64 = u64::MAX;

type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

/// Bytes taken from a [`Budget`], which gets them back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Default for Budget {
    /// 512 MiB: more than the symbols and half of the DWARF of the largest programs. No time limit.
    fn default() -> Budget {
        Budget::new(Budget::DEFAULT_BYTES)
    }
}

impl Budget {
    /// The bytes of the default budget.
    pub const DEFAULT_BYTES: u64 = 512 << 20;

    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Budget {
        Budget::of(bytes, None)
    }

    /// A budget of so many bytes that ends when `limit` has passed on a clock, such as the
    /// processor time of this process, since the first structure was taken.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use std::time::Duration;
    /// use vmatlas_object::Budget;
    /// static SECONDS: AtomicU64 = AtomicU64::new(7);
    /// let clock = || Duration::from_secs(SECONDS.load(Ordering::Relaxed));
    /// let budget = Budget::with_time(100, Duration::from_secs(10), clock);
    /// assert!(budget.take("table", 1).is_ok());
    /// SECONDS.store(18, Ordering::Relaxed);
    /// assert!(budget.take("table", 1).is_err());
    /// budget.restart();
    /// assert!(budget.take("table", 1).is_ok());
    /// ```
    pub fn with_time(
        bytes: u64,
        limit: Duration,
        clock: impl Fn() -> Duration + Send + Sync + 'static,
    ) -> Budget {
        let began = AtomicU64::new(NOT_BEGUN);
        Budget::of(bytes, Some(Time { clock: Box::new(clock), limit, began }))
    }

    fn of(bytes: u64, time: Option<Time>) -> Budget {
        let left = AtomicU64::new(bytes);
        Budget { shared: Arc::new(Shared { left, time }), exceeded: Arc::default() }
    }

    /// The same budget for one file: [`is_exceeded`](Budget::is_exceeded) is then about this file.
    #[must_use]
    pub fn of_file(&self) -> Budget {
        Budget { shared: self.shared.clone(), exceeded: Arc::default() }
    }

    /// Begins the time limit anew, with the next structure.
    pub fn restart(&self) {
        if let Some(time) = &self.shared.time {
            time.began.store(NOT_BEGUN, Ordering::Relaxed);
        }
    }

    /// The bytes that are left.
    pub fn left(&self) -> u64 {
        self.shared.left.load(Ordering::Relaxed)
    }

    /// Whether something was refused, so that facts are missing.
    pub fn is_exceeded(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed)
    }

    /// Whether the time limit has not passed yet; what is left undone for want of time
    /// [exceeds](Budget::is_exceeded) the budget.
    pub fn has_time(&self) -> bool {
        self.take("rest", 0).is_ok()
    }

    /// Takes bytes for the structure `place`.
    ///
    /// # Errors
    ///
    /// [`ElfError::OverBudget`] if fewer bytes are left, [`ElfError::OutOfTime`] if the time limit
    /// has passed.
    pub fn take(&self, place: impl Into<Cow<'static, str>>, bytes: u64) -> Result<Lease, ElfError> {
        let taken = match &self.shared.time {
            Some(time) if time.is_over() => Err(ElfError::OutOfTime { place: place.into() }),
            _ => {
                let subtract = |left: u64| left.checked_sub(bytes);
                let left = &self.shared.left;
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, subtract)
                    .map(|_| Lease { shared: self.shared.clone(), bytes })
                    .map_err(|left| ElfError::OverBudget { place: place.into(), size: bytes, left })
            }
        };
        if taken.is_err() {
            self.exceeded.store(true, Ordering::Relaxed);
        }
        taken
    }
}

impl Time {
    fn is_over(&self) -> bool {
        let now = nanoseconds((self.clock)());
        let begun =
            self.began.compare_exchange(NOT_BEGUN, now, Ordering::Relaxed, Ordering::Relaxed);
        let spent = now.saturating_sub(begun.err().unwrap_or(now));
        Duration::from_nanos(spent) > self.limit
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.time.as_ref().map(|time| time.limit);
        f.debug_struct("Budget").field("left", &self.left).field("time", &limit).finish()
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
        self.shared.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}
