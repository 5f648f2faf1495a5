//! The loop of the tracer: a task stops, something is told, it goes on.

use super::Options;
use super::follow_cpu::FollowCpu;
use super::job;
use super::made;
use super::notice::{Notice, Notices};
use super::order::{Order, SpaceId, patience};
use super::own_filter;
use super::privileges;
use super::task::{InCall, Stop, Task, call_of, seen, settled};
use crate::record::calls::{Abi, CLONE_UNTRACED, LeftMeaning, Meaning, decode, rule};
use crate::record::filter;
use crate::record::sink::{Begun, Signal, Sink};
use crate::sys::process_vm::read_memory;
use crate::sys::ptrace::{self, Regs, Resume};
use crate::sys::wait::{Waited, Waiter};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often the sink's tick comes, which allows for some delay.
const TICK: Duration = Duration::from_millis(80);
/// After how long a new task whose maker does not tell of it has lost it.
const ORPHANED: Duration = Duration::from_millis(200);
/// How much longer a task is held while there are stops to be seen.
const GRACE: Duration = Duration::from_millis(200);
/// When nothing is to be done.
const LONG: Duration = Duration::from_secs(3600);

/// Traces a program and all that come of it, and tells `S`.
///
/// A task may be killed at any time, wherever it stands. Whatever is asked of it then fails, and is
/// left: waiting for it says that it has ended.
pub(super) struct Tracer<'a, S: Sink> {
    sink: &'a mut S,
    waiter: Waiter,
    /// By their numbers.
    tasks: HashMap<u32, Task<S::Mark>>,
    /// New tasks that stopped before their makers told of them.
    early: HashMap<u32, (Stop, Instant)>,
    order: Order,
    spaces: u64,
    first: u32,
    status: i32,
    options: Options,
    /// The first process is stopped.
    stopped: bool,
    /// If not, the program is only let run on.
    recording: bool,
    tick: Instant,
    /// When the waiter's limit is.
    limit: Option<Instant>,
    cpu: FollowCpu,
    notices: Notices,
    stops: u64,
}

