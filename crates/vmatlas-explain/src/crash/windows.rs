//! Logs of programs on Windows, where the words of a runtime are the same and no signal ends a
//! program.

use crate::crash::{Crash, CrashSource};
use memchr::memmem;

/// Words near reports that come from Windows: the message of abort() in its C library, an exit code
/// that is a status of Windows, programs, and libraries that exist only there.
const SIGNS: [&str; 14] = [
    "requested the Runtime to terminate it in an unusual way",
    "exit code: 0x",
    "(0xc0000005",
    "(0xc00000fd",
    "(0xc0000409",
    "System.Windows.",
    "MS.Win32.",
    "User32",
    "USER32",
    "kernel32",
    "KERNEL32",
    "ntdll",
    "-windows-",
    "-mingw",
];

/// Leaves out the signal of a report that may come from Windows: the runtime's words do not contain
/// it. The program may also have been built there and run elsewhere.
pub(super) fn settle(crash: &mut Crash, report: &[u8]) {
    let of_runtime = matches!(crash.source, CrashSource::Runtime | CrashSource::Sanitizer);
    let in_words = crash.message.is_some() && crash.code.is_none() && crash.has_ended.is_none();
    if of_runtime && in_words && crash.signal.is_some() && has_sign(report) {
        crash.signal = None;
    }
}

fn has_sign(report: &[u8]) -> bool {
    SIGNS.iter().any(|sign| memmem::find(report, sign.as_bytes()).is_some())
        || has_program(report)
        || has_path(report)
}

/// Whether a text has the name of a program of Windows, such as `app.exe`.
fn has_program(text: &[u8]) -> bool {
    memmem::find_iter(text, b".exe")
        .any(|at| !text.get(at + 4).is_some_and(u8::is_ascii_alphanumeric))
}

/// Whether a text has a path of Windows, such as `C:\src` or `C:/src`.
fn has_path(text: &[u8]) -> bool {
    text.windows(3).enumerate().any(|(at, part)| {
        let before = at.checked_sub(1).and_then(|at| text.get(at));
        matches!(part, [drive, b':', b'\\' | b'/'] if drive.is_ascii_alphabetic())
            && !before.is_some_and(u8::is_ascii_alphanumeric)
    })
}
