//! The tracer's loop: a task stops, the sink gets a report, the task continues.

mod call;

use super::Options;
use super::job;
use super::made;
use super::notice::{Notice, Notices};
use super::order::{Order, SpaceId};
use super::privileges;
use super::task::{Stop, Task};
use crate::process::TaskState;
use crate::record::arch::{named, seen};
use crate::record::sink::{Registers, Shared, Signal, Sink};
use crate::sys::ptrace::{self, Resume};
use crate::sys::wait::{Waited, Waiter};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use vmatlas_recording::Tid;

/// Interval of the sink's tick, with a margin for delays.
const TICK: Duration = Duration::from_millis(80);
/// Time after which a new task without a report from its maker counts as orphaned.
const ORPHANED: Duration = Duration::from_millis(200);
/// Additional time for which a task is held while stops are pending.
const GRACE: Duration = Duration::from_millis(200);
/// The timeout when nothing is due.
const LONG: Duration = Duration::from_secs(3600);

/// Whether a task sleeps in its call; also if it is gone.
fn sleeps(tid: Tid) -> bool {
    let stat = std::fs::read(format!("/proc/{}/stat", tid.get()));
    stat.ok().and_then(|stat| TaskState::parse(&stat)).is_none_or(|state| state.sleeps)
}

/// Traces a program and all its descendants, and reports to `S`.
///
/// A task may be killed at any time. Requests on it then fail and are ignored; waiting reports its
/// end.
pub(super) struct Tracer<'a, S: Sink> {
    sink: &'a mut S,
    waiter: Waiter,
    /// By task id.
    tasks: HashMap<Tid, Task<S::Mark>>,
    /// New tasks that stopped before their maker reported them.
    early: HashMap<Tid, (Stop, Instant)>,
    order: Order,
    spaces: u64,
    first: Tid,
    status: i32,
    options: Options,
    /// The recorder set no_new_privs, so that executed programs gain no privileges.
    denies_privileges: bool,
    /// The first process is stopped.
    stopped: bool,
    /// If false, the program only runs on.
    recording: bool,
    tick: Instant,
    /// The current limit of the waiter.
    limit: Option<Instant>,
    notices: Notices,
}

