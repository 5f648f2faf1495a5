//! From what a backend sees to what is written: follows every address space with the model, holds
//! each against the kernel, and writes events, stacks and what the model got wrong.

use super::Progress;
use super::code::CodeFiles;
use super::control::{Asked, Control};
use super::output::Output;
use super::sink::{Begun, Registers, Shared, Signal, Sink};
use super::space::{LiveSpace, escaped};
use super::truth::Truth;
use super::unwind::{Backing, Frame, How, Images, Modules, TaskMemory, Unwinder};
use crate::elf::ElfFile;
use crate::sys::vm_read::read_memory;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vmatlas::recording::{
    Applied, Call, CallKind, FileEntry, FrameEntry, Meta, Replay, Row, TaskEntry, What, Writer,
};
use vmatlas::space::AddressSpace;
use vmatlas::{AddressRange, Device, Errno, Kind, Mapping, Maps};

/// How many frames of a stack are kept.
const DEPTH: usize = 256;
/// After a call that touched more rows than this, they are not looked at one by one.
const ROWS_TO_CHECK: usize = 64;
/// What was recorded is written after this long at the latest.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// A program that gets a Ctrl-C, too, has so long to end, which then is recorded.
const GRACE: Duration = Duration::from_secs(1);
/// How often progress is told.
const TELL_AFTER: Duration = Duration::from_millis(250);
/// All rows of an address space are compared after so many events of it.
const WHOLE_CHECK_EVERY: u64 = 1 << 14;
const PR_SET_VMA: u64 = 0x5356_4d41;
const MAP_ANONYMOUS: u64 = 0x20;
const PROT_EXEC: u64 = 4;

/// When a recording ends by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// After so long.
    pub duration: Option<Duration>,
    /// When its file has so many bytes.
    pub size: Option<u64>,
}

/// A task that is recorded.
#[derive(Debug)]
struct Task {
    /// Its entry in the recording.
    entry: u32,
    pid: u32,
    /// Its address space, a key of [`Recorder::spaces`].
    space: u32,
    /// The signal that was last delivered and may end it.
    signal: Option<(Signal, u32)>,
    /// Events since all rows were compared.
    unchecked: u64,
}

/// Writes a recording.
pub(crate) struct Recorder {
    writer: Writer,
    replay: Replay,
    output: Output,
    began: Instant,
    flushed: Duration,
    limits: Limits,
    tasks: HashMap<u32, Task>,
    spaces: HashMap<u32, Box<LiveSpace>>,
    next_space: u32,
    files: HashMap<(Device, u64, Vec<u8>), (u32, Arc<Backing>)>,
    code: CodeFiles,
    images: Images,
    /// The number in the recording of each file that frames are in.
    image_numbers: HashMap<super::unwind::FileId, u32>,
    unwinder: Unwinder,
    memory: TaskMemory,
    frames: Vec<Frame>,
    entries: Vec<FrameEntry>,
    truth: Truth,
    asked: Arc<Asked>,
    /// When it was first seen that the user wants no more.
    interrupted: Option<Duration>,
    progress: Option<Box<dyn FnMut(&Progress) + Send>>,
    /// When progress was last told.
    told: Duration,
    ended: bool,
}

impl Recorder {
    pub(crate) fn new(
        meta: &Meta,
        output: Output,
        limits: Limits,
        progress: Option<Box<dyn FnMut(&Progress) + Send>>,
    ) -> Recorder {
        Recorder {
            progress,
            told: Duration::ZERO,
            asked: Arc::default(),
            interrupted: None,
            writer: Writer::new(meta),
            replay: Replay::new(meta.profile()),
            output,
            began: Instant::now(),
            flushed: Duration::ZERO,
            limits,
            tasks: HashMap::new(),
            spaces: HashMap::new(),
            next_space: 0,
            files: HashMap::new(),
            code: CodeFiles::default(),
            images: Images::default(),
            image_numbers: HashMap::new(),
            unwinder: Unwinder::new(DEPTH),
            memory: TaskMemory::default(),
            frames: Vec::new(),
            entries: Vec::new(),
            truth: Truth::default(),
            ended: false,
        }
    }

