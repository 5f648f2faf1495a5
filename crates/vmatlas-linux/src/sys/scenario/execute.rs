//! A process of a scenario: it executes the program's operations and logs their outcomes.
//!
//! After the fork it allocates nothing and takes no lock: other threads may have existed.

use super::super::fork::{Forked, fork};
use super::maps::each_row;
use super::region::{Place, brk};
use super::shared::{LOG_FULL, LOG_START, MAX_LOG, NO_FORK, Shared};
use super::touch::touch;
use crate::scenario::log::{Record, RecordKind};
use crate::scenario::program::{Action, Argument, Op, Program};
use rustix::fd::BorrowedFd;
use rustix::process::{Signal, WaitOptions, set_parent_process_death_signal, wait};
use std::io::IoSlice;
use std::ops::ControlFlow;
use std::ptr::null;
use std::sync::atomic::Ordering;
use vmatlas_maps::uapi::userfaultfd::UFFD_USER_MODE_ONLY;

/// arch_prctl(2), which exists only on x86.
#[cfg(target_arch = "x86_64")]
const ARCH_PRCTL: libc::c_long = libc::SYS_arch_prctl;
#[cfg(not(target_arch = "x86_64"))]
const ARCH_PRCTL: libc::c_long = -1;

/// The state of a process.
pub(crate) struct Execution<'a> {
    pub(crate) program: &'a Program,
    pub(crate) place: Place,
    pub(crate) shared: &'a Shared,
    pub(crate) log: BorrowedFd<'a>,
    /// Descriptors, segments and keys, -1 if empty; each process has its own.
    pub(crate) slots: &'a mut [i64],
    /// Buffer for rows.
    pub(crate) input: &'a mut [u8],
    pub(crate) output: &'a mut [u8],
    pub(crate) seconds: u32,
    /// Its own `[vdso]` is unmapped.
    pub(crate) vdso_dropped: bool,
}

/// The outcome of an operation: the last result, or the log's number for a failure.
type Outcome = Result<i64, i64>;