impl<'a, S: Sink> Tracer<'a, S> {
    /// Starts with a task that is stopped just after it executed a program.
    pub(super) fn new(
        sink: &'a mut S,
        waiter: Waiter,
        first: Tid,
        options: Options,
    ) -> Tracer<'a, S> {
        Tracer {
            sink,
            waiter,
            tasks: HashMap::from([(first, Task::new(SpaceId(0)))]),
            early: HashMap::new(),
            order: Order::default(),
            spaces: 1,
            first,
            status: 0,
            options,
            denies_privileges: privileges::no_new_privs(first) && !privileges::own_no_new_privs(),
            stopped: false,
            recording: true,
            tick: Instant::now(),
            limit: None,
            notices: Notices::default(),
        }
    }

    /// Runs until all tasks have ended. Returns the wait status of the first process, and the
    /// notices for the user.
    pub(super) fn run(mut self) -> (i32, Vec<Notice>) {
        self.executed(self.first);
        let mut quiet = false;
        loop {
            self.keep_time(quiet);
            let waited = self.waiter.next();
            quiet = waited == Waited::Timeout;
            match waited {
                Waited::Status(tid, status) => self.changed(tid, status),
                Waited::Timeout => {}
                Waited::Nobody => break,
            }
        }
        (self.status, self.notices.into_vec())
    }

    /// Does the work that is due, and sets the limit of the wait to the next due time. `quiet`
    /// means that no stopped task waits for us.
    fn keep_time(&mut self, quiet: bool) {
        let now = Instant::now();
        if self.recording && now >= self.tick {
            self.tick = now + TICK;
            if !self.sink.tick() {
                self.stop_recording();
            }
        }
        // On a busy machine we may be late: the call may have returned long ago, and its stop may
        // be among the pending ones.
        let grace = if quiet { Duration::ZERO } else { GRACE };
        if self.order.deadline().is_some_and(|deadline| deadline + grace <= now) {
            for tid in self.order.expired(now, sleeps) {
                self.begin(tid);
            }
        }
        self.adopt(now);
        let tick = self.recording.then_some(self.tick);
        let orphaned = self.early.values().map(|&(_, since)| since + ORPHANED).min();
        let due = tick.into_iter().chain(self.order.deadline()).chain(orphaned).min();
        let due = due.unwrap_or(now + LONG);
        if self.limit.is_none_or(|limit| limit <= now || due < limit) {
            self.waiter.set_limit(due.saturating_duration_since(now));
            self.limit = Some(due);
        }
    }

    fn changed(&mut self, tid: Tid, status: i32) {
        let stop = Stop::of(status);
        if stop == Stop::Ended {
            return self.ended(tid, status);
        }
        if !self.tasks.contains_key(&tid) {
            self.early.insert(tid, (stop, Instant::now()));
            return;
        }
        match stop {
            Stop::Call => self.returned(tid),
            Stop::Filter => self.entered(tid),
            Stop::Made => self.made(tid),
            Stop::Executed => self.executed(tid),
            Stop::Exiting => self.exiting(tid),
            Stop::Signal(signal) => self.signalled(tid, signal),
            Stop::Group => {
                go_on(tid, Resume::Listen);
                if tid == self.first && self.options.job && !self.stopped {
                    self.stopped = true;
                    job::stop_too(tid.get());
                }
            }
            Stop::Other | Stop::Ended => {
                self.stopped &= tid != self.first;
                go_on(tid, Resume::Continue(0));
            }
        }
    }

    /// Handles a task that made another.
    fn made(&mut self, tid: Tid) {
        if let Some(child) = event_tid(tid)
            && let Ok(registers) = ptrace::registers(tid)
        {
            let shared = made::shared(self.sink, tid, &registers);
            self.add(tid, child, shared, seen(&registers));
        }
        self.copied(tid);
        go_on(tid, Resume::Continue(0));
    }

    /// Adds a new task.
    fn add(&mut self, maker: Tid, child: Tid, shared: Shared, registers: Registers) {
        let space = match self.tasks.get(&maker) {
            Some(task) if shared.memory => task.space,
            _ => self.new_space(),
        };
        self.tasks.insert(child, Task::new(space));
        if self.recording {
            self.sink.cloned(maker, child, shared, registers);
        }
        if let Some((stop, _)) = self.early.remove(&child) {
            let listen = stop == Stop::Group;
            go_on(child, if listen { Resume::Listen } else { Resume::Continue(0) });
        }
    }

    fn new_space(&mut self) -> SpaceId {
        self.spaces += 1;
        SpaceId(self.spaces)
    }

    /// Adds new tasks whose makers were killed before they could report them.
    fn adopt(&mut self, now: Instant) {
        if self.early.is_empty() {
            return;
        }
        let late = self.early.iter().filter(|(_, (_, since))| *since + ORPHANED <= now);
        let late: Vec<Tid> = late.map(|(&tid, _)| tid).collect();
        for tid in late {
            let Some((maker, shared)) = made::orphan(tid) else {
                // It has ended.
                self.early.remove(&tid);
                continue;
            };
            let registers = ptrace::registers(tid).map(|at| seen(&at)).unwrap_or_default();
            self.add(maker, tid, shared, registers);
        }
    }

    /// Handles a task that executed a program.
    fn executed(&mut self, tid: Tid) {
        let former = event_tid(tid).unwrap_or(tid);
        if former != tid {
            // It took the id of the process's main thread, which ended without a report.
            self.forget(tid);
        }
        self.forget(former);
        let space = self.new_space();
        self.tasks.insert(tid, Task::new(space));
        if self.recording {
            self.sink.executed(tid, former);
            if self.denies_privileges
                && let Some(program) = privileges::lost(tid)
            {
                self.notices.add(Notice::Unprivileged { tid, program });
            }
        }
        go_on(tid, Resume::Continue(0));
    }

    /// Removes a task that has ended or left this address space.
    fn forget(&mut self, tid: Tid) -> Option<Task<S::Mark>> {
        let task = self.tasks.remove(&tid)?;
        if let (_, Some(next)) = self.order.leave(task.space, tid) {
            self.begin(next);
        }
        Some(task)
    }

    /// Handles a task that is about to end.
    fn exiting(&mut self, tid: Tid) {
        let status = ptrace::event_message(tid).unwrap_or(0);
        let mut next = None;
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.exiting = true;
            // It was killed in a call, which ended with it.
            task.call = None;
            task.copies = false;
            (_, next) = self.order.leave(task.space, tid);
            if self.recording {
                self.sink.exiting(tid, status as i32);
            }
        }
        go_on(tid, Resume::Continue(0));
        if let Some(next) = next {
            self.begin(next);
        }
    }

    /// Handles a task that has ended.
    fn ended(&mut self, tid: Tid, status: i32) {
        self.early.remove(&tid);
        let known = self.forget(tid);
        // A task killed while stopped may end without another stop.
        if self.recording && known.is_some_and(|task| !task.exiting) {
            self.sink.exiting(tid, status);
        }
        if tid == self.first {
            self.status = status;
        }
    }

    /// Handles a task that is about to receive a signal.
    fn signalled(&mut self, tid: Tid, number: i32) {
        if self.recording
            && let Ok(registers) = ptrace::registers(tid)
            && let Ok((code, address)) = ptrace::signal(tid)
        {
            let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
            // Signals from the kernel have an address, those from kill(2) do not.
            let address = if code > 0 && faults.contains(&number) { address } else { 0 };
            let signal = Signal { number, code, address, registers: named(&registers) };
            self.sink.signalled(tid, &signal, seen(&registers));
        }
        go_on(tid, Resume::Continue(number));
    }

    /// Stops recording; the program runs on.
    fn stop_recording(&mut self) {
        self.recording = false;
        for task in self.tasks.values_mut() {
            task.call = None;
            task.copies = false;
        }
        for tid in self.order.release_all() {
            go_on(tid, Resume::Continue(0));
        }
    }
}

/// The thread id that the event at which a task stopped reports.
fn event_tid(tid: Tid) -> Option<Tid> {
    let message = ptrace::event_message(tid).ok()?;
    u32::try_from(message).ok().map(Tid::new)
}

/// Resumes a task; ignores a killed one.
fn go_on(tid: Tid, how: Resume) {
    let _ = ptrace::resume(tid, how);
}
