//! Turns a backend's reports into a recording: follows every address space with the model, compares
//! each with the kernel, and writes events, stacks and corrections of the model.

mod check;
mod files;
mod steps;
mod stops;

use super::code::CodeFiles;
use super::control::{Asked, Control};
use super::output::Output;
use super::sink::{Registers, Signal};
use super::space::{LiveSpace, MemoryAccess};
use super::truth::Truth;
use super::unwind::{
    FileId, Frame, How, Images, Modules, ReadMemory, StackCopy, TaskMemory, Unwinder,
};
use super::{Listener, News, Progress, Report};
use files::KnownFile;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use vmatlas_maps::Device;
use vmatlas_object::unwind::End;
use vmatlas_recording::{
    Applied, Call, CallKind, FrameEntry, Meta, Replay, StackId, TaskId, Tid, What, Writer,
};
use vmatlas_space::Errno;

pub(super) use files::{row_address, vdso};

/// Maximum number of JIT code addresses remembered per address space.
const MAX_JIT: usize = 1 << 16;
/// Maximum number of frames kept per stack.
const DEPTH: usize = 256;
/// After a call that touched more rows than this, they are not checked individually.
const ROWS_TO_CHECK: usize = 64;
/// Maximum time until recorded data is written.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// How long a recording continues after a Ctrl-C.
const GRACE: Duration = Duration::from_secs(1);
/// Interval of progress reports.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// All rows of an address space are compared after this many of its events.
const WHOLE_CHECK_EVERY: u64 = 1 << 14;

/// The limits at which a recording ends.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum duration.
    pub duration: Option<Duration>,
    /// The maximum size of the file, in bytes.
    pub size: Option<u64>,
}

impl Limits {
    /// A duration and a size in bytes; `None` for no limit.
    pub fn new(duration: Option<Duration>, size: Option<u64>) -> Limits {
        Limits { duration, size }
    }
}

/// A recorded task.
#[derive(Debug)]
struct Task {
    /// Its entry in the recording.
    entry: TaskId,
    pid: u32,
    /// Its address space, a key of [`Recorder::spaces`].
    space: u32,
    /// The last signal delivered, which may end the task, with the stack and the code at the
    /// instruction pointer.
    signal: Option<(Signal, StackId, Vec<u8>)>,
    /// Events since the last comparison of all rows.
    unchecked: u64,
    /// It is in a call that may change its address space.
    in_call: bool,
    /// The effect of a call whose success we assumed and have not verified yet.
    foreseen: Option<Applied>,
    /// Its entry before it executed a program, until that is written.
    former: Option<TaskId>,
}

impl Task {
    fn new(entry: TaskId, pid: u32, space: u32) -> Task {
        Task {
            entry,
            pid,
            space,
            signal: None,
            unchecked: 0,
            in_call: false,
            foreseen: None,
            former: None,
        }
    }
}

/// Walks stacks.
struct Walker {
    unwinder: Unwinder,
    /// Those of the last walk.
    frames: Vec<Frame>,
    /// Why it ended.
    end: End,
}

impl Walker {
    fn walk(&mut self, modules: &Modules, at: &Registers, memory: &mut impl ReadMemory) {
        self.end = self.unwinder.walk(modules, at, memory, &mut self.frames);
    }
}

/// Writes a recording.
pub(crate) struct Recorder {
    writer: Writer,
    replay: Replay,
    output: Output,
    /// The start time, on CLOCK_MONOTONIC in nanoseconds.
    began_ns: u64,
    flushed: Duration,
    limits: Limits,
    tasks: HashMap<Tid, Task>,
    spaces: HashMap<u32, Box<LiveSpace>>,
    next_space: u32,
    /// Known files, by the device, inode and name in rows.
    files: HashMap<(Device, u64, Vec<u8>), KnownFile>,
    code: CodeFiles,
    images: Images,
    /// The number in the recording of each file with frames.
    image_numbers: HashMap<FileId, u32>,
    walker: Walker,
    memory: TaskMemory,
    access: MemoryAccess,
    entries: Vec<FrameEntry>,
    pub(super) truth: Truth,
    asked: Arc<Asked>,
    /// Whether resident pages are recorded.
    pub(super) pages: bool,
    /// The time that a program which also gets the Ctrl-C has to end while recorded.
    grace: Duration,
    /// The time at which the user's interrupt was first seen.
    interrupted: Option<Duration>,
    news: Option<Listener>,
    /// The time of the last progress report.
    last_progress: Duration,
    ended: bool,
}

