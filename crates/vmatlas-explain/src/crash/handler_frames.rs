//! The frames of a signal handler on a stack.

use crate::crash::functions::{plain, sends_signal};
use crate::crash::{Crash, SymbolFrame};
use vmatlas_maps::uapi::signal::SIGABRT;

/// Maximum number of frames of a signal handler before the frame that crashed.
pub(super) const MAX_HANDLERS: usize = 16;

impl Crash {
    /// Leaves out the frames of a signal handler, so that the first frame is the one that the signal
    /// interrupted. If the handler called abort(3), the signal that it got is unknown.
    pub fn leave_out_handler(&mut self) {
        let Some(count) = count(&self.frames) else { return };
        self.frames.drain(..count);
        if self.signal == Some(SIGABRT) && !self.frames.first().is_some_and(aborts) {
            self.ended_by = self.signal.take();
        }
    }
}

/// The number of frames of a signal handler before the frame that crashed: up to the code to which
/// handlers return. Debuggers call it `<signal handler called>`. Without its name, it is the only
/// unnamed frame of the C library between two frames outside of it: a function of the library that a
/// program can call has a name.
fn count(frames: &[SymbolFrame]) -> Option<usize> {
    const RETURNS: [&str; 6] = [
        "<signal handler called>",
        "__restore_rt",
        "__restore",
        "__kernel_rt_sigreturn",
        "__kernel_sigreturn",
        "__sigreturn",
    ];
    let of_library = |frame: &SymbolFrame| {
        let file = frame.module.rsplit('/').next().unwrap_or_default();
        ["libc.", "libc-", "libpthread"].iter().any(|start| file.starts_with(start))
    };
    let returns = |at: usize, frame: &SymbolFrame| {
        if RETURNS.contains(&&*frame.function) {
            return true;
        }
        let before = at.checked_sub(1).and_then(|at| frames.get(at));
        let after = frames.get(at + 1);
        let outside = |frame: Option<&SymbolFrame>, excluded: &str| {
            frame.is_some_and(|frame| {
                !of_library(frame) && !frame.function.is_empty() && frame.function != excluded
            })
        };
        let unnamed = frame.function.is_empty() && of_library(frame);
        unnamed && outside(before, "main") && outside(after, "_start")
    };
    let first = frames.iter().enumerate().take(MAX_HANDLERS);
    let at = first.filter(|(at, frame)| returns(*at, frame)).map(|(at, _)| at).next()?;
    (at + 1 < frames.len()).then_some(at + 1)
}

/// Whether a function sends SIGABRT, as abort(3) does.
fn aborts(frame: &SymbolFrame) -> bool {
    plain(&frame.function) == "abort" || sends_signal(&frame.function)
}
