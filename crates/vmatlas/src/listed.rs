//! A process in a list.

use vmatlas_recording::EventNumber;

/// A process of a recording or a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedProcess {
    /// Its number; `None` if a log does not contain it.
    pub pid: Option<u32>,
    /// Its last name.
    pub comm: Vec<u8>,
    /// The time of its first event, in nanoseconds from the start; `None` in a log without times.
    pub began_ns: Option<u64>,
    /// The event, or the line of the log, that shows its end; `None` if it was still running.
    pub last: Option<EventNumber>,
    /// The exit status, as in wait(2), if a recording has it.
    pub status: Option<i32>,
}
