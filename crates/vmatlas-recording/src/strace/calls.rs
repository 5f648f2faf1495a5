//! Dispatches the calls of a log.

use super::line::{Call, Outcome};
use super::missing::MissingFact;
use super::replay::State;
use super::task::{CloneFlags, Pending, Task, TaskSpace};
use super::typed::{MAP_PLACED, Typed};
use super::value::{Descriptor, Value};
use crate::{CallKind, Maker, Origin, Tid};
use std::cell::RefCell;
use std::rc::Rc;
use vmatlas_maps::Device;
use vmatlas_maps::uapi::mman::{MAP_ANONYMOUS, MREMAP_FIXED};
use vmatlas_space::{CallRange, File, FileKind, Mmap, Prot};

impl State<'_> {
    /// Applies a call of a task.
    pub(crate) fn call(&mut self, tid: Tid, line: u64, call: &Call<'_>) {
        if let Some(flags) = CloneFlags::of(call.name, call.args) {
            let child = call.value().and_then(|child| u32::try_from(child).ok());
            if let Some(child) = child.filter(|child| *child != 0) {
                self.fork(tid, Tid::new(child), flags);
            }
            return;
        }
        let Some(task) = self.tasks.get(&tid).cloned() else { return };
        if matches!(call.result, Outcome::Unknown) {
            return;
        }
        let succeeded = matches!(call.result, Outcome::Ok(_));
        match call.name {
            "execve" | "execveat" if succeeded => self.execute(tid, &task, call),
            "mmap" | "mmap2" | "old_mmap" if succeeded => self.mmap(tid, &task, line, call),
            "mremap" if succeeded => {
                let Some(typed) = Typed::of(call) else { return };
                let [from, _, length, flags, ..] = typed.call.args;
                if let Some(to) = call.value()
                    && from != to
                    && flags & MREMAP_FIXED == 0
                {
                    self.clear_the_way(tid, &task, line, to, length);
                }
                self.apply(tid, &task, line, call, &typed, None);
            }
            "munmap" if self.was_done(tid) => {}
            "prctl" if call.arg(0).is_some_and(|option| option.has("PR_SET_NAME")) => {
                let name = call.arg(1).and_then(Value::string);
                if let (Some((name, _)), Some(task)) = (name, self.tasks.get_mut(&tid)) {
                    task.rename(&name);
                }
            }
            "shmget" if succeeded => self.shmget(call),
            "shmat" if succeeded => self.shmat(tid, &task, line, call),
            "read" | "pread64" if succeeded => self.read(&task, call),
            "ioctl" if succeeded => self.ioctl(&task, call),
            _ => match Typed::of(call) {
                Some(typed) => self.apply(tid, &task, line, call, &typed, None),
                None if succeeded => self.file_call(&task, call),
                None => {}
            },
        }
    }

    /// Applies a call that changes an address space.
    fn apply(
        &mut self,
        tid: Tid,
        task: &Task,
        line: u64,
        call: &Call<'_>,
        typed: &Typed,
        file: Option<&File>,
    ) {
        let origin = self.origin(tid);
        let touched = task.space.borrow_mut().apply(line, call, typed, file, origin);
        let makes = matches!(
            typed.call.kind,
            CallKind::Mmap
                | CallKind::Brk
                | CallKind::Mremap
                | CallKind::Shmat
                | CallKind::MapShadowStack
        );
        if makes {
            self.made(task, touched);
        }
    }

    fn execute(&mut self, tid: Tid, task: &Task, call: &Call<'_>) {
        let path = match call.name {
            "execve" => self.path(task, None, call.arg(0)),
            _ => self.path(task, call.arg(0), call.arg(1)),
        };
        self.executions += 1;
        let (path, relative) = path.unwrap_or_default();
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.rename(path.rsplit(|&b| b == b'/').next().unwrap_or_default());
        }
        let begun = Origin { maker: Maker::Exec, ..self.origin(tid) };
        let mut space = TaskSpace::new(&self.profile, self.executions, begun);
        space.program = path;
        space.relative = relative;
        if relative {
            space.gaps.push(MissingFact::Directory { path: space.program.clone() });
        }
        space.exec = space.execute(self.lookup);
        let mut descriptors = task.descriptors.borrow().clone();
        descriptors.exec();
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.space = Rc::new(RefCell::new(space));
            task.descriptors = Rc::new(RefCell::new(descriptors));
            let directory = task.directory.borrow().clone();
            task.directory = Rc::new(RefCell::new(directory));
        }
    }

    fn mmap(&mut self, tid: Tid, task: &Task, line: u64, call: &Call<'_>) {
        let (Some(typed), Some(address)) = (Typed::of(call), call.value()) else { return };
        let [_, length, _, flags, ..] = typed.call.args;
        let anonymous = flags & MAP_ANONYMOUS != 0;
        let file = if anonymous { None } else { Some(self.file(task, line, call.arg(4))) };
        if flags & MAP_PLACED == 0 {
            let unit = Mmap::anonymous(length, Prot::NONE).with_flags(flags).huge.unwrap_or(4096);
            let extent = length.checked_next_multiple_of(unit).unwrap_or(length);
            self.clear_the_way(tid, task, line, address, extent);
        }
        self.apply(tid, task, line, call, &typed, file.as_ref());
    }

    /// The file of the descriptor that was passed to mmap.
    fn file(&mut self, task: &Task, line: u64, argument: Option<Value<'_>>) -> File {
        let descriptor = argument.and_then(Value::descriptor);
        let number = descriptor.as_ref().map_or(-1, |descriptor| descriptor.number);
        let known = task.descriptors.borrow().get(number).cloned();
        let open = match (&known, &descriptor) {
            (Some(open), Some(descriptor)) => {
                self.names.shown(open, descriptor);
                open.clone()
            }
            // The call that opened it is not in the log, for example because strace attached later.
            (None, Some(Descriptor { path: Some(path), .. })) => {
                let open = self.names.open(path, false, true, true);
                if let Some(descriptor) = &descriptor {
                    self.names.shown(&open, descriptor);
                }
                task.descriptors.borrow_mut().put(number, open.clone(), false);
                open
            }
            _ => {
                let gap = MissingFact::File { line, descriptor: number };
                task.space.borrow_mut().gaps.push(gap);
                return File::of(FileKind::Regular, b"?", Device::default(), 0);
            }
        };
        let space = &mut *task.space.borrow_mut();
        space.mapped.add(&open.name, &space.map.memory);
        open.file(self.lookup, &mut space.gaps)
    }

    /// Unmaps the range in which the kernel put new memory, by a call that has not returned yet,
    /// else reports it as missing in the log.
    fn clear_the_way(&mut self, tid: Tid, task: &Task, line: u64, address: u64, length: u64) {
        let mut space = task.space.borrow_mut();
        if !space.is_taken(address, length) {
            return;
        }
        for (_, other) in self.tasks.iter_mut().filter(|(other, _)| **other != tid) {
            let same = Rc::ptr_eq(&other.space, &task.space);
            if let Some(Pending::Unmap { address, length, done }) = &mut other.begun
                && same
                && !*done
            {
                let args = [*address, *length, 0, 0, 0, 0];
                let unmap = crate::Call { kind: CallKind::Munmap, args, result: 0 };
                *done = space.map.call(&unmap, None, None, Origin::UNSEEN).refused.is_none();
            }
        }
        if space.is_taken(address, length) {
            space.gaps.push(MissingFact::Taken { line, address });
        }
    }

    /// Whether a munmap that returns now was applied earlier, when its range was reused.
    fn was_done(&self, tid: Tid) -> bool {
        let begun = self.tasks.get(&tid).and_then(|task| task.begun.as_ref());
        matches!(begun, Some(Pending::Unmap { done: true, .. }))
    }

    fn shmget(&mut self, call: &Call<'_>) {
        let number = |index: usize| call.arg(index).and_then(Value::number);
        let key =
            if call.arg(0).is_some_and(|key| key.has("IPC_PRIVATE")) { Some(0) } else { number(0) };
        if let (Some(id), Some(key), Some(size)) = (call.value(), key, number(1))
            && !self.segments.contains_key(&id)
            && size > 0
        {
            self.segment(id, key, size);
        }
    }

    fn shmat(&mut self, tid: Tid, task: &Task, line: u64, call: &Call<'_>) {
        let Some(id) = call.arg(0).and_then(Value::number) else { return };
        let Some(segment) = self.segments.get(&id).cloned() else {
            task.space.borrow_mut().gaps.push(MissingFact::Segment { id });
            return;
        };
        if let Some(address) = call.value()
            && call.arg(1).and_then(Value::number) == Some(0)
        {
            self.clear_the_way(tid, task, line, address, segment.size());
        }
        let Some(mut typed) = Typed::of(call) else { return };
        typed.call.args[3] = segment.size();
        self.apply(tid, task, line, call, &typed, Some(&segment));
    }

    fn ioctl(&mut self, task: &Task, call: &Call<'_>) {
        let (Some(request), Some(argument)) = (call.arg(1), call.arg(2)) else { return };
        let descriptor = call.arg(0).and_then(Value::descriptor);
        let Some(number) = descriptor.map(|descriptor| descriptor.number) else { return };
        let range = || {
            let start = argument.field("start")?.number()?;
            let length = argument.field("len")?.number()?;
            Some(CallRange { address: start, length })
        };
        let uffd = task.descriptors.borrow().get(number).and_then(|open| open.uffd.get());
        let mut space = task.space.borrow_mut();
        if request.has("FIOCLEX") || request.has("FIONCLEX") {
            task.descriptors.borrow_mut().set_cloexec(number, request.has("FIOCLEX"));
        } else if let (Some(uffd), Some(range)) = (uffd, range()) {
            let mode = argument.field("mode");
            // An error is ignored: the call succeeded, and memory unknown to the model cannot be
            // watched.
            if request.has("UFFDIO_REGISTER") {
                let protect = mode.is_some_and(|mode| mode.0.ends_with(b"MODE_WP"));
                let _ = space.map.memory.uffd_register(uffd, range, protect);
            } else if request.has("UFFDIO_UNREGISTER") {
                let _ = space.map.memory.uffd_unregister(uffd, range);
            }
        }
    }
}
