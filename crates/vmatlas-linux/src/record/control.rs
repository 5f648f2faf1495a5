//! What a user asks of a running recorder by signals.

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

/// Takes signals while a program is recorded.
///
/// - SIGINT, which a Ctrl-C sends to the program as well, ends the recording once the program has
///   had a second to end by itself; it runs on, and another SIGINT ends vmatlas and, with it, the
///   program.
/// - SIGTERM and SIGHUP are passed on to the program.
///
/// Dropped, it gives the signals back.
#[derive(Debug)]
pub struct Control {
    asked: Arc<Asked>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    interrupts: AtomicU32,
    /// The program; 0 before it runs.
    program: AtomicU32,
}

impl Control {
    /// Takes the signals.
    ///
    /// # Errors
    /// That the kernel refuses handlers, or a thread cannot be made.
    pub fn on_signals() -> io::Result<Control> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let asked = Arc::new(Asked::default());
        let seen = asked.clone();
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if signal != SIGINT {
                    seen.pass_on(if signal == SIGTERM { Signal::TERM } else { Signal::HUP });
                } else if seen.interrupts.fetch_add(1, Ordering::Relaxed) > 0 {
                    // The kernel ends the program when its tracer is gone.
                    let _ = signal_hook::low_level::emulate_default_handler(SIGINT);
                }
            }
        })?;
        Ok(Control { asked, handle, thread: Some(thread) })
    }

    pub(crate) fn asked(&self) -> Arc<Asked> {
        self.asked.clone()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Asked {
    /// Whether there was a SIGINT.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed) > 0
    }

    /// The program runs, with this number.
    pub(crate) fn runs(&self, pid: u32) {
        self.program.store(pid, Ordering::Relaxed);
    }

    fn pass_on(&self, signal: Signal) {
        let pid = i32::try_from(self.program.load(Ordering::Relaxed)).ok();
        match pid.and_then(Pid::from_raw) {
            Some(pid) => drop(kill_process(pid, signal)),
            // There is no program yet: nothing to be passed on to.
            None => drop(signal_hook::low_level::emulate_default_handler(signal.as_raw())),
        }
    }
}