    /// Does what is asked by signals from now on.
    pub(crate) fn obey(&mut self, control: Option<&Control>) {
        self.asked = control.map(Control::asked).unwrap_or_default();
    }

    /// Ends the recording, and tells how true it is.
    pub(crate) fn finish(mut self) -> (Truth, Output) {
        self.end();
        (self.truth, self.output)
    }

    /// Writes what makes a recording whole. Nothing follows.
    fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.truth.events = self.writer.next_number() - 1;
            self.writer.finish();
            self.output.append(&self.writer.take());
        }
    }

    fn tell_progress(&mut self, elapsed: Duration) {
        let Some(tell) = &mut self.progress else { return };
        self.told = elapsed;
        tell(&Progress {
            elapsed,
            events: self.writer.next_number() - 1,
            lost: self.truth.lost,
            size: self.output.size(),
            ended: self.ended,
        });
    }

    /// A task has this address space, as its first.
    fn add_space(&mut self, space: LiveSpace) -> u32 {
        self.next_space = self.next_space.wrapping_add(1);
        self.spaces.insert(self.next_space, Box::new(space));
        self.next_space
    }

    /// Works on an address space, if it is there.
    fn with(&mut self, id: u32, work: impl FnOnce(&mut Recorder, &mut LiveSpace)) {
        if let Some(mut space) = self.spaces.remove(&id) {
            work(self, &mut space);
            self.spaces.insert(id, space);
        }
    }

    /// Takes a task out; with the last one its address space is gone.
    fn remove(&mut self, tid: u32) -> Option<Task> {
        let task = self.tasks.remove(&tid)?;
        if let Some(space) = self.spaces.get_mut(&task.space) {
            space.tasks -= 1;
            if space.tasks == 0 {
                self.spaces.remove(&task.space);
            }
        }
        Some(task)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Writes an event and follows it.
    fn event(&mut self, entry: u32, stack: u32, what: What) -> Applied {
        if self.ended {
            return Applied::default();
        }
        let event = self.writer.event(self.now(), entry, stack, what);
        let applied = self.replay.apply(&event, self.writer.files());
        if self.writer.snapshot_due() {
            self.writer.snapshot(&self.replay);
        }
        applied
    }

    /// The number of the stack of a task.
    fn stack(&mut self, tid: u32, registers: &Registers) -> u32 {
        let Some(task) = self.tasks.get(&tid) else { return 0 };
        let Some(space) = self.spaces.get(&task.space) else { return 0 };
        let memory = self.memory.of(tid);
        self.unwinder.walk(&space.modules, registers, memory, &mut self.frames);
        self.entries.clear();
        for frame in &self.frames {
            let guessed = frame.how == How::Scanned;
            let entry = match frame.place {
                Some(place) => {
                    let file = self.image_numbers.get(&place.file).copied().unwrap_or(0);
                    FrameEntry { file, offset: place.offset, guessed }
                }
                None => FrameEntry { file: 0, offset: frame.pc, guessed },
            };
            self.entries.push(entry);
        }
        self.writer.stack(&self.entries)
    }

    /// The number of what a row shows. A file that is seen for the first time is looked into for
    /// its build id.
    fn file(&mut self, space: &LiveSpace, row: &Mapping<'_>) -> (u32, Arc<Backing>) {
        let key = (row.device, row.inode, row.name.to_vec());
        if let Some(known) = self.files.get(&key) {
            return known.clone();
        }
        let build_id = self.code.open(&space.process(), row).and_then(|file| {
            let elf = ElfFile::read(file).ok()??;
            elf.build_id_bytes().map(<[u8]>::to_vec)
        });
        let entry = FileEntry {
            device: row.device,
            inode: row.inode,
            name: row.name.to_vec(),
            build_id: build_id.unwrap_or_default(),
        };
        let number = self.writer.file(&entry);
        let name = row.name.to_vec().into_boxed_slice();
        let backing = Arc::new(Backing { device: row.device, inode: row.inode, name });
        self.files.insert(key, (number, backing.clone()));
        (number, backing)
    }

    /// The rows as a recording has them.
    fn rows(&mut self, space: &LiveSpace, rows: &Maps) -> Vec<Row> {
        let entry = |row: Mapping<'_>| {
            let nothing = row.name.is_empty() && row.inode == 0 && row.device == Device::default();
            let file = if nothing { 0 } else { self.file(space, &row).0 };
            Row { range: row.range, perms: row.perms, offset: row.offset, file }
        };
        rows.iter().filter(|row| row.kind() != Kind::Vsyscall).map(entry).collect()
    }

    /// Code that a row makes executable, or that is no more.
    fn map_code(&mut self, space: &mut LiveSpace, row: &Mapping<'_>) {
        let process = space.process();
        if row.name == b"[vdso]" {
            let size = usize::try_from(row.range.size()).unwrap_or(0).min(1 << 16);
            let mut bytes = vec![0; size];
            let (number, backing) = self.file(space, row);
            let pid = process.id().pid;
            if read_memory(pid, row.range.start, &mut bytes) == Ok(size) {
                space.modules.map_bytes(&mut self.images, row.range, &backing, &bytes);
            }
            self.note_image(space, row.range.start, number);
        } else if row.inode != 0 {
            let (number, backing) = self.file(space, row);
            let (code, images) = (&mut self.code, &mut self.images);
            let open = || code.open(&process, row);
            let executable = row.perms.execute();
            space.modules.map_file(images, row.range, row.offset, &backing, executable, open);
            self.note_image(space, row.range.start, number);
        } else {
            space.modules.map_anonymous(row.range, row.perms.execute());
        }
    }

    fn note_image(&mut self, space: &LiveSpace, address: u64, number: u32) {
        if let Some(place) = space.modules.find(address) {
            self.image_numbers.insert(place.file, number);
        }
    }

    /// Follows a call in what is known of code.
    fn follow_code(&mut self, space: &mut LiveSpace, call: &Call, applied: &Applied) {
        let [range, new] = applied.touched;
        match call.kind {
            CallKind::Mmap => {
                let executable = call.args[2] & PROT_EXEC != 0;
                if call.args[3] & MAP_ANONYMOUS != 0 {
                    space.modules.map_anonymous(range, executable);
                } else if let Some(row) = space.find(range.start) {
                    let mut buffer = Vec::new();
                    let row = escaped(&row, &mut buffer);
                    // The kernel may have joined it to its neighbours; the link in map_files is
                    // of the whole.
                    let name = row.name.to_vec();
                    let row = Mapping { name: &name, ..row };
                    self.map_code(space, &row);
                }
            }
            CallKind::Munmap | CallKind::Shmat | CallKind::Shmdt | CallKind::IoSetup => {
                space.modules.unmap(range);
            }
            CallKind::Mprotect | CallKind::PkeyMprotect => {
                let executable = call.args[2] & PROT_EXEC != 0;
                let process = space.process();
                let (code, images) = (&mut self.code, &mut self.images);
                let mut opened = Vec::new();
                space.modules.protect(images, range, executable, |backing| {
                    opened.push(());
                    let (device, inode) = (backing.device, backing.inode);
                    let perms = vmatlas::Perms(*b"r-xp");
                    let name = &*backing.name;
                    code.open(&process, &Mapping { range, perms, offset: 0, device, inode, name })
                });
                if !opened.is_empty() {
                    self.note_images(space, range);
                }
            }
            CallKind::Mremap => space.modules.remap(range, new, call.args[3] & 4 != 0),
            _ => {}
        }
    }

    /// Files of which some became executable in `range`.
    fn note_images(&mut self, space: &mut LiveSpace, range: AddressRange) {
        let Some(rows) = space.rows(range, ROWS_TO_CHECK) else { return };
        for row in rows.iter().filter(|row| row.inode != 0 && row.perms.execute()) {
            let (number, _) = self.file(space, &row);
            self.note_image(space, row.range.start, number);
        }
    }

    /// Holds the rows around what a call touched against the kernel's.
    fn check(&mut self, tid: u32, entry: u32, space: &mut LiveSpace, applied: &Applied) {
        for range in applied.touched.into_iter().filter(|range| range.size() > 0) {
            let window =
                AddressRange::new(range.start.saturating_sub(1), range.end.saturating_add(1));
            let Some(model) = self.replay.space(entry) else { return };
            self.truth.checks += 1;
            match agrees(&model.memory, space, window) {
                Agreement::Same => {}
                Agreement::TooMany => self.check_whole(tid, entry, space),
                Agreement::Different => {
                    if let Some(rows) = space.rows(window, usize::MAX) {
                        self.observe(entry, space, window, &rows);
                    }
                }
            }
        }
    }

    /// What the kernel shows in `window` is not what the model says.
    fn observe(&mut self, entry: u32, space: &LiveSpace, window: AddressRange, rows: &Maps) {
        let rows = self.rows(space, rows);
        let applied = self.event(entry, 0, What::Observed { range: window, rows });
        self.truth.settled += applied.observation.settled as u64;
        self.truth.corrected += applied.observation.corrected as u64;
    }

    /// Compares all rows of an address space with the kernel's text.
    fn check_whole(&mut self, tid: u32, entry: u32, space: &LiveSpace) {
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.unchecked = 0;
        }
        let (Ok(shown), Some(model)) = (space.all_rows(), self.replay.space(entry)) else { return };
        self.truth.whole_checks += 1;
        let model = model.memory.maps();
        self.truth.rows += shown.len() as u64;
        let (a, b) = (model.len(), shown.len());
        let same = |i: usize, j: usize| model.get(i) == shown.get(j);
        let before = (0..a.min(b)).take_while(|i| same(*i, *i)).count();
        if before == a && before == b {
            return;
        }
        let after = (0..a.min(b) - before).take_while(|i| same(a - 1 - i, b - 1 - i)).count();
        self.truth.rows_wrong += (b - before - after) as u64;
        let start = before.checked_sub(1).and_then(|last| shown.get(last));
        let end = b.checked_sub(after).filter(|at| *at < b).and_then(|at| shown.get(at));
        let limit = self.replay.space(entry).map_or(0, |s| s.memory.profile().task_size);
        let window = AddressRange::new(
            start.map_or(0, |row| row.range.end),
            end.map_or(limit, |row| row.range.start),
        );
        let mut rows = Maps::default();
        (before..b - after).filter_map(|at| shown.get(at)).for_each(|row| rows.push(&row));
        self.observe(entry, space, window, &rows);
    }

    /// Files and sizes that the arguments of a call do not tell.
    fn complete(&mut self, tid: u32, space: &mut LiveSpace, call: &mut Call) -> u32 {
        let at = match call.kind {
            CallKind::Mmap if call.args[3] & MAP_ANONYMOUS == 0 => call.result as u64,
            // Shared memory has an inode; huge pages, too.
            CallKind::Mmap if call.args[3] & 0xf != 2 || call.args[3] & 0x4_0000 != 0 => {
                call.result as u64
            }
            CallKind::Shmat => call.result as u64,
            CallKind::IoSetup => {
                let mut context = [0; 8];
                if read_memory(tid, call.args[1], &mut context) != Ok(8) {
                    return 0;
                }
                u64::from_le_bytes(context)
            }
            CallKind::Prctl if call.args[0] == PR_SET_VMA => call.args[2],
            _ => return 0,
        };
        let Some(row) = space.find(at) else { return 0 };
        let size = row.range.end.saturating_sub(at);
        match call.kind {
            CallKind::Shmat => call.args[3] = size,
            CallKind::IoSetup => (call.args[1], call.args[2]) = (at, size),
            _ => {}
        }
        let mut buffer = Vec::new();
        let row = escaped(&row, &mut buffer);
        let name = row.name.to_vec();
        let row = Mapping { name: &name, ..row };
        let given = match row.kind() {
            Kind::NamedAnonymous { name } | Kind::NamedSharedAnonymous { name } => Some(name),
            _ => None,
        };
        if call.kind == CallKind::Prctl {
            let Some(name) = given else { return 0 };
            let entry = FileEntry { name: name.to_vec(), ..FileEntry::default() };
            return self.writer.file(&entry);
        }
        if row.inode == 0 && row.device == Device::default() {
            return 0;
        }
        self.file(space, &row).0
    }

    /// The last look at the address space of a task that ends.
    fn last_look(&mut self, tid: u32) {
        let Some((entry, id)) = self.tasks.get(&tid).map(|task| (task.entry, task.space)) else {
            return;
        };
        let (rows, wrong) = (self.truth.rows, self.truth.rows_wrong);
        self.with(id, |recorder, space| {
            if space.tasks == 1 {
                recorder.check_whole(tid, entry, space);
            }
        });
        self.truth.rows_at_exit += self.truth.rows - rows;
        self.truth.rows_wrong_at_exit += self.truth.rows_wrong - wrong;
    }
}