impl Recorder {
    pub(crate) fn new(
        meta: &Meta,
        output: Output,
        limits: Limits,
        news: Option<Listener>,
    ) -> Recorder {
        Recorder {
            news,
            last_progress: Duration::ZERO,
            asked: Arc::default(),
            pages: false,
            grace: GRACE,
            interrupted: None,
            writer: Writer::new(meta),
            replay: Replay::new(meta.profile()),
            output,
            began_ns: clock_ns(),
            flushed: Duration::ZERO,
            limits,
            tasks: HashMap::new(),
            spaces: HashMap::new(),
            next_space: 0,
            files: HashMap::new(),
            code: CodeFiles::default(),
            images: Images::default(),
            image_numbers: HashMap::new(),
            walker: Walker { unwinder: Unwinder::new(DEPTH), frames: Vec::new(), end: End::Root },
            memory: TaskMemory::default(),
            access: MemoryAccess::default(),
            entries: Vec::new(),
            truth: Truth::default(),
            ended: false,
        }
    }

    /// Obeys the user's signals from now on.
    pub(crate) fn obey(&mut self, control: Option<&Control>) {
        self.asked = control.map(Control::asked).unwrap_or_default();
    }

    /// Notes that tasks are not stopped when their events are handled.
    pub(super) fn mark_following(&mut self) {
        self.access.beside = true;
    }

    /// Notes that the program does not receive the terminal's signals.
    pub(super) fn mark_attached(&mut self) {
        self.asked.attached();
        self.grace = Duration::ZERO;
    }

    /// Removes the file: nothing was recorded.
    pub(crate) fn discard(self) {
        self.output.discard();
    }

    /// Writes all events so far.
    pub(super) fn flush(&mut self) {
        if !self.ended {
            self.writer.flush();
            self.output.append(&self.writer.take());
        }
    }

    /// Ends the recording, and returns its report.
    pub(crate) fn finish(mut self) -> Report {
        self.end();
        self.output.keep();
        let (size, failed) = self.output.into_parts();
        Report { status: None, truth: self.truth, audit: None, notices: Vec::new(), size, failed }
    }

