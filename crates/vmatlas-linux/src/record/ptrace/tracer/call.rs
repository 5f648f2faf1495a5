//! Handles the entry and exit of calls.

use super::super::made;
use super::super::notice::Notice;
use super::super::order::{PATIENCE, SpaceId, patience};
use super::super::own_filter;
use super::super::task::InCall;
use super::{Tracer, go_on};
use crate::record::arch::{self, call_of, seen, settled};
use crate::record::calls::{self, decode};
use crate::record::filter;
use crate::record::sink::{Begun, Sink};
use crate::sys::ptrace::{self, Regs, Resume};
use vmatlas_maps::uapi::sched::CLONE_UNTRACED;
use vmatlas_maps::uapi::seccomp::{SECCOMP_SET_MODE_FILTER, SECCOMP_SET_MODE_STRICT};
use vmatlas_recording::Tid;
use vmatlas_recording::call::{Abi, Meaning};

impl<S: Sink> Tracer<'_, S> {
    /// A task enters a call that the filter names.
    pub(super) fn entered(&mut self, tid: Tid) {
        let data = ptrace::event_message(tid).unwrap_or(0);
        let ours = filter::abi(data);
        if !self.recording && ours.is_some_and(|(_, changes)| changes) {
            return go_on(tid, Resume::Continue(0));
        }
        let Ok(registers) = ptrace::registers(tid) else { return };
        // If the program's own filter also returns to a tracer, the data is that filter's.
        let abi = ours.map(|(abi, _)| abi).or_else(|| {
            Some(arch::abi_of(ptrace::audit_arch(tid).ok()?, registers.orig_rax & 0xffff_ffff))
        });
        let abi = abi.unwrap_or(arch::NATIVE);
        let (number, args) = call_of(&registers, abi);
        let Some(call) = calls::find(abi, number, &args) else {
            return go_on(tid, Resume::Continue(0));
        };
        self.watched(tid, abi, call.meaning, &args, &registers);
        let forks = self.recording
            && matches!(call.meaning, Meaning::Clone | Meaning::Clone3 | Meaning::Fork)
            && made::copies(self.sink, tid, abi, &registers);
        if forks && let Some(task) = self.tasks.get_mut(&tid) {
            task.copies = true;
            if self.order.enter(task.space, tid, PATIENCE) {
                self.begin(tid);
            }
            return;
        }
        let sink = &mut self.sink;
        let read = |address, to: &mut [u8]| sink.read(tid, address, to) == to.len();
        let decoded = decode(call, abi, args, read).filter(|_| self.recording);
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

    /// Handles calls that are stopped for other reasons than changing an address space.
    fn watched(&mut self, tid: Tid, abi: Abi, meaning: Meaning, args: &[u64; 6], at: &Regs) {
        const STRICT: u64 = SECCOMP_SET_MODE_STRICT as u64;
        const FILTER: u64 = SECCOMP_SET_MODE_FILTER as u64;
        // The modes of prctl(2) are one more than those of seccomp(2).
        let (mode, program) = match meaning {
            Meaning::Seccomp => (args[0], args[2]),
            Meaning::PrctlSeccomp => (args[1].wrapping_sub(1), args[2]),
            Meaning::Ptrace => {
                return self.notices.add(Notice::Ptrace { tid, request: args[0] });
            }
            Meaning::IoUring => return self.notices.add(Notice::IoUring { tid }),
            Meaning::Clone => {
                if args[0] & CLONE_UNTRACED == 0 {
                    return;
                }
                // The task would have the filter without a tracer. The changed register remains,
                // and no code reads it.
                let mut with = *at;
                *arch::first_argument(&mut with, abi) &= !CLONE_UNTRACED;
                let _ = ptrace::set_registers(tid, &with);
                return;
            }
            _ => return,
        };
        if !self.recording {
            return;
        }
        if mode == STRICT {
            self.notices.add(Notice::StrictSeccomp { tid });
        } else if mode == FILTER {
            let sink = &mut self.sink;
            let read = |address, to: &mut [u8]| sink.read(tid, address, to);
            if own_filter::asks(abi, program, read) {
                self.notices.add(Notice::ForeignFilter { tid });
            }
        }
    }

    /// Lets a stopped task enter its call.
    pub(super) fn begin(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        if task.copies {
            // If this fails, which is rare, the task's next stop is its end.
            return go_on(tid, Resume::UntilCall);
        }
        let Some(call) = task.call.as_mut() else { return };
        let mark = self.sink.begun(&call.begun);
        call.mark = Some(mark);
        let (begun, space) = (call.begun, task.space);
        if self.is_alone(space) && self.sink.foresees(&begun, mark) {
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.call = None;
            }
            // No other task can be held.
            self.order.leave(space, tid);
            return go_on(tid, Resume::Continue(0));
        }
        go_on(tid, Resume::UntilCall);
    }

    /// Whether only one task uses an address space.
    fn is_alone(&self, space: SpaceId) -> bool {
        self.tasks.values().filter(|task| task.space == space).nth(1).is_none()
    }

    /// Records that a task has its copy or will not get one, so that others may change the address
    /// space again.
    pub(super) fn copied(&mut self, tid: Tid) {
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        if std::mem::take(&mut task.copies)
            && let (_, Some(next)) = self.order.leave(task.space, tid)
        {
            self.begin(next);
        }
    }

    /// A task leaves a call.
    pub(super) fn returned(&mut self, tid: Tid) {
        self.copied(tid);
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let space = task.space;
        let Some(InCall { mut begun, decoded, abi, mark: Some(mark) }) = task.call.take() else {
            return go_on(tid, Resume::Continue(0));
        };
        let (in_order, next) = self.order.leave(space, tid);
        if let Ok(result) = ptrace::result(tid) {
            let mut result = settled(result, abi);
            if let Some(left) = decoded.left {
                let sink = &mut self.sink;
                let read = |address, to: &mut [u8]| sink.read(tid, address, to) == to.len();
                left.take(&mut begun.args, &mut result, read);
            }
            self.sink.returned(&begun, result, mark, in_order);
            go_on(tid, Resume::Continue(0));
        }
        if let Some(next) = next {
            self.begin(next);
        }
    }
}
