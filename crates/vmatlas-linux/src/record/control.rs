//! The user's requests to a running recorder, by signals.

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Signals of one kind in this time are one request: timeout(1) sends each to us and then to our
/// process group.
const AT_ONCE: Duration = Duration::from_millis(200);

/// Handles signals while a program is recorded.
///
/// - SIGINT, which a Ctrl-C also sends to the program, ends the recording after the program had a
///   second to end itself; the program then runs on. A second SIGINT ends vmatlas and with it the
///   program.
/// - The first SIGTERM or SIGHUP is forwarded to a launched program that runs. Others, and those
///   when that program has ended or was not launched by us, count as a SIGINT.
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
    program: Mutex<Program>,
}

/// The receiver of forwarded signals.
#[derive(Debug, Default)]
enum Program {
    /// It does not run yet.
    #[default]
    Awaited,
    Runs(OwnedFd),
    /// It was not launched by us, has ended, or has received a signal.
    NotAsked,
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
            let mut last: Option<(i32, Instant)> = None;
            for signal in signals.forever() {
                let repeated = last.is_some_and(|(of, at)| of == signal && at.elapsed() < AT_ONCE);
                if repeated {
                    continue;
                }
                last = Some((signal, Instant::now()));
                let passed_on = match signal {
                    SIGTERM => seen.pass_on(Signal::TERM),
                    SIGHUP => seen.pass_on(Signal::HUP),
                    _ => false,
                };
                if !passed_on && seen.interrupts.fetch_add(1, Ordering::Relaxed) > 0 {
                    // The kernel kills the program when its tracer is gone.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
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

    /// Sets the launched program, which was not waited for yet.
    pub(crate) fn runs(&self, pid: u32) {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let program = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        self.set(program.map_or(Program::NotAsked, Program::Runs));
    }

    /// Notes that the program is not ours to end.
    pub(crate) fn attached(&self) {
        self.set(Program::NotAsked);
    }

    fn set(&self, program: Program) {
        *self.program.lock().unwrap_or_else(PoisonError::into_inner) = program;
    }

    /// Forwards a signal to the program; returns whether the program received it.
    fn pass_on(&self, signal: Signal) -> bool {
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *program, Program::NotAsked) {
            Program::Runs(pidfd) => pidfd_send_signal(&pidfd, signal).is_ok(),
            Program::NotAsked => false,
            Program::Awaited => {
                *program = Program::Awaited;
                // There is no program yet to forward to.
                let _ = signal_hook::low_level::emulate_default_handler(signal.as_raw());
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_signal_is_passed_on_once_and_only_to_a_program_that_runs() {
        let asked = Asked::default();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        asked.runs(child.id());
        assert!(asked.pass_on(Signal::TERM));
        assert!(!child.wait().unwrap().success());
        assert!(!asked.pass_on(Signal::TERM));

        let mut child = Command::new("true").spawn().unwrap();
        asked.runs(child.id());
        child.wait().unwrap();
        assert!(!asked.pass_on(Signal::TERM));

        asked.attached();
        assert!(!asked.pass_on(Signal::HUP));
    }
}
