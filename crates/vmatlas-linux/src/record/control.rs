//! The user's requests to a running recorder, by signals.

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

/// Handles signals while a program is recorded.
///
/// - SIGINT, which a Ctrl-C also sends to the program, ends the recording after the program had a
///   second to end itself; the program then runs on. A second SIGINT ends vmatlas and with it the
///   program.
/// - SIGTERM and SIGHUP are forwarded to the program.
///
/// Dropping this restores the signals.
#[derive(Debug)]
pub struct Control {
    asked: Arc<Asked>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// The requests so far.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    interrupts: AtomicU32,
    /// The program's pid; 0 before it runs.
    program: AtomicU32,
}

impl Control {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// If the kernel refuses the handlers, or the thread cannot be started.
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
                    // The kernel kills the program when its tracer is gone.
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
    /// Whether a SIGINT arrived.
    pub(crate) fn interrupted(&self) -> bool {
        self.interrupts.load(Ordering::Relaxed) > 0
    }

    /// Sets the pid of the program.
    pub(crate) fn runs(&self, pid: u32) {
        self.program.store(pid, Ordering::Relaxed);
    }

    fn pass_on(&self, signal: Signal) {
        let pid = i32::try_from(self.program.load(Ordering::Relaxed)).ok();
        match pid.and_then(Pid::from_raw) {
            Some(pid) => drop(kill_process(pid, signal)),
            // There is no program yet to forward to.
            None => drop(signal_hook::low_level::emulate_default_handler(signal.as_raw())),
        }
    }
}
