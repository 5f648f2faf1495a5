//! Stops all threads of a process while it is read.

use crate::access::Status;
use crate::error::Error;
use crate::process::{Process, TaskState};
use crate::sys::freeze::{Seen, detach, interrupt, seen, seize};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a thread that sleeps in the kernel has to stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long a thread that waits for a processor has to stop.
const LONGEST: Duration = Duration::from_secs(5);
/// Interval at which threads are asked whether they have stopped.
const POLL: Duration = Duration::from_micros(50);
/// Maximum number of times that new threads are searched.
const ROUNDS: usize = 100;

/// A process whose threads stand still, until this value is dropped.
///
/// A thread of this process traces them (`PTRACE_SEIZE`, `PTRACE_INTERRUPT`). The kernel lets them go
/// on when it ends, even if this process is killed. A system call in which a thread slept is
/// continued; those that signal(7) lists for `SIGCONT`, such as epoll_wait(2), fail with `EINTR`.
/// Processes that share the address space without being its threads (`CLONE_VM`) run on.
#[derive(Debug)]
pub struct Freeze {
    tracer: Option<Tracer>,
    standing: Vec<u32>,
    running: Vec<RunningThread>,
}

#[derive(Debug)]
struct Tracer {
    let_go: SyncSender<()>,
    thread: JoinHandle<Duration>,
}

/// The result of a freeze.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frozen {
    /// The number of threads that stood still.
    pub threads: usize,
    /// The time from the first request to stop until all threads were let go.
    pub stood: Duration,
    /// The threads that could not be stopped: what they change while the process is read is not
    /// noticed by standing still.
    pub running: Vec<RunningThread>,
}

/// A thread that could not be stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningThread {
    /// Its id.
    pub tid: u32,
    /// The reason.
    pub why: CannotStop,
}

/// The reason why a thread cannot be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CannotStop {
    /// This process traces it, such as a debugger.
    TracedBy(u32),
    /// It is a thread of the kernel.
    OfKernel,
    /// The kernel does not permit it (ptrace(2)).
    NotPermitted,
    /// It sleeps in the kernel where no signal wakes it (state D).
    Sleeps,
    /// It did not stop in time.
    TooSlow,
}

impl RunningThread {
    /// A thread that could not be stopped.
    pub fn new(tid: u32, why: CannotStop) -> RunningThread {
        RunningThread { tid, why }
    }
}

impl CannotStop {
    /// The reason that displays as this text.
    pub fn displayed(text: &str) -> Option<CannotStop> {
        let pid = text.split(' ').nth(1).and_then(|pid| pid.parse().ok()).unwrap_or(0);
        let all = [
            CannotStop::TracedBy(pid),
            CannotStop::OfKernel,
            CannotStop::NotPermitted,
            CannotStop::Sleeps,
            CannotStop::TooSlow,
        ];
        all.into_iter().find(|why| why.to_string() == text)
    }
}

impl fmt::Display for CannotStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CannotStop::TracedBy(pid) => write!(f, "process {pid} traces it"),
            CannotStop::OfKernel => f.write_str("it is a thread of the kernel"),
            CannotStop::NotPermitted => f.write_str("not permitted"),
            CannotStop::Sleeps => {
                f.write_str("it sleeps in the kernel where no signal wakes it (state D)")
            }
            CannotStop::TooSlow => f.write_str("it did not stop in time"),
        }
    }
}

