//! Whether perf events can be used.

use super::error::Error;
use super::parse::SAMPLE_TYPE;
use crate::sys::perf_event::{self, Attr, Event, Where, flag};
use rustix::io::Errno;

/// Checks whether the calling thread may open any event. Only [`Perf::attach`](super::Perf::attach)
/// shows whether a given process may be recorded.
pub(crate) fn allowed() -> Result<(), Error> {
    match Event::open(&dummy(), Where::Own) {
        Ok(_) => Ok(()),
        Err(errno @ (Errno::PERM | Errno::ACCESS)) => Err(match paranoid() {
            // Levels above 2 come from patches of Debian and Android, not from the kernel itself.
            Some(level @ 3..) => Error::Paranoid { level },
            _ => Error::Refused(errno),
        }),
        Err(errno @ Errno::NOSYS) => Err(Error::Missing(errno)),
        Err(errno) => Err(Error::Other { what: "perf_event_open", errno }),
    }
}

/// An event that requests nothing, with the common clock and identification.
fn dummy() -> Attr {
    Attr {
        kind: perf_event::TYPE_SOFTWARE,
        config: perf_event::SW_DUMMY,
        sample_type: SAMPLE_TYPE,
        clockid: perf_event::CLOCK,
        flags: flag::EXCLUDE_KERNEL | flag::EXCLUDE_HV | flag::USE_CLOCKID | flag::SAMPLE_ID_ALL,
        ..Attr::default()
    }
}

fn paranoid() -> Option<i32> {
    std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
}