/// What a comparison of rows gave.
enum Agreement {
    Same,
    Different,
    TooMany,
}

/// Whether model and kernel show the same rows in `window`.
fn agrees(model: &AddressSpace, space: &mut LiveSpace, window: AddressRange) -> Agreement {
    let mut from = window.start;
    for _ in 0..ROWS_TO_CHECK {
        let own = model.query(from, true).filter(|row| row.range.start < window.end);
        let shown = space.find_or_next(from).filter(|row| row.range.start < window.end);
        match (own, shown) {
            (None, None) => return Agreement::Same,
            (Some(own), Some(shown)) => {
                let same = own.range == shown.range
                    && own.perms == shown.perms
                    && own.offset == shown.offset
                    && own.inode == shown.inode
                    && own.device == shown.device
                    && own.name == escaped(&shown, &mut Vec::new()).name;
                if !same {
                    return Agreement::Different;
                }
                from = own.range.end;
                if from >= window.end {
                    return Agreement::Same;
                }
            }
            _ => return Agreement::Different,
        }
    }
    Agreement::TooMany
}

/// Whether a call that failed may have changed something.
fn changes_though_failed(call: &Call) -> bool {
    let errno = Errno(i32::try_from(call.result.unsigned_abs()).unwrap_or(0));
    matches!(errno, Errno::ENOMEM | Errno::EACCES | Errno::EPERM)
        && matches!(
            call.kind,
            CallKind::Mprotect | CallKind::PkeyMprotect | CallKind::Madvise | CallKind::Mlock
        )
}

