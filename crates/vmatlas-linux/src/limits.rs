//! What reading the files of one target may cost.

use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;
use vmatlas_object::Budget;

/// What reading the files of one target may cost. What exceeds it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The memory of the tables of its files, in bytes. 512 MiB by default.
    pub memory: u64,
    /// The processor time of this process, whatever it is used for, since the first of its files was
    /// read; `None` by default.
    pub cpu: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: Budget::DEFAULT_BYTES, cpu: None }
    }
}

impl Limits {
    /// A budget with these limits; its time begins with the first file.
    pub fn budget(self) -> Budget {
        match self.cpu {
            Some(cpu) => Budget::with_time(self.memory, cpu, cpu_time),
            None => Budget::new(self.memory),
        }
    }
}

/// The processor time that all threads of this process have used.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
