//! What the ptrace backend sees, recorded.

use super::{FLUSH_AFTER, Recorder, TELL_AFTER, Task, WHOLE_CHECK_EVERY, clock_ns};
use crate::record::sink::{Begun, Registers, Shared, Signal, Sink};
use crate::record::space::LiveSpace;
use crate::record::unwind::Modules;
use crate::sys::vm_read::read_memory;
use std::time::Duration;
use vmatlas_explain::explain::instruction::LONGEST;
use vmatlas_maps::Kind;
use vmatlas_maps::uapi::signal::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};
use vmatlas_recording::{Call, CallKind, TaskEntry, What};
use vmatlas_space::{AddressSpace, VmaFlags};

impl Recorder {
    /// Writes a call and follows it. `done` says that the kernel has done it, so that its rows can
    /// be looked at; else they are when the task stops next.
    fn record(&mut self, begun: &Begun, result: i64, stack: u32, in_order: bool, done: bool) {
        let Some(entry) = self.tasks.get(&begun.tid).map(|task| task.entry) else { return };
        let mut call = Call { kind: begun.kind, args: begun.args, result };
        if !self.counts(entry, &call) {
            return;
        }
        let Some(task) = self.tasks.get_mut(&begun.tid) else { return };
        task.unchecked += 1;
        let whole = task.unchecked > WHOLE_CHECK_EVERY;
        let id = task.space;
        self.with(id, |recorder, space| {
            let shown = recorder.row_of(space, &mut call);
            let file = match &shown {
                Some(shown) => recorder.complete(space, &mut call, shown),
                None => 0,
            };
            let applied = recorder.event(entry, stack, What::Call { call, file, in_order });
            recorder.truth.refused += u64::from(applied.refused.is_some());
            recorder.truth.out_of_order += u64::from(!in_order);
            recorder.follow_code(space, &call, &applied, shown.as_ref());
            if !done {
                if let Some(task) = recorder.tasks.get_mut(&begun.tid) {
                    task.foreseen = Some(applied);
                }
            } else if whole {
                recorder.check_whole(begun.tid, entry, space);
            } else {
                recorder.check(begun.tid, entry, space, &applied);
            }
        });
    }

    /// A call that was taken for done is, as the task has stopped again.
    fn look_back(&mut self, tid: u32) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let Some(applied) = task.foreseen.take() else { return };
        let (entry, id) = (task.entry, task.space);
        self.with(id, |recorder, space| recorder.check(tid, entry, space, &applied));
    }
}

/// Whether a call can be foreseen to succeed: it is about a part of one private mapping without a
/// file, and asks for nothing that could be refused.
fn succeeds(memory: &AddressSpace, call: &Begun) -> bool {
    let [start, length, third, ..] = call.args;
    let known = match call.kind {
        CallKind::Munmap => true,
        CallKind::Mprotect => third & !7 == 0,
        _ => false,
    };
    let Some(vma) = memory.query(start, false).filter(|_| known) else { return false };
    let page = memory.profile().page_size();
    let end = length.checked_next_multiple_of(page).and_then(|length| start.checked_add(length));
    let whole =
        start.is_multiple_of(page) && length > 0 && end.is_some_and(|end| end <= vma.range.end);
    let sealed = memory.flags(start).is_some_and(|flags| flags.contains(VmaFlags::SEALED));
    // Of the kernel's own mappings some may not be changed.
    let plain = vma.inode == 0 && !vma.perms.shared() && matches!(&*vma.name, b"" | b"[heap]");
    whole && plain && !sealed && vma.page_size == page
}

impl Sink for Recorder {
    type Mark = u32;

    fn begun(&mut self, call: &Begun) -> u32 {
        self.look_back(call.tid);
        self.stack(call.tid, &call.registers)
    }

    fn foresees(&mut self, begun: &Begun, stack: u32) -> bool {
        let Some(entry) = self.tasks.get(&begun.tid).map(|task| task.entry) else { return false };
        let foreseen = self.replay.space(entry).is_some_and(|space| succeeds(&space.memory, begun));
        if foreseen {
            self.record(begun, 0, stack, true, false);
        }
        foreseen
    }

    fn returned(&mut self, begun: &Begun, result: i64, stack: u32, in_order: bool) {
        self.record(begun, result, stack, in_order, true);
    }