impl Sink for Recorder {
    type Mark = u32;

    fn begun(&mut self, call: &Begun) -> u32 {
        self.stack(call.tid, &call.registers)
    }

    fn returned(&mut self, begun: &Begun, result: i64, stack: u32, in_order: bool) {
        let Some(task) = self.tasks.get_mut(&begun.tid) else { return };
        let entry = task.entry;
        let mut call = Call { kind: begun.kind, args: begun.args, result };
        if (-4095..0).contains(&result) {
            if !changes_though_failed(&call) {
                return;
            }
        } else if call.kind == CallKind::Brk {
            let known = self.replay.space(entry).map_or(0, |space| space.memory.program_break());
            if known == result as u64 {
                return;
            }
        }
        task.unchecked += 1;
        let whole = task.unchecked > WHOLE_CHECK_EVERY;
        let id = task.space;
        self.with(id, |recorder, space| {
            let file = recorder.complete(begun.tid, space, &mut call);
            let applied = recorder.event(entry, stack, What::Call { call, file, in_order });
            recorder.truth.refused += u64::from(applied.refused.is_some());
            recorder.truth.out_of_order += u64::from(!in_order);
            recorder.follow_code(space, &call, &applied);
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
        self.tasks.insert(child, Task { entry: new, pid, space, signal: None, unchecked: 0 });
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
            self.asked.runs(tid);
        }
        self.event(old.map_or(to, |old| old.entry), 0, What::Exec { to, rows });
        self.truth.execs += 1;
        for row in shown.iter().filter(|row| row.inode != 0 || row.perms.execute()) {
            if row.kind() != Kind::Vsyscall {
                self.map_code(&mut space, &row);
            }
        }
        let space = self.add_space(space);
        self.tasks.insert(tid, Task { entry: to, pid: tid, space, signal: None, unchecked: 0 });
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
        let now = self.began.elapsed();
        if now - self.flushed >= FLUSH_AFTER {
            self.writer.flush();
            self.output.append(&self.writer.take());
            self.flushed = now;
        }
        if self.interrupted.is_none() && self.asked.interrupted() {
            self.interrupted = Some(now);
        }
        let over = self.interrupted.is_some_and(|asked| now - asked >= GRACE)
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