impl Execution<'_> {
    /// Runs the whole program together with the processes that it forks. Returns in each of them
    /// after all processes that it forked have ended.
    pub(crate) fn run(&mut self) {
        let mut me = 0;
        end_after(self.seconds);
        self.record(RecordKind::Base, 0, Ok(self.place.base as i64), 0, &[]);
        loop {
            let at = self.shared.at.load(Ordering::Acquire);
            let Some(op) = self.program.ops.get(at as usize) else { break };
            if op.who != me {
                self.shared.wait(at);
                continue;
            }
            let next = match op.action {
                Action::Rows => self.rows(op.step).then_some(at + 1),
                Action::Fork { child } => self.fork(op.step, child, &mut me).then_some(at + 1),
                _ => Some(self.step(op, at)),
            };
            if let Some(next) = next {
                let another = self.program.ops.get(next as usize).is_none_or(|op| op.who != me);
                self.shared.go_on(next, another);
            }
        }
        while wait(WaitOptions::empty()).is_ok() {}
    }

    /// Does an operation, and returns the next: after a failure, the others of its step are
    /// skipped.
    fn step(&mut self, op: &Op, at: u32) -> u32 {
        let outcome = self.act(&op.action);
        self.record(RecordKind::Outcome, op.step, outcome, 0, &[]);
        let skipped = |next: &&Op| next.step == op.step && next.action != Action::Rows;
        let rest = self.program.ops.get(at as usize + 1..).unwrap_or_default();
        match outcome {
            Ok(_) => at + 1,
            Err(_) => at + 1 + rest.iter().take_while(skipped).count() as u32,
        }
    }

    fn act(&mut self, action: &Action) -> Outcome {
        match *action {
            Action::Call { number, arguments, result } => {
                let value = self.call(number as i64, arguments.map(|a| self.value(a)))?;
                if number == libc::SYS_shmget as u64 {
                    self.shared.add_segment(value as i32);
                }
                if let Some(slot) = result {
                    self.keep(slot, value);
                }
                Ok(value)
            }
            Action::Ioctl { fd, request, words } => {
                // The kernel writes its answer to these words.
                let mut words = words.map(|word| self.value(word));
                let [fd, at] = [self.value(Argument::Slot(fd)), words.as_mut_ptr() as u64];
                self.call(libc::SYS_ioctl, [fd, request, at, 0, 0, 0])
            }
            Action::Close { fd } => {
                let value =
                    self.call(libc::SYS_close, [self.value(Argument::Slot(fd)), 0, 0, 0, 0, 0])?;
                self.keep(fd, -1);
                Ok(value)
            }
            Action::Uffd { result } => {
                let open = |flags| {
                    let flags = libc::O_CLOEXEC as u64 | flags;
                    self.call(libc::SYS_userfaultfd, [flags, 0, 0, 0, 0, 0])
                };
                let value = open(UFFD_USER_MODE_ONLY).or_else(|error| match error as i32 {
                    libc::EINVAL => open(0),
                    _ => Err(error),
                })?;
                self.keep(result, value);
                Ok(value)
            }
            Action::Brk { by } => {
                let wanted = brk(0).wrapping_add_signed(by);
                match brk(wanted) {
                    got if got == wanted => Ok(got as i64),
                    _ => Err(i64::from(libc::ENOMEM)),
                }
            }
            Action::Vdso { at, option } => {
                // On other architectures, signal handlers return through it.
                if cfg!(not(target_arch = "x86_64")) {
                    return Err(i64::from(libc::ENOSYS));
                }
                self.drop_vdso()?;
                let at = self.place.base.wrapping_add_signed(at);
                self.call(ARCH_PRCTL, [option, at, 0, 0, 0, 0])
            }
            Action::Touch { at, pages, store } => {
                let first = self.place.base.wrapping_add_signed(at);
                for page in 0..pages {
                    let address = first.wrapping_add(page.wrapping_mul(self.place.page_size));
                    touch(address as usize, store).map_err(|signal| match signal {
                        libc::SIGSEGV => RecordKind::SEGV,
                        libc::SIGBUS => RecordKind::BUS,
                        negative => -i64::from(negative),
                    })?;
                }
                Ok(0)
            }
            Action::Fork { .. } | Action::Rows => Ok(0),
        }
    }

    /// Unmaps, once, the `[vdso]` that execve(2) mapped and its related mappings. Afterwards the
    /// process must not read the time through the C library.
    fn drop_vdso(&mut self) -> Result<(), i64> {
        if std::mem::replace(&mut self.vdso_dropped, true) {
            return Ok(());
        }
        let input = std::mem::take(&mut self.input);
        let mut found = [(0, 0); 4];
        let mut count = 0;
        let read = each_row(input, |row, _| {
            if let Ok(row) = row
                && matches!(row.name, b"[vdso]" | b"[vvar]" | b"[vvar_vclock]")
                && let Some(place) = found.get_mut(count)
            {
                *place = (row.range.start, row.range.size());
                count += 1;
            }
            ControlFlow::Continue(())
        });
        self.input = input;
        read.map_err(|error| i64::from(error.raw_os_error()))?;
        for &(start, size) in found.iter().take(count) {
            self.call(libc::SYS_munmap, [start, size, 0, 0, 0, 0])?;
        }
        Ok(())
    }

    fn value(&self, argument: Argument) -> u64 {
        match argument {
            Argument::Zero => 0,
            Argument::Value(value) => value,
            Argument::Address(bytes) => self.place.base.wrapping_add_signed(bytes),
            Argument::Slot(slot) => self.slots.get(slot as usize).map_or(u64::MAX, |&v| v as u64),
            Argument::Bytes(at) => {
                self.program.bytes.get(at as usize..).map_or(null(), <[u8]>::as_ptr) as u64
            }
        }
    }

    fn keep(&mut self, slot: u32, value: i64) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            *slot = value;
        }
    }

    /// Any system call.
    fn call(&self, number: i64, [a, b, c, d, e, f]: [u64; 6]) -> Outcome {
        // SAFETY: the calls of a scenario change the region, which holds nothing of this process,
        // and read the program's bytes, or read and write the words of an ioctl, which live long enough. A
        // scenario that names addresses outside its region may break this process, which holds
        // nothing else and is watched by the runner.
        let result = unsafe { libc::syscall(number as libc::c_long, a, b, c, d, e, f) };
        match result {
            -1 => Err(i64::from(errno())),
            value => Ok(value),
        }
    }

    /// Forks; returns whether this process continues with the next operation.
    fn fork(&mut self, step: u32, child: u32, me: &mut u32) -> bool {
        // SAFETY: what an execution does is safe after a fork: see the head of this file.
        match unsafe { fork(libc::SIGCHLD) } {
            Err(errno) => {
                let errno = i64::from(errno.raw_os_error());
                self.record(RecordKind::Outcome, step, Err(errno), 0, &[]);
                self.shared.stop(NO_FORK);
                false
            }
            Ok(Forked::Child) => {
                *me = child;
                let _ = set_parent_process_death_signal(Some(Signal::KILL));
                end_after(self.seconds);
                false
            }
            Ok(Forked::Parent(pid)) => {
                self.record(RecordKind::Outcome, step, Ok(pid.as_raw_pid().into()), 0, &[]);
                true
            }
        }
    }

    /// Logs the rows of the region; returns whether it succeeded.
    fn rows(&mut self, step: u32) -> bool {
        let (input, output) = (std::mem::take(&mut self.input), std::mem::take(&mut self.output));
        let mut filled = 0;
        let read = each_row(input, |row, line| {
            let outside = match row {
                Ok(row) if row.range.start >= self.place.end => return ControlFlow::Break(()),
                Ok(row) => row.range.end <= self.place.base,
                Err(_) => false, // the runner reports the unreadable row
            };
            if !outside {
                if output.len() - filled <= line.len() {
                    self.record(RecordKind::Rows, step, Ok(0), filled, output);
                    filled = 0;
                }
                output[filled..filled + line.len()].copy_from_slice(line);
                output[filled + line.len()] = b'\n';
                filled += line.len() + 1;
            }
            ControlFlow::Continue(())
        });
        let outcome = read.map(|()| 0).map_err(|error| i64::from(error.raw_os_error()));
        self.record(RecordKind::Rows, step, outcome, filled, output);
        (self.input, self.output) = (input, output);
        self.shared.trouble.load(Ordering::Acquire) == 0
    }

    /// Appends to the log, to which all processes write in turn.
    fn record(&self, kind: RecordKind, step: u32, outcome: Outcome, length: usize, text: &[u8]) {
        let record = Record { kind, step, outcome, length: length as u64 }.encode();
        let parts = [IoSlice::new(&record), IoSlice::new(&text[..length])];
        let written = rustix::io::writev(self.log, &parts);
        let end = rustix::fs::tell(self.log).unwrap_or(u64::MAX);
        if written != Ok(record.len() + length) || end > LOG_START + MAX_LOG {
            self.shared.stop(LOG_FULL);
        }
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}

/// Ends this process at once.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: it does not return; nothing is left to be done.
    unsafe { libc::_exit(code) }
}

/// Makes the kernel end this process if it hangs.
fn end_after(seconds: u32) {
    // SAFETY: only sets a timer, whose signal ends the process.
    unsafe { libc::alarm(seconds) };
}