    /// Writes the end of the recording.
    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.truth.events = self.writer.next_number().previous().get();
            self.writer.finish();
            self.output.append(&self.writer.take());
        }
    }

    fn report_progress(&mut self, elapsed: Duration) {
        self.last_progress = elapsed;
        let progress = Progress {
            elapsed,
            events: self.writer.next_number().previous().get(),
            lost: self.truth.lost,
            size: self.output.size(),
        };
        if !self.ended {
            return self.notify(&News::Progress(progress));
        }
        if let (Some(listener), Some(error)) = (&mut self.news, self.output.failed()) {
            listener(&News::Failed(error));
        }
        self.notify(&News::Ended);
    }

    /// Sends a report to the listener.
    pub(super) fn notify(&mut self, news: &News<'_>) {
        if let Some(listener) = &mut self.news {
            listener(news);
        }
    }

    /// Adds the address space of a new task.
    fn add_space(&mut self, space: LiveSpace) -> u32 {
        self.next_space = self.next_space.wrapping_add(1);
        self.spaces.insert(self.next_space, Box::new(space));
        self.next_space
    }

    /// Works on an address space, if it exists.
    fn with(&mut self, id: u32, work: impl FnOnce(&mut Recorder, &mut LiveSpace)) {
        if let Some(mut space) = self.spaces.remove(&id) {
            work(self, &mut space);
            self.spaces.insert(id, space);
        }
    }

    /// Removes a task, and with the last task its address space.
    fn remove(&mut self, tid: Tid) -> Option<Task> {
        let task = self.tasks.remove(&tid)?;
        if let Some(space) = self.spaces.get_mut(&task.space) {
            space.tasks -= 1;
            space.calls -= u32::from(task.in_call);
            if space.tasks == 0 {
                self.spaces.remove(&task.space);
            } else if space.is_read_through(tid)
                && let Some((other, _)) = self.tasks.iter().find(|(_, of)| of.space == task.space)
            {
                space.read_through(*other);
            }
        }
        Some(task)
    }

    /// Converts a CLOCK_MONOTONIC time to the recording's.
    fn time(&self, clock_ns: u64) -> u64 {
        clock_ns.saturating_sub(self.began_ns)
    }

    /// Writes an event that happens now, and applies it to the model.
    fn event(&mut self, entry: TaskId, stack: StackId, what: What) -> Applied {
        self.event_at(self.time(clock_ns()), entry, stack, what)
    }

    /// Writes an event, and applies it to the model.
    fn event_at(&mut self, time_ns: u64, entry: TaskId, stack: StackId, what: What) -> Applied {
        if self.ended {
            return Applied::default();
        }
        let event = self.writer.event(time_ns, entry, stack, what);
        let applied = self.replay.apply(&event, self.writer.files());
        if self.writer.snapshot_due() {
            self.writer.snapshot(&self.replay);
        }
        applied
    }

    /// Reads memory of a task; returns the number of bytes. Memory of file systems that may never
    /// answer is refused.
    pub(super) fn read_memory(&mut self, tid: Tid, address: u64, bytes: &mut [u8]) -> usize {
        let Some(id) = self.tasks.get(&tid).map(|task| task.space) else { return 0 };
        self.with_memory(id, |_, _, memory| memory.read(address, bytes)).unwrap_or(0)
    }

    /// Works on the memory of an address space.
    fn with_memory<T>(
        &mut self,
        id: u32,
        work: impl FnOnce(&mut Walker, &Modules, &mut TaskMemory) -> T,
    ) -> Option<T> {
        let space = self.spaces.get_mut(&id)?;
        let memory = self.memory.of(self.access.memory(space));
        memory.guard(&mut space.query, &mut self.code.refused);
        let done = work(&mut self.walker, &space.modules, memory);
        memory.end_guard(&mut space.query, &mut self.code.refused);
        // Of a task that is gone, the id may be another's by now.
        (!self.access.beside || !space.is_gone()).then_some(done)
    }

    /// The number of a task's stack.
    fn stack(&mut self, tid: Tid, registers: &Registers) -> StackId {
        let Some(id) = self.tasks.get(&tid).map(|task| task.space) else { return StackId::NONE };
        self.with_memory(id, |walker, modules, memory| walker.walk(modules, registers, memory));
        self.intern(id)
    }

    /// The number of a stack, from a copy of its bytes starting at the stack pointer.
    fn stack_of_copy(&mut self, tid: Tid, registers: &Registers, bytes: &[u8]) -> StackId {
        let Some(id) = self.tasks.get(&tid).map(|task| task.space) else { return StackId::NONE };
        self.with_memory(id, |walker, modules, live| {
            let code: Option<&mut dyn ReadMemory> = Some(live);
            let mut memory = StackCopy { start: registers.sp, bytes, code };
            walker.walk(modules, registers, &mut memory);
        });
        self.intern(id)
    }

    /// The number of the last walked stack.
    fn intern(&mut self, space: u32) -> StackId {
        let Some(space) = self.spaces.get_mut(&space) else { return StackId::NONE };
        self.entries.clear();
        for frame in &self.walker.frames {
            let guessed = frame.how == How::Scanned;
            let entry = match frame.place {
                Some(place) => {
                    let file = self.image_numbers.get(&place.file).copied().unwrap_or(0);
                    FrameEntry { file, offset: place.offset, guessed }
                }
                None => {
                    if space.jit.len() < MAX_JIT && !guessed {
                        space.jit.insert(frame.pc);
                    }
                    FrameEntry { file: 0, offset: frame.pc, guessed }
                }
            };
            if entry.file != 0 {
                space.note_place(entry.file, entry.offset);
            }
            self.entries.push(entry);
        }
        if self.walker.end != End::Root && !self.entries.is_empty() {
            self.entries.push(FrameEntry::CUT);
        }
        self.writer.stack(&self.entries)
    }

    /// Whether a returned call may have changed the address space.
    fn counts(&self, entry: TaskId, call: &Call) -> bool {
        if (-4095..0).contains(&call.result) {
            return changes_though_failed(call);
        }
        // A call that only queries the break.
        let known = || self.replay.space(entry).map(|space| space.memory.program_break());
        call.kind != CallKind::Brk || known() != Some(call.result as u64)
    }

    /// Notes the pid of the launched program, which was not waited for yet.
    pub(super) fn runs(&self, pid: u32) {
        self.asked.runs(pid);
    }
}

/// CLOCK_MONOTONIC, in nanoseconds.
pub(super) fn clock_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let part = |part| u64::try_from(part).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

/// Whether a failed call may have changed the address space.
fn changes_though_failed(call: &Call) -> bool {
    let errno = Errno(i32::try_from(call.result.unsigned_abs()).unwrap_or(0));
    matches!(errno, Errno::ENOMEM | Errno::EACCES | Errno::EPERM)
        && matches!(
            call.kind,
            CallKind::Mprotect | CallKind::PkeyMprotect | CallKind::Madvise | CallKind::Mlock
        )
}
