//! Whether perf events can be used.

use super::error::Error;
use super::parse::SAMPLE_TYPE;
use crate::sys::perf_event::{self, Attr, Event, Where, flag};
use rustix::io::Errno;

/// Whether the calling thread may have an event at all. Whether a certain process may be recorded
/// only [`Perf::attach`](super::Perf::attach) tells.
pub(crate) fn allowed() -> Result<(), Error> {
    match Event::open(&dummy(), Where::Own) {
        Ok(_) => Ok(()),
        Err(errno @ (Errno::PERM | Errno::ACCESS)) => Err(match paranoid() {
            // Above 2 is no value of the kernel itself, but of Debian's and Android's patches.
            Some(level @ 3..) => Error::Paranoid { level },
            _ => Error::Refused(errno),
        }),
        Err(errno @ Errno::NOSYS) => Err(Error::Missing(errno)),
        Err(errno) => Err(Error::Other { what: "perf_event_open", errno }),
    }
}

/// An event that asks for nothing, with the clock and identification of all others.
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
