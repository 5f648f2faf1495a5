//! Logs of programs on macOS, whose numbers of signals and codes are others than Linux's.
//!
//! # References
//!
//! bsd/sys/signal.h and bsd/uxkern/ux_exception.c of XNU: a refused access to memory that is mapped
//! gives SIGBUS, and `si_code` does not show whether a mapping exists.

use crate::crash::{Crash, CrashSource};
use vmatlas_maps::uapi::siginfo::SEGV_ACCERR;
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

/// Words of reports that may come from macOS, or of a program that was built there: a platform in
/// brackets as Ruby prints it, and directories.
const PERHAPS: [&str; 5] =
    ["-darwin", "/opt/homebrew/", "/usr/local/Cellar/", "/Users/", "DiagnosticReports"];

/// Converts the numbers of a report from macOS, and leaves out those of one that may come from there.
pub(super) fn settle(crash: &mut Crash, report: &[u8]) {
    let of_program = matches!(
        crash.source,
        CrashSource::HsErr | CrashSource::Sanitizer | CrashSource::Go | CrashSource::Runtime
    );
    if !of_program || crash.signal.is_none() {
        return;
    }
    let has = |signs: &[&str]| {
        signs.iter().any(|sign| memchr::memmem::find(report, sign.as_bytes()).is_some())
    };
    let is_go = crash.source == CrashSource::Go;
    // HotSpot names its system.
    let perhaps = || crash.source != CrashSource::HsErr && (has(&PERHAPS) || is_in_program(crash));
    if has(&SIGNS) {
        convert(crash);
    } else if perhaps() || is_on_first_page(crash) || is_go && has_heap_of_go(report) {
        leave_out(crash);
    }
}

/// Whether the instruction lies where macOS loads programs: Linux loads them below, or far above.
fn is_in_program(crash: &Crash) -> bool {
    crash.ip.is_some_and(|ip| (1 << 32..1 << 33).contains(&ip))
}

/// Whether the mapping at a null pointer refused the access: on macOS the first pages are one, and on
/// Linux nothing is mapped there.
fn is_on_first_page(crash: &Crash) -> bool {
    let refused = crash.signal == Some(SIGSEGV) && crash.code == Some(SEGV_ACCERR);
    refused && crash.address.is_some_and(|address| address < 4096)
}

/// Whether a report contains an address of the heap that Go has on macOS with Arm, `0x14000102018`.
fn has_heap_of_go(report: &[u8]) -> bool {
    memchr::memmem::find_iter(report, b"0x14000").any(|at| {
        let digits = report.get(at + 2..).unwrap_or_default();
        digits.iter().take_while(|digit| digit.is_ascii_hexdigit()).count() == 11
    })
}

/// Converts the number of a signal from that of macOS to that of Linux.
pub(super) fn convert(crash: &mut Crash) {
    crash.signal = crash.signal.map(|signal| match signal {
        10 => SIGBUS,
        12 => SIGSYS,
        other => other,
    });
    leave_out(crash);
}

/// Leaves out what only Linux means by a signal: `si_code`, and an address that SIGBUS shows to be
/// mapped. Near null it is known otherwise that nothing is mapped.
fn leave_out(crash: &mut Crash) {
    if matches!(crash.signal, Some(SIGBUS | SIGSEGV)) {
        (crash.code, crash.present) = (None, None);
    }
    if crash.signal == Some(SIGBUS) {
        crash.address = crash.address.filter(|address| *address < 1 << 16);
    }
}