    fn cloned(&mut self, parent: u32, child: u32, shared: Shared, registers: Registers) {
        self.look_back(parent);
        let stack = self.stack(parent, &registers);
        let Some(task) = self.tasks.get(&parent) else { return };
        let (entry, id) = (task.entry, task.space);
        let pid = if shared.thread { task.pid } else { child };
        let comm = self.writer.tasks()[entry as usize].comm.clone();
        let Some(space) = self.spaces.get_mut(&id) else { return };
        let space = if shared.memory {
            space.tasks += 1;
            id
        } else {
            let modules = space.modules.clone();
            let Ok(space) = LiveSpace::open(child, modules) else { return };
            self.add_space(space)
        };
        let new = self.writer.task(TaskEntry { tid: child, pid, comm });
        self.event(entry, stack, What::Clone { child: new, memory: shared.memory });
        self.truth.tasks += 1;
        self.tasks.insert(child, Task::new(new, pid, space));
        if !shared.memory {
            self.with(space, |recorder, space| recorder.check_whole(child, new, space));
        }
    }

    fn executed(&mut self, tid: u32, former: u32) {
        let old = self.remove(former);
        if let Some(old) = &old {
            // All other threads are gone.
            let threads = self.tasks.iter().filter(|(_, task)| task.pid == old.pid);
            let threads: Vec<u32> = threads.map(|(tid, _)| *tid).collect();
            for thread in threads {
                if let Some(task) = self.remove(thread) {
                    self.event(task.entry, 0, What::Exit { status: 0 });
                }
            }
        }
        let Ok(mut space) = LiveSpace::open(tid, Modules::default()) else { return };
        let comm = space.process().comm().unwrap_or_default();
        let to = self.writer.task(TaskEntry { tid, pid: tid, comm });
        let shown = space.all_rows().unwrap_or_default();
        let rows = self.rows(&space, &shown);
        if self.truth.execs == 0 {
            self.runs(tid);
        }
        self.event(old.map_or(to, |old| old.entry), 0, What::Exec { to, rows });
        self.truth.execs += 1;
        for row in shown.iter().filter(|row| row.inode != 0 || row.perms.execute()) {
            if row.kind() != Kind::Vsyscall {
                self.map_code(&mut space, &row);
            }
        }
        let space = self.add_space(space);
        self.tasks.insert(tid, Task::new(to, tid, space));
    }

    fn exiting(&mut self, tid: u32, status: i32) {
        self.look_back(tid);
        self.last_look(tid);
        let Some(task) = self.remove(tid) else { return };
        // The signal that it dies of.
        if let Some((Signal { number, code, address, registers }, stack, instruction)) = task.signal
            && status & 0x7f == number
        {
            let name = |(name, value): (&str, u64)| (name.as_bytes().to_vec(), value);
            let values = registers.into_iter().map(name).collect();
            self.event(task.entry, stack, What::Registers { values, code: instruction });
            self.event(task.entry, stack, What::Signal { number, code, address });
        }
        self.event(task.entry, 0, What::Exit { status });
    }

    fn signalled(&mut self, tid: u32, signal: &Signal, registers: Registers) {
        // Those that programs die of by what they do; others say nothing of memory.
        let faults = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS];
        if !faults.contains(&signal.number) {
            return;
        }
        let stack = self.stack(tid, &registers);
        let mut code = vec![0; LONGEST];
        let count = read_memory(tid, registers.ip, &mut code).unwrap_or(0);
        code.truncate(count);
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.signal = Some((signal.clone(), stack, code));
        }
    }

    fn tick(&mut self) -> bool {
        let now = Duration::from_nanos(self.time(clock_ns()));
        if now - self.flushed >= FLUSH_AFTER {
            self.writer.flush();
            self.output.append(&self.writer.take());
            self.flushed = now;
        }
        if self.interrupted.is_none() && self.asked.interrupted() {
            self.interrupted = Some(now);
        }
        let over = self.interrupted.is_some_and(|asked| now - asked >= self.grace)
            || self.limits.duration.is_some_and(|limit| now >= limit)
            || self.limits.size.is_some_and(|limit| self.output.size() >= limit)
            || self.output.failed().is_some();
        if over {
            self.end();
        }
        if over || now - self.told >= TELL_AFTER {
            self.tell_progress(now);
        }
        !over
    }
}
