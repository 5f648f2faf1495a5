//! What the ptrace backend sees, recorded.

use super::{FLUSH_AFTER, Recorder, TELL_AFTER, Task, WHOLE_CHECK_EVERY, clock_ns};
use crate::record::sink::{Begun, Registers, Shared, Signal, Sink};
use crate::record::space::LiveSpace;
use crate::record::unwind::Modules;
use std::time::Duration;
use vmatlas::Kind;
use vmatlas::recording::{Call, TaskEntry, What};

impl Sink for Recorder {
    type Mark = u32;

    fn begun(&mut self, call: &Begun) -> u32 {
        self.stack(call.tid, &call.registers)
    }

    fn returned(&mut self, begun: &Begun, result: i64, stack: u32, in_order: bool) {
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
            let shown = recorder.row_of(space, &call);
            let file = match &shown {
                Some(shown) => recorder.complete(space, &mut call, shown),
                None => 0,
            };
            let applied = recorder.event(entry, stack, What::Call { call, file, in_order });
            recorder.truth.refused += u64::from(applied.refused.is_some());
            recorder.truth.out_of_order += u64::from(!in_order);
            recorder.follow_code(space, &call, &applied, shown.as_ref());
            if whole {
                recorder.check_whole(begun.tid, entry, space);
            } else {
                recorder.check(begun.tid, entry, space, &applied);
            }
        });
    }

    fn cloned(&mut self, parent: u32, child: u32, shared: Shared, registers: Registers) {
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
        self.last_look(tid);
        let Some(task) = self.remove(tid) else { return };
        // The signal that it dies of.
        if let Some((signal, stack)) = task.signal
            && status & 0x7f == signal.number
        {
            let Signal { number, code, address } = signal;
            self.event(task.entry, stack, What::Signal { number, code, address });
        }
        self.event(task.entry, 0, What::Exit { status });
    }

    fn signalled(&mut self, tid: u32, signal: &Signal, registers: Registers) {
        // Those that programs die of by what they do; others say nothing of memory.
        let faults = [4, 5, 6, 7, 8, 11, 31];
        if !faults.contains(&signal.number) {
            return;
        }
        let stack = self.stack(tid, &registers);
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.signal = Some((*signal, stack));
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
