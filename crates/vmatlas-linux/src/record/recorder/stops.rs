//! Records the reports of the ptrace backend.

use super::{FLUSH_AFTER, PROGRESS_EVERY, Recorder, WHOLE_CHECK_EVERY, clock_ns};
use crate::record::sink::{At, Begun, Registers, Seen, Shared, Signal, Sink, StackAt};
use std::time::Duration;
use vmatlas_explain::crash::FAULTS;
use vmatlas_explain::explain::instruction::MAX_INSTRUCTION_BYTES;
use vmatlas_recording::{Call, CallKind, StackId, Tid, What};
use vmatlas_space::{AddressSpace, VmaFlags};

impl Recorder {
    /// Writes a call and applies it to the model. `done` means that the kernel has completed it, so
    /// that its rows can be checked; otherwise they are checked at the task's next stop.
    fn record(&mut self, begun: &Begun, result: i64, stack: StackId, in_order: bool, done: bool) {
        let tid = begun.tid;
        let call = Call { kind: begun.kind, args: begun.args, result };
        let stack = StackAt::Number(stack);
        let seen = Seen { tid, call, stack, in_order, row: None };
        let Some(applied) = self.called(At::Now, seen) else { return };
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        task.unchecked += 1;
        if !done {
            task.foreseen = Some(applied);
            return;
        }
        let (entry, id, whole) = (task.entry, task.space, task.unchecked > WHOLE_CHECK_EVERY);
        self.with(id, |recorder, space| {
            if whole {
                recorder.check_whole(tid, entry, space);
            } else {
                recorder.check(tid, entry, space, &applied);
            }
        });
    }

    /// Notes whether a task is in a call that may change its address space.
    fn set_in_call(&mut self, tid: Tid, in_call: bool) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let before = std::mem::replace(&mut task.in_call, in_call);
        if let Some(space) = self.spaces.get_mut(&task.space) {
            space.calls = space.calls + u32::from(in_call) - u32::from(before);
        }
    }

    /// The task has stopped again, so the assumed call has completed: verify it now.
    fn look_back(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let Some(applied) = task.foreseen.take() else { return };
        let (entry, id) = (task.entry, task.space);
        self.with(id, |recorder, space| recorder.check(tid, entry, space, &applied));
    }
}

/// Whether a call is sure to succeed: it concerns a part of one private anonymous mapping, and
/// requests nothing that could be refused.
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
    // Some of the kernel's own mappings cannot be changed.
    let plain = vma.inode == 0 && !vma.perms.shared() && matches!(&*vma.name, b"" | b"[heap]");
    whole && plain && !sealed && vma.page_size == page
}

impl Sink for Recorder {
    type Mark = StackId;

    fn read(&mut self, tid: Tid, address: u64, bytes: &mut [u8]) -> usize {
        self.read_memory(tid, address, bytes)
    }

    fn begun(&mut self, call: &Begun) -> StackId {
        self.look_back(call.tid);
        let stack = self.stack(call.tid, &call.registers);
        self.set_in_call(call.tid, true);
        stack
    }

    fn foresees(&mut self, begun: &Begun, stack: StackId) -> bool {
        let Some(entry) = self.tasks.get(&begun.tid).map(|task| task.entry) else { return false };
        let foreseen = self.replay.space(entry).is_some_and(|space| succeeds(&space.memory, begun));
        if foreseen {
            self.set_in_call(begun.tid, false);
            self.record(begun, 0, stack, true, false);
        }
        foreseen
    }

    fn returned(&mut self, begun: &Begun, result: i64, stack: StackId, in_order: bool) {
        self.set_in_call(begun.tid, false);
        self.record(begun, result, stack, in_order, true);
    }

    fn cloned(&mut self, parent: Tid, child: Tid, shared: Shared, registers: Registers) {
        self.look_back(parent);
        let stack = StackAt::Live(registers);
        let Some(new) = self.made(At::Now, (parent, child), shared, &stack) else { return };
        if let Some(space) = self.space_of(child).filter(|_| !shared.memory) {
            self.with(space, |recorder, space| recorder.check_whole(child, new, space));
        }
    }

    fn executed(&mut self, tid: Tid, former: Tid) {
        self.executes(At::Now, tid, former, None);
        self.has_executed(At::Now, tid, None);
    }

    fn exiting(&mut self, tid: Tid, status: i32) {
        self.look_back(tid);
        self.last_look(tid);
        let Some(task) = self.remove(tid) else { return };
        // The signal that kills the task.
        if let Some((Signal { number, code, address, registers }, stack, instruction)) = task.signal
            && status & 0x7f == number
        {
            let name = |(name, value): (&str, u64)| (name.as_bytes().to_vec(), value);
            let values = registers.into_iter().map(name).collect();
            self.event(task.entry, stack, What::Registers { values, code: instruction });
            self.event(task.entry, stack, What::Signal { number, code, address });
        }
        self.event(task.entry, StackId::NONE, What::Exit { status });
    }

    fn signalled(&mut self, tid: Tid, signal: &Signal, registers: Registers) {
        // The others have no relation to memory.
        if !FAULTS.contains(&signal.number) {
            return;
        }
        let stack = self.stack(tid, &registers);
        let mut code = vec![0; MAX_INSTRUCTION_BYTES];
        let count = self.read_memory(tid, registers.ip, &mut code);
        code.truncate(count);
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.signal = Some((signal.clone(), stack, code));
        }
    }

    fn tick(&mut self) -> bool {
        let now = Duration::from_nanos(self.time(clock_ns()));
        self.output.keep();
        if now - self.flushed >= FLUSH_AFTER {
            self.flush();
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
            self.look_at_all_pages();
            self.end();
        }
        if over || now - self.last_progress >= PROGRESS_EVERY {
            self.report_progress(now);
        }
        !over
    }
}
