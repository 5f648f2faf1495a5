//! The end of a command that runs until it is interrupted.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Waits for SIGINT, SIGTERM or SIGHUP. A second one ends the process. Dropping this restores the
/// signals.
#[derive(Debug)]
pub struct Interrupt {
    arrived: Arc<(Mutex<bool>, Condvar)>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

impl Interrupt {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// If the kernel refuses the handlers, or the thread cannot be started.
    pub fn on_signals() -> io::Result<Interrupt> {
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let handle = signals.handle();
        let arrived = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = arrived.clone();
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                let mut has_arrived = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                if std::mem::replace(&mut *has_arrived, true) {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
                seen.1.notify_all();
            }
        })?;
        Ok(Interrupt { arrived, handle, thread: Some(thread) })
    }

    /// Waits for a time, or until a signal arrives. Returns whether one has arrived by then.
    pub fn wait(&self, most: Duration) -> bool {
        let has_arrived = self.arrived.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.arrived.1.wait_timeout_while(has_arrived, most, |arrived| !*arrived);
        let (has_arrived, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *has_arrived
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
