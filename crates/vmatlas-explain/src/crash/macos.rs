//! Logs of programs on macOS, whose numbers of signals and codes are others than Linux's.
//!
//! # References
//!
//! bsd/sys/signal.h and bsd/uxkern/ux_exception.c of XNU: a refused access to memory that is mapped
//! gives SIGBUS, and `si_code` does not show whether a mapping exists.

use crate::crash::{Crash, CrashSource};
use vmatlas_maps::uapi::signal::{SIGBUS, SIGSEGV, SIGSYS};

/// Words of reports that come from macOS: names of files, and of the system in HotSpot's reports.
const SIGNS: [&str; 7] = [
    "/usr/lib/dyld",
    "/usr/lib/system/",
    ".dylib",
    ", bsd-aarch64",
    ", bsd-amd64",
    "uname:Darwin",
    "uname: Darwin",
];

/// Converts the numbers of a report from macOS.
pub(super) fn settle(crash: &mut Crash, report: &[u8]) {
    let of_program = matches!(
        crash.source,
        CrashSource::HsErr | CrashSource::Sanitizer | CrashSource::Go | CrashSource::Runtime
    );
    let has_sign =
        || SIGNS.iter().any(|sign| memchr::memmem::find(report, sign.as_bytes()).is_some());
    if of_program && crash.signal.is_some() && has_sign() {
        convert(crash);
    }
}

/// Converts the number of a signal from that of macOS to that of Linux. Leaves out what only Linux
/// means by it: `si_code`, and an address that SIGBUS shows to be mapped. Near null it is known
/// otherwise that nothing is mapped.
pub(super) fn convert(crash: &mut Crash) {
    crash.signal = crash.signal.map(|signal| match signal {
        10 => SIGBUS,
        12 => SIGSYS,
        other => other,
    });
    if matches!(crash.signal, Some(SIGBUS | SIGSEGV)) {
        (crash.code, crash.present) = (None, None);
    }
    if crash.signal == Some(SIGBUS) {
        crash.address = crash.address.filter(|address| *address < 1 << 16);
    }
}
