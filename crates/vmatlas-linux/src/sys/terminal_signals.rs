//! Survives the terminal's signals to a job while a program runs for which they are meant.
//!
//! # References
//! sigaction(2), termios(3), system(3).

use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Ctrl-C, Ctrl-\ and Ctrl-Z.
const SIGNALS: [i32; 3] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP];

/// While this lives, the terminal's signals with default action have no effect on this process.
/// Unlike ignored signals, they have their default action again in an executed program.
pub(crate) struct Survive(Vec<(i32, libc::sigaction)>);

impl Survive {
    pub(crate) fn new() -> Survive {
        extern "C" fn nothing(_: libc::c_int) {}
        let handler: extern "C" fn(libc::c_int) = nothing;
        let mut old = Vec::new();
        for signal in SIGNALS {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: asks for the action of a signal; all zeroes are a valid one, too.
            let action = unsafe {
                libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
                action.assume_init()
            };
            if action.sa_sigaction != libc::SIG_DFL {
                continue;
            }
            // SAFETY: a sigaction is integers and a pointer for which zero is right.
            let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
            new.sa_sigaction = handler as usize;
            new.sa_flags = libc::SA_RESTART;
            // SAFETY: the handler has the signature of a handler without SA_SIGINFO, and touches
            // nothing.
            if unsafe { libc::sigaction(signal, &raw const new, null_mut()) } == 0 {
                old.push((signal, action));
            }
        }
        Survive(old)
    }
}

impl Drop for Survive {
    fn drop(&mut self) {
        for (signal, action) in &self.0 {
            // SAFETY: sets the default action, which was there before.
            unsafe { libc::sigaction(*signal, action, null_mut()) };
        }
    }
}
