//! The frames of a signal handler on a stack.

use crate::crash::functions::{plain, sends_signal};
use crate::crash::{Crash, CrashSource, SymbolFrame};
use vmatlas_maps::uapi::signal::SIGABRT;

/// Maximum number of frames of a signal handler before the frame that crashed.
pub(super) const MAX_HANDLERS: usize = 16;

/// The code to which signal handlers return, under the names that debuggers and C libraries give it.
const RETURNS: [&str; 6] = [
    "<signal handler called>",
    "__restore_rt",
    "__restore",
    "__kernel_rt_sigreturn",
    "__kernel_sigreturn",
    "__sigreturn",
];

/// The signal handlers of Chromium, Redis and Ruby, which print the stack.
const REPORTERS: [&str; 5] =
    ["StackDumpSignalHandler", "sigsegvHandler", "sigsegv", "sigbus", "sigill"];

/// Functions by which Ruby reports an error of its own.
const RUBY: [&str; 5] =
    ["rb_print_backtrace", "rb_vm_bugreport", "rb_bug_without_die", "rb_bug", "rb_assert_failure"];

impl Crash {
    /// Leaves out the frames of Ruby's report about an error of its own, which no signal interrupted.
    pub(super) fn leave_out_ruby(&mut self) {
        let mut frames = self.frames.iter().take(MAX_HANDLERS);
        let reports = |frame: &SymbolFrame| RUBY.contains(&&*frame.function);
        let last = (0..MAX_HANDLERS).rev().find(|at| self.frames.get(*at).is_some_and(reports));
        let behind = match last {
            Some(at) => at + 1,
            // Some of these functions have no name in the library.
            None => frames.position(|frame| !frame.function.is_empty()).unwrap_or_default(),
        };
        self.frames.drain(..behind);
    }

    /// Leaves out the frames of a signal handler that printed its own stack, from its first frame to
    /// the code to which it returns. If that code is not on the stack, no frame is known to be the
    /// program's.
    pub(super) fn leave_out_reporter(&mut self) {
        let frames = self.frames.get(..MAX_HANDLERS.min(self.frames.len())).unwrap_or_default();
        let is_named = |frame: &SymbolFrame| RETURNS.contains(&&*frame.function);
        let is_last = |frame: &SymbolFrame| {
            // `base::debug::(anonymous namespace)::StackDumpSignalHandler(int, siginfo_t*, void*)`
            let name = frame.function.rsplit("::").next().unwrap_or_default();
            REPORTERS.contains(&name.split('(').next().unwrap_or_default())
        };
        let is_return = |at: usize| frames.get(at).is_some_and(is_unnamed_return);
        let behind = match frames.iter().position(is_named) {
            Some(at) => Some(at + 1),
            None => match frames.iter().position(is_last) {
                Some(last) if frames.get(last + 1).is_some_and(|f| f.function.is_empty()) => {
                    Some(last + 2)
                }
                Some(last) => Some(last + 1),
                None => (1..frames.len()).find(|at| is_return(*at)).map(|at| at + 1),
            },
        };
        self.frames.drain(..behind.unwrap_or(self.frames.len()));
    }

    /// Leaves out the frames of a signal handler, so that the first frame is the one that the signal
    /// interrupted. If the handler called abort(3), the signal that it got is unknown.
    pub fn leave_out_handler(&mut self) {
        let Some(at) = named(&self.frames).or_else(|| self.unnamed()) else { return };
        self.frames.drain(..=at);
        if self.signal == Some(SIGABRT) && !self.frames.first().is_some_and(aborts) {
            self.ended_by = self.signal.take();
        }
    }

    /// The function that a signal may have interrupted, if the frames before it are those of a
    /// handler that called abort(3). A callback of the C library gives the same frames:
    /// pthread_once(3) jumps to a function without a name, which calls it.
    pub(crate) fn possible_handler(&self) -> Option<&str> {
        let at = unnamed(&self.frames)
            .filter(|_| self.signal == Some(SIGABRT) && self.may_be_of_handler())?;
        let aborted = self.frames.get(..at)?.iter().any(aborts);
        self.frames.get(at + 1).filter(|_| aborted).map(|frame| &*frame.function)
    }

    /// Whether the stack may be that of a handler whose frame has no name: sanitizers, the Java virtual
    /// machine and debuggerd begin with the frame that the signal interrupted, and gdb names the
    /// frame of a handler.
    fn may_be_of_handler(&self) -> bool {
        match self.source {
            CrashSource::Runtime => self.has_ended.is_none(),
            CrashSource::Coredump | CrashSource::Apport | CrashSource::Recording => true,
            _ => false,
        }
    }

    /// The place of an unnamed frame to which a handler returns. Only a handler sends a fault signal
    /// to its own program, or reports one that the program got.
    fn unnamed(&self) -> Option<usize> {
        let at = unnamed(&self.frames)
            .filter(|_| self.signal != Some(SIGABRT) && self.may_be_of_handler())?;
        let by_handler = match self.source {
            CrashSource::Coredump | CrashSource::Apport | CrashSource::Recording => {
                self.frames.get(..at)?.iter().any(aborts)
            }
            _ => true,
        };
        by_handler.then_some(at)
    }
}

/// Whether a frame without a name may be the code to which a handler returns: that of the C library,
/// or of the vDSO on machines where the kernel provides it.
fn is_unnamed_return(frame: &SymbolFrame) -> bool {
    frame.function.is_empty() && (of_library(frame) || frame.module == "[vdso]")
}

fn of_library(frame: &SymbolFrame) -> bool {
    let file = frame.module.rsplit('/').next().unwrap_or_default();
    ["libc.", "libc-", "libpthread"].iter().any(|start| file.starts_with(start))
}

/// The place of a frame that is known to be the code to which handlers return.
fn named(frames: &[SymbolFrame]) -> Option<usize> {
    let mut first = frames.iter().take(MAX_HANDLERS);
    let at = first.position(|frame| RETURNS.contains(&&*frame.function))?;
    (at + 1 < frames.len()).then_some(at)
}

/// The place of the first frame that may be that code without a name: it is the only unnamed frame
/// of the C library between two frames outside of it.
fn unnamed(frames: &[SymbolFrame]) -> Option<usize> {
    let returns = |at: usize, frame: &SymbolFrame| {
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
    let mut first = frames.iter().enumerate().take(MAX_HANDLERS);
    first.find(|(at, frame)| returns(*at, frame)).map(|(at, _)| at)
}

/// Whether a function sends SIGABRT, as abort(3) does.
fn aborts(frame: &SymbolFrame) -> bool {
    plain(&frame.function) == "abort" || sends_signal(&frame.function)
}