impl Freeze {
    /// Stops all threads of a process. Those that cannot be stopped are [listed](Freeze::running).
    ///
    /// # Errors
    /// [`Error::Vanished`] if the process has ended, otherwise [`Error::Io`], also for the calling
    /// process and one of another pid namespace.
    pub fn begin(process: &Process) -> Result<Freeze, Error> {
        let process = process.whole()?;
        if process.id().pid == std::process::id() || !process.is_in_our_pid_namespace() {
            return Err(process.error("task", Errno::INVAL));
        }
        let (let_go, wait) = sync_channel(0);
        let (stopped, result) = sync_channel(1);
        let copy = process.whole()?;
        let thread = thread::Builder::new()
            .name("vmatlas-freeze".to_owned())
            .spawn(move || trace(&copy, &stopped, &wait))
            .map_err(|error| {
                process.error("task", Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
            })?;
        let tracer = Some(Tracer { let_go, thread });
        let (standing, running) = match result.recv() {
            Ok(Ok(threads)) => threads,
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(process.error("task", Errno::AGAIN)),
        };
        Ok(Freeze { tracer, standing, running })
    }

    /// The threads that stand still.
    pub fn standing(&self) -> &[u32] {
        &self.standing
    }

    /// The threads that could not be stopped.
    pub fn running(&self) -> &[RunningThread] {
        &self.running
    }

    /// Lets all threads go on.
    pub fn end(mut self) -> Frozen {
        let stood = self.let_go();
        let running = std::mem::take(&mut self.running);
        Frozen { threads: self.standing.len(), stood, running }
    }

    fn let_go(&mut self) -> Duration {
        let Some(Tracer { let_go, thread }) = self.tracer.take() else { return Duration::ZERO };
        drop(let_go);
        thread.join().unwrap_or_default()
    }
}

impl Drop for Freeze {
    fn drop(&mut self) {
        self.let_go();
    }
}

type Stopped = Result<(Vec<u32>, Vec<RunningThread>), Error>;

/// Stops the threads, reports them, and lets them go when the other end of `wait` is gone.
fn trace(process: &Process, stopped: &SyncSender<Stopped>, wait: &Receiver<()>) -> Duration {
    let mut began = None;
    let mut standing: BTreeMap<u32, i32> = BTreeMap::new();
    let mut running: Vec<RunningThread> = Vec::new();
    let result = stop_all(process, &mut began, &mut standing, &mut running);
    let report = result.map(|()| (standing.keys().copied().collect(), running));
    if stopped.send(report).is_ok() {
        // Nothing is ever sent.
        let _ = wait.recv();
    }
    for (tid, signal) in standing {
        // A thread may have been killed meanwhile.
        let _ = detach(tid, signal);
    }
    // A traced thread that has not stopped is let go by the kernel when this one ends.
    began.map_or(Duration::ZERO, |began: Instant| began.elapsed())
}

/// Stops all threads, until there are no new ones. `standing` has each with the signal that it is
/// about to receive.
fn stop_all(
    process: &Process,
    began: &mut Option<Instant>,
    standing: &mut BTreeMap<u32, i32>,
    running: &mut Vec<RunningThread>,
) -> Result<(), Error> {
    for _ in 0..ROUNDS {
        let known = |tid: &u32| {
            standing.contains_key(tid) || running.iter().any(|thread| thread.tid == *tid)
        };
        let mut new = process.threads()?;
        new.retain(|tid| !known(tid));
        if new.is_empty() {
            return Ok(());
        }
        new.retain(|&tid| match seize(tid) {
            Ok(()) => true,
            // It has just ended.
            Err(Errno::SRCH) => false,
            Err(_) => {
                let Some(state) = state_of(process, tid).filter(|state| !state.ended) else {
                    return false;
                };
                let why = match tracer_of(process, tid) {
                    _ if state.kernel_thread => CannotStop::OfKernel,
                    Some(tracer) => CannotStop::TracedBy(tracer),
                    None => CannotStop::NotPermitted,
                };
                running.push(RunningThread { tid, why });
                false
            }
        });
        let asked = *began.get_or_insert_with(Instant::now);
        new.retain(|&tid| interrupt(tid).is_ok());
        let round = if asked.elapsed() > PATIENCE { Instant::now() } else { asked };
        while !new.is_empty() {
            new.retain(|&tid| match seen(tid) {
                Seen::Nothing => true,
                Seen::Ended => false,
                Seen::Stopped(signal) => {
                    standing.insert(tid, signal);
                    false
                }
            });
            if round.elapsed() > PATIENCE {
                new.retain(|&tid| match too_slow(process, tid, round.elapsed()) {
                    Some(why) => {
                        running.push(RunningThread { tid, why });
                        false
                    }
                    None => true,
                });
            }
            if !new.is_empty() {
                thread::sleep(POLL);
            }
        }
    }
    Ok(())
}

/// Why it is of no use to wait longer for a thread.
fn too_slow(process: &Process, tid: u32, waited: Duration) -> Option<CannotStop> {
    match state_of(process, tid) {
        Some(state) if state.uninterruptible => Some(CannotStop::Sleeps),
        _ if waited > LONGEST => Some(CannotStop::TooSlow),
        _ => None,
    }
}

fn state_of(process: &Process, tid: u32) -> Option<TaskState> {
    process.thread(tid).ok()?.state().ok()?
}

/// The process that traces a thread.
fn tracer_of(process: &Process, tid: u32) -> Option<u32> {
    let status = Status::read(&process.thread(tid).ok()?)?;
    // The number is that of a thread.
    let tracer = status.number("TracerPid").filter(|&tracer| tracer != 0)?;
    let of_tracer = std::fs::read(format!("/proc/{tracer}/status")).unwrap_or_default();
    Some(Status::new(&of_tracer).number("Tgid").unwrap_or(tracer))
}