impl<'a, S: Sink> Tracer<'a, S> {
    /// For a task that has just executed a program, and stands there.
    pub(super) fn new(
        sink: &'a mut S,
        waiter: Waiter,
        first: u32,
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
            stopped: false,
            recording: true,
            tick: Instant::now(),
            limit: None,
            cpu: FollowCpu::new(),
            notices: Notices::default(),
            stops: 1,
        }
    }

    /// Until all have ended. Gives the wait status of the first process, what the user should know,
    /// and the number of stops.
    pub(super) fn run(mut self) -> (i32, Vec<Notice>, u64) {
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
        (self.status, self.notices.into_vec(), self.stops)
    }

    /// Does what is due, and sees to it that waiting ends when something will be. `quiet` says that
    /// no task stands and waits for us.
    fn keep_time(&mut self, quiet: bool) {
        let now = Instant::now();
        if self.recording && now >= self.tick {
            self.tick = now + TICK;
            if !self.sink.tick() {
                self.stop_recording();
            }
        }
        // On a busy machine it is we who are late: the call may have returned long ago, and be among
        // the stops that we have yet to see.
        let grace = if quiet { Duration::ZERO } else { GRACE };
        if self.order.deadline().is_some_and(|deadline| deadline + grace <= now) {
            for tid in self.order.expired(now) {
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

    fn changed(&mut self, tid: u32, status: i32) {
        self.stops += 1;
        let stop = Stop::of(status);
        if stop == Stop::Ended {
            return self.ended(tid, status);
        }
        if !self.tasks.contains_key(&tid) {
            self.early.insert(tid, (stop, Instant::now()));
            return;
        }
        self.cpu.stopped(tid);
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
                    job::stop_too(tid);
                }
            }
            Stop::Other | Stop::Ended => {
                self.stopped &= tid != self.first;
                go_on(tid, Resume::Continue(0));
            }
        }
    }

    /// A task enters a call that the filter names.
    fn entered(&mut self, tid: u32) {
        let data = ptrace::event_message(tid).unwrap_or(0);
        let ours = filter::abi(data);
        if !self.recording && ours.is_some_and(|(_, changes)| changes) {
            return go_on(tid, Resume::Continue(0));
        }
        let Ok(registers) = ptrace::registers(tid) else { return };
        // Where a filter of the program's asks a tracer as well, the data are its.
        let abi = ours.map(|(abi, _)| abi).or_else(|| {
            Some(Abi::of(ptrace::audit_arch(tid).ok()?, registers.orig_rax & 0xffff_ffff))
        });
        let abi = abi.unwrap_or(Abi::X86_64);
        let (number, args) = call_of(&registers, abi);
        if let Some(rule) = rule(abi, number).filter(|rule| rule.when.holds(&args)) {
            self.watched(tid, abi, rule.meaning, &args, &registers);
        }
        let read = |address, to: &mut [u8]| read_memory(tid, address, to) == to.len();
        let decoded = decode(abi, number, args, read).filter(|_| self.recording);
        let (Some(decoded), Some(task)) = (decoded, self.tasks.get_mut(&tid)) else {
            return go_on(tid, Resume::Continue(0));
        };
        let begun =
            Begun { tid, kind: decoded.kind, args: decoded.args, registers: seen(&registers) };
        task.call = Some(InCall { begun, decoded, abi, mark: None });
        let patience = patience(decoded.kind, &decoded.args);
        if self.order.enter(task.space, tid, patience) {
            self.begin(tid);
        }
    }

    /// Calls that stop for other reasons than that they change an address space.
    fn watched(&mut self, tid: u32, abi: Abi, meaning: Meaning, args: &[u64; 6], at: &Regs) {
        const FILTER: u64 = 1;
        // prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER) is 2, strict 1.
        let (mode, program) = match meaning {
            Meaning::Seccomp => (args[0], args[2]),
            Meaning::Prctl if args[0] as u32 == 22 => (args[1].wrapping_sub(1), args[2]),
            Meaning::Ptrace => {
                return self.notices.add(Notice::Ptrace { tid, request: args[0] });
            }
            Meaning::Clone => {
                // It would have the filter but no tracer. The register keeps the change, which
                // nobody looks at.
                let mut with = *at;
                let flags = if abi == Abi::I386 { &mut with.rbx } else { &mut with.rdi };
                *flags &= !u64::from(CLONE_UNTRACED);
                let _ = ptrace::set_registers(tid, &with);
                return;
            }
            _ => return,
        };
        if mode != FILTER {
            self.notices.add(Notice::StrictSeccomp { tid });
        } else if own_filter::asks(tid, abi, program) {
            self.notices.add(Notice::ForeignFilter { tid });
        }
    }

    /// A task that stands where it enters a call is let into it.
    fn begin(&mut self, tid: u32) {
        let Some(call) = self.tasks.get_mut(&tid).and_then(|task| task.call.as_mut()) else {
            return;
        };
        call.mark = Some(self.sink.begun(&call.begun));
        go_on(tid, Resume::UntilCall);
    }

    /// A task leaves a call.
    fn returned(&mut self, tid: u32) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let space = task.space;
        let Some(InCall { mut begun, decoded, abi, mark: Some(mark) }) = task.call.take() else {
            return go_on(tid, Resume::Continue(0));
        };
        let (in_order, next) = self.order.leave(space, tid);
        if let Ok(result) = ptrace::result(tid) {
            let mut result = settled(result, abi);
            if let Some(left) = decoded.left.filter(|_| result >= 0) {
                let mut word = [0; 8];
                if let Some(word) = word.get_mut(..usize::from(left.size)) {
                    read_memory(tid, left.address, word);
                }
                let word = u64::from_le_bytes(word);
                match left.means {
                    LeftMeaning::Result => result = word as i64,
                    LeftMeaning::Argument(index) => {
                        if let Some(arg) = begun.args.get_mut(index) {
                            *arg = word;
                        }
                    }
                }
            }
            self.sink.returned(&begun, result, mark, in_order);
            go_on(tid, Resume::Continue(0));
        }
        if let Some(next) = next {
            self.begin(next);
        }
    }

    /// A task has made another.
    fn made(&mut self, tid: u32) {
        if let Ok(child) = ptrace::event_message(tid)
            && let Ok(child) = u32::try_from(child)
            && let Ok(registers) = ptrace::registers(tid)
        {
            let shared = made::shared(tid, &registers);
            self.add(tid, child, shared, seen(&registers));
        }
        go_on(tid, Resume::Continue(0));
    }

    /// A new task.
    fn add(
        &mut self,
        maker: u32,
        child: u32,
        shared: crate::record::sink::Shared,
        registers: crate::record::sink::Registers,
    ) {
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

    /// Takes up new tasks whose makers were killed before they could tell of them.
    fn adopt(&mut self, now: Instant) {
        if self.early.is_empty() {
            return;
        }
        let late = self.early.iter().filter(|(_, (_, since))| *since + ORPHANED <= now);
        let late: Vec<u32> = late.map(|(&tid, _)| tid).collect();
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

    /// A task has executed a program.
    fn executed(&mut self, tid: u32) {
        let message = ptrace::event_message(tid).ok().and_then(|tid| u32::try_from(tid).ok());
        let former = message.unwrap_or(tid);
        if former != tid {
            // It took the number of the process's first thread, which ended without a word.
            self.forget(tid);
        }
        self.forget(former);
        let space = self.new_space();
        self.tasks.insert(tid, Task::new(space));
        if self.recording {
            self.sink.executed(tid, former);
            if let Some(program) = privileges::lost(tid) {
                self.notices.add(Notice::Unprivileged { tid, program });
            }
        }
        go_on(tid, Resume::Continue(0));
    }

    /// A task does not exist any more, or not in this address space.
    fn forget(&mut self, tid: u32) -> Option<Task<S::Mark>> {
        let task = self.tasks.remove(&tid)?;
        if let (_, Some(next)) = self.order.leave(task.space, tid) {
            self.begin(next);
        }
        Some(task)
    }

    /// A task is about to end.
    fn exiting(&mut self, tid: u32) {
        let status = ptrace::event_message(tid).unwrap_or(0);
        let mut next = None;
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.exiting = true;
            // It was killed in a call, which has ended with it.
            task.call = None;
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

    /// A task has ended.
    fn ended(&mut self, tid: u32, status: i32) {
        self.early.remove(&tid);
        let known = self.forget(tid);
        // Killed while it stood there, it may go without stopping once more.
        if self.recording && known.is_some_and(|task| !task.exiting) {
            self.sink.exiting(tid, status);
        }
        if tid == self.first {
            self.status = status;
        }
    }

    /// A task is about to receive a signal.
    fn signalled(&mut self, tid: u32, number: i32) {
        if self.recording
            && let Ok(registers) = ptrace::registers(tid)
            && let Ok((code, address)) = ptrace::signal(tid)
        {
            let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];
            // Those that the kernel sends have an address, those of kill(2) do not.
            let address = if code > 0 && faults.contains(&number) { address } else { 0 };
            self.sink.signalled(tid, &Signal { number, code, address }, seen(&registers));
        }
        go_on(tid, Resume::Continue(number));
    }

    /// From now on the program is only let run on.
    fn stop_recording(&mut self) {
        self.recording = false;
        for task in self.tasks.values_mut() {
            task.call = None;
        }
        for tid in self.order.release_all() {
            go_on(tid, Resume::Continue(0));
        }
    }
}

/// Lets a task go on, unless it was killed.
fn go_on(tid: u32, how: Resume) {
    let _ = ptrace::resume(tid, how);
}
