//! A process of a recording or a strace log at a moment.

use crate::error::{Error, ErrorKind, Result};
use crate::listed::ListedProcess;
use crate::note::Note;
use crate::source::file_now::FileNow;
use crate::source::kind::SourceKind;
use crate::stacks::{Opened, Stacks};
use crate::words::frames::short_function;
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use vmatlas_explain::label::{Facts, FunctionFacts, OriginFacts, ThreadFacts};
use vmatlas_linux::symbols::{SymbolFrame, SymbolOptions};
use vmatlas_linux::{Images, gather_image_facts};
use vmatlas_maps::{AddressRange, Kind, Mapping, Maps};
use vmatlas_object::Budget;
use vmatlas_recording::{
    Event, FileEntry, Maker, Origin, RecordedSpace, Replay, TaskEntry, TaskId, Tid, What,
};
use vmatlas_recording::{EventNumber, strace::Makers};

/// A process of a recording or a log at a moment.
pub struct Recorded {
    pub(crate) recorded_in: RecordedIn,
    /// The process ID; 0 if a log does not name it.
    pub(crate) pid: u32,
    /// The name of the process at that moment; if its first thread has ended, its last one.
    pub(crate) comm: Vec<u8>,
    /// The number of the last event by that moment; in a log the line number.
    pub(crate) number: EventNumber,
    /// The time of that event in nanoseconds from the start; `None` in a log without times.
    pub(crate) time_ns: Option<u64>,
    /// The event and its time that were asked for, if this is the last moment before at which its
    /// resident pages were recorded.
    pub(crate) asked: Option<(EventNumber, Option<u64>)>,
    /// Today's files that have the build IDs of the recording.
    pub(crate) files: OnceLock<FilesNow>,
    /// For the tables of these files.
    pub(crate) budget: Budget,
}

/// Today's files, and the reasons why others cannot be used.
#[derive(Default)]
pub(crate) struct FilesNow {
    pub(crate) images: Images,
    /// The reasons, by the first row of each file.
    pub(crate) refused: HashMap<usize, String>,
}

/// The name that a process's first thread has at a moment; `None` if it has ended.
pub(crate) fn comm_at(recording: &Opened, replay: &Replay, pid: u32) -> Option<Vec<u8>> {
    let tasks = replay.tasks().into_iter();
    let mut entries = tasks.filter_map(|task| recording.definitions().tasks.get(task.index()));
    let first = entries.find(|entry| entry.pid == pid && entry.tid == Tid::first_of(pid))?;
    Some(first.comm.clone())
}

/// The source of the process's data, with its address space.
pub(crate) enum RecordedIn {
    Recording {
        recording: Box<Opened>,
        /// All address spaces at that moment.
        replay: Replay,
        /// One of the process's tasks, to find its address space.
        task: TaskId,
        /// The number of the event with which the process began.
        began: EventNumber,
    },
    Log {
        /// All processes of the log.
        processes: Vec<ListedProcess>,
        space: Box<RecordedSpace>,
        makers: Makers,
    },
}

/// The origins of a row's bytes, each with its number of bytes, the largest first.
pub type RowOrigins = Vec<(Origin, u64)>;

/// The origins of all rows of an address space.
#[derive(Default)]
pub(crate) struct Origins {
    /// The origins, by row.
    pub(crate) rows: Vec<RowOrigins>,
    /// The call stacks of these origins.
    pub(crate) stacks: Stacks,
}

impl Recorded {
    /// The process ID; `None` if a log does not name it.
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid).filter(|pid| *pid != 0)
    }

    /// The name of the process at that moment; if its first thread has ended, its last one.
    pub fn comm(&self) -> &[u8] {
        &self.comm
    }

    /// The number of the last event by that moment; in a log the line number.
    pub fn event(&self) -> EventNumber {
        self.number
    }

    /// The event and its time that were asked for, if this is the last moment before at which the
    /// resident pages of the process were recorded ([`Atlas::into_last_look`](crate::Atlas)).
    pub fn asked(&self) -> Option<(EventNumber, Option<u64>)> {
        self.asked
    }

    /// Goes back to the last moment at which the resident pages of the process were recorded.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] if they were not.
    pub(crate) fn into_last_look(mut self) -> Result<(Recorded, Maps, Vec<Note>)> {
        let are_faults_known = !self.space().touched.is_empty();
        let found = match &self.recorded_in {
            RecordedIn::Recording { recording, replay, task, .. } => {
                recording.last_look(replay, *task)
            }
            RecordedIn::Log { .. } => None,
        };
        let Some((state, its_task)) = found else {
            return Err(Error::new(
                ErrorKind::Lacks,
                match are_faults_known {
                    true => {
                        "page faults were recorded, but the resident pages were not read up to \
                         that moment: the recorder reads them from time to time, and the program \
                         may end before"
                    }
                    false => "resident pages were not recorded up to that moment (record --pages)",
                },
            ));
        };
        let asked = self.asked.unwrap_or((self.number, self.time_ns));
        if let RecordedIn::Recording { replay, task, .. } = &mut self.recorded_in {
            (*replay, *task) = (state, its_task);
            (self.number, self.time_ns) = (replay.number(), Some(replay.time_ns()));
        }
        if let RecordedIn::Recording { recording, replay, .. } = &self.recorded_in
            && let Some(comm) = comm_at(recording, replay, self.pid)
        {
            self.comm = comm;
        }
        self.asked = Some(asked);
        self.files = OnceLock::new();
        let notes = Note::of_doubts(self.doubts());
        let maps = self.space().memory.maps();
        Ok((self, maps, notes.into_iter().collect()))
    }

    /// The number of the last event by that moment.
    pub(crate) fn event_number(&self) -> Option<u64> {
        Some(self.number.get())
    }

    /// The time of that event in nanoseconds from the start; `None` in a log without times.
    pub fn time_ns(&self) -> Option<u64> {
        self.time_ns
    }

    /// The version of the recorded kernel; `None` for a log.
    pub fn kernel(&self) -> Option<&str> {
        match &self.recorded_in {
            RecordedIn::Recording { recording, .. } => Some(&recording.meta().kernel),
            RecordedIn::Log { .. } => None,
        }
    }

    /// The start of the recording in nanoseconds since 1970; 0 for a log.
    pub fn began_ns(&self) -> u64 {
        match &self.recorded_in {
            RecordedIn::Recording { recording, .. } => recording.meta().began_ns,
            RecordedIn::Log { .. } => 0,
        }
    }

    /// The threads that origins name by number.
    pub fn tasks(&self) -> &[TaskEntry] {
        match &self.recorded_in {
            RecordedIn::Recording { recording, .. } => &recording.definitions().tasks,
            RecordedIn::Log { makers, .. } => &makers.tasks,
        }
    }

    /// Whether an address lies in a guard page.
    pub(crate) fn is_guarded(&self, address: u64) -> bool {
        self.space().memory.is_guarded(address)
    }

    /// Its address space, by the model.
    pub fn space(&self) -> &RecordedSpace {
        match &self.recorded_in {
            // `source::recording::at` selects only a process that has an address space.
            RecordedIn::Recording { replay, task, .. } => {
                replay.space(*task).expect("the process has an address space")
            }
            RecordedIn::Log { space, .. } => space,
        }
    }

    /// The addresses at which it is not known whether two rows are one. A recorder that stops the
    /// program compares the rows of each call with the kernel's, and leaves none.
    pub(crate) fn doubts(&self) -> Vec<u64> {
        match &self.recorded_in {
            RecordedIn::Recording { recording, .. } if recording.meta().backend == "ptrace" => {
                Vec::new()
            }
            _ => self.space().memory.doubts().collect(),
        }
    }

    pub(crate) fn kind(&self) -> SourceKind {
        match self.recorded_in {
            RecordedIn::Recording { .. } => SourceKind::Recording,
            RecordedIn::Log { .. } => SourceKind::Log,
        }
    }

    /// Collects the origins of each row and resolves the names of their stacks.
    pub(crate) fn origins(&self, maps: &Maps, options: &SymbolOptions) -> Origins {
        let rows: Vec<RowOrigins> = maps.iter().map(|row| self.origins_of(&row)).collect();
        let all = rows.iter().flatten().map(|(origin, _)| origin);
        Origins { stacks: self.stacks_of(all, options), rows }
    }

    /// Resolves the names of these origins' stacks.
    pub(crate) fn stacks_of<'a>(
        &self,
        origins: impl Iterator<Item = &'a Origin>,
        options: &SymbolOptions,
    ) -> Stacks {
        match &self.recorded_in {
            RecordedIn::Recording { recording, .. } => {
                let origins = origins.map(|origin| (origin.stack, origin.task));
                Stacks::of_tasks(recording, origins, options.clone())
            }
            RecordedIn::Log { makers, .. } => Stacks::of_log(makers, origins),
        }
    }

    /// Today's files that have the build IDs of the recording; none for a log.
    pub(crate) fn files(&self, maps: &Maps) -> &FilesNow {
        self.files.get_or_init(|| {
            let mut images = Images::new(maps, self.budget.clone());
            let refused = images.open_by_build_id(maps, |row| self.build_id(row));
            FilesNow { images, refused: refused.into_iter().collect() }
        })
    }

    /// Sets what reading its files may cost.
    pub(crate) fn budget(&self) -> Budget {
        self.budget.clone()
    }

    pub(crate) fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// The first rows of the files of which facts are missing, because they would cost too much.
    pub(crate) fn left_out(&self) -> Vec<usize> {
        self.files.get().map(|files| files.images.left_out().collect()).unwrap_or_default()
    }

    /// Today's files, as ELF.
    pub(crate) fn images(&self, maps: &Maps) -> &Images {
        &self.files(maps).images
    }

    /// The first origin in a range. `origins` are those of all rows.
    pub(crate) fn made_in<'a>(
        &'a self,
        range: AddressRange,
        origins: impl FnOnce() -> &'a Origins,
    ) -> Option<Made<'a>> {
        let (range, origin) = *self.space().origins_of(range).first()?;
        Some(Made { range, origin, recorded: self, stacks: &origins().stacks })
    }

    /// The origins of a row, each with its number of bytes, the largest first.
    pub(crate) fn made_of_row<'a>(
        &'a self,
        index: usize,
        range: AddressRange,
        origins: &'a Origins,
    ) -> Vec<(Made<'a>, u64)> {
        let rows = origins.rows.get(index).map_or(&[][..], Vec::as_slice);
        let stacks = &origins.stacks;
        let made = |&(origin, bytes)| (Made { range, origin, recorded: self, stacks }, bytes);
        rows.iter().map(made).collect()
    }

    /// The build id that the file of a row had.
    pub(crate) fn build_id(&self, row: &Mapping<'_>) -> Option<Vec<u8>> {
        let RecordedIn::Recording { recording, .. } = &self.recorded_in else { return None };
        let is_it = |file: &&FileEntry| {
            file.name == row.name && file.device == row.device && file.inode == row.inode
        };
        let mut files = recording.definitions().files.iter();
        files.find(is_it).map(|file| file.build_id.clone()).filter(|id| !id.is_empty())
    }

    /// Today's file of a row; `None` for a log, which does not record build IDs.
    pub(crate) fn file_now(&self, maps: &Maps, index: usize) -> Option<FileNow> {
        let row = maps.get(index)?;
        if !row.has_file() || self.kind() == SourceKind::Log {
            return None;
        }
        let files = self.files(maps);
        let first = files.images.first_row(index)?;
        let build_id = self.build_id(&row);
        if let Some(why) = files.refused.get(&first) {
            return Some(FileNow { elf: Err(why.clone()), bias: None, build_id });
        }
        let bias = files.images.of_row(maps, index)?.bias();
        let (_, elf) = files.images.shared(index)?;
        Some(FileNow { elf: Ok(elf), bias, build_id })
    }

    /// The facts that labels are made from.
    pub(crate) fn facts(&self, maps: &Maps, origins: &Origins, deep: bool) -> Facts {
        let RecordedIn::Recording { recording, replay, .. } = &self.recorded_in else {
            let mut facts = Facts::default();
            facts.origins = self.origin_facts(origins);
            return facts;
        };
        let (images, machine) = gather_image_facts(&self.files(maps).images, maps, deep);
        let (meta, definitions) = (recording.meta(), recording.definitions());
        let tasks = replay.tasks().into_iter();
        let tasks = tasks.filter_map(|task| definitions.tasks.get(task.index()));
        let threads = tasks.filter(|task| task.pid == self.pid);
        let code = definitions.symbols.iter().filter(|symbol| symbol.pid == self.pid);
        let code = code.map(|symbol| {
            AddressRange::new(symbol.address, symbol.address.saturating_add(symbol.size))
        });
        let threads = threads.map(|task| {
            let mut thread = ThreadFacts::default();
            thread.tid = task.tid.get();
            thread.comm = task.comm.clone();
            thread
        });
        let mut facts = Facts::default();
        facts.page_size = meta.page_size;
        facts.word_size = maps.word_size();
        facts.machine = machine;
        facts.kernel = meta.kernel.parse().ok();
        facts.pid = self.pid();
        facts.threads = threads.collect();
        facts.images = images;
        facts.jit_code = AddressRange::joined(code.collect());
        facts.origins = self.origin_facts(origins);
        facts
    }

    /// The origins of the memory in the form that recognisers need.
    fn origin_facts(&self, origins: &Origins) -> Vec<OriginFacts> {
        let function = |frame: &SymbolFrame| {
            let mut facts = FunctionFacts::default();
            if !frame.function.is_empty() {
                facts.name = short_function(frame);
            }
            facts.file.clone_from(&frame.module);
            facts
        };
        let pieces = self.space().origins.iter();
        let facts = pieces.filter_map(|(range, origin)| {
            let Maker::Call(call) = origin.maker else { return None };
            let stack = origins.stacks.get(self.tasks(), &origin);
            let mut facts = OriginFacts::default();
            facts.range = range;
            facts.call = call.name();
            facts.event = origin.event.get();
            facts.stack = stack.iter().map(function).collect();
            Some(facts)
        });
        facts.collect()
    }

    fn origins_of(&self, row: &Mapping<'_>) -> RowOrigins {
        if row.kind() == Kind::Vsyscall {
            return Vec::new();
        }
        let mut origins: RowOrigins = Vec::new();
        for (range, origin) in self.space().origins_of(row.range) {
            match origins.iter_mut().find(|(known, _)| *known == origin) {
                Some((_, bytes)) => *bytes += range.size(),
                None => origins.push((origin, range.size())),
            }
        }
        origins.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        origins
    }

    /// Whether this and another state of the same recording or log are of the same execution of a
    /// program, so that their addresses mean the same. `is_one_log` is whether two logs are one.
    pub(crate) fn is_of_same_image(
        &self,
        other: &Recorded,
        is_one_log: impl FnOnce() -> bool,
    ) -> bool {
        let is_same = match (&self.recorded_in, &other.recorded_in) {
            (
                RecordedIn::Recording { recording, .. },
                RecordedIn::Recording { recording: other, .. },
            ) => recording.meta() == other.meta(),
            (RecordedIn::Log { .. }, RecordedIn::Log { .. }) => is_one_log(),
            _ => false,
        };
        let image = |recorded: &Recorded| {
            let mut origins = recorded.space().origins.iter().map(|(_, origin)| origin);
            let first = origins.find(|of| matches!(of.maker, Maker::Exec | Maker::Before));
            first.map(|origin| origin.event)
        };
        is_same && image(self).is_some_and(|event| image(other) == Some(event))
    }

    /// Whether an event mapped bytes of both ranges, or may have: the origin of some bytes is not
    /// known.
    pub(crate) fn shares_origin(
        &self,
        range: AddressRange,
        other: &Recorded,
        of_other: AddressRange,
    ) -> bool {
        let events = |recorded: &Recorded, range| {
            let origins = recorded.space().origins_of(range).into_iter();
            origins.map(|(_, origin)| origin.event).collect::<HashSet<EventNumber>>()
        };
        let (own, others) = (events(self, range), events(other, of_other));
        own.contains(&EventNumber::NONE)
            || others.contains(&EventNumber::NONE)
            || !own.is_disjoint(&others)
    }

    /// The events that unmapped these addresses between this moment and a later one of the same
    /// recording.
    pub(crate) fn endings(
        &self,
        addresses: &[u64],
        later: &Recorded,
        options: &SymbolOptions,
    ) -> HashMap<u64, Ending> {
        let (
            RecordedIn::Recording { recording, replay, task, began },
            RecordedIn::Recording { recording: later, replay: last, began: later_began, .. },
        ) = (&self.recorded_in, &later.recorded_in)
        else {
            return HashMap::new();
        };
        let same = recording.meta() == later.meta()
            && began == later_began
            && replay.number() <= last.number();
        if !same {
            return HashMap::new();
        }
        let events = recording.unmappings(replay, *task, addresses, last.number());
        let ended = addresses.iter().zip(events);
        let ended: Vec<(u64, Event)> =
            ended.filter_map(|(address, event)| Some((*address, event?))).collect();
        let stacks = ended.iter().map(|(_, event)| (event.stack, event.task));
        let stacks = Stacks::of_tasks(later, stacks, options.clone());
        let tasks = &later.definitions().tasks;
        let ending = |event: &Event| Ending {
            call: match &event.what {
                What::Call { call, .. } => Some(call.kind.name()),
                _ => None,
            },
            event: event.number,
            time_ns: event.time_ns,
            task: tasks.get(event.task.index()).filter(|_| !event.task.is_none()).cloned(),
            frames: stacks.of_task(tasks, event.stack, event.task).to_vec(),
        };
        ended.iter().map(|(address, event)| (*address, ending(event))).collect()
    }
}

/// The event that ended a mapping.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// The system call; `None` if the kernel unmapped the memory by itself.
    pub call: Option<&'static str>,
    /// The number of the event.
    pub event: EventNumber,
    /// The time of the event in nanoseconds from the start.
    pub time_ns: u64,
    /// The thread that caused the event.
    pub task: Option<TaskEntry>,
    /// Its call stack, innermost first.
    pub frames: Vec<SymbolFrame>,
}

/// Bytes that share an origin, with their process.
#[derive(Clone, Copy)]
pub struct Made<'a> {
    pub(crate) range: AddressRange,
    pub(crate) origin: Origin,
    pub(crate) recorded: &'a Recorded,
    pub(crate) stacks: &'a Stacks,
}

impl<'a> Made<'a> {
    /// The bytes of this origin.
    pub fn range(&self) -> AddressRange {
        self.range
    }

    /// The event that mapped or touched them.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the source has times.
    pub fn is_timed(&self) -> bool {
        self.recorded.time_ns.is_some()
    }

    /// The kind of the source.
    pub fn source(&self) -> SourceKind {
        self.recorded.kind()
    }

    /// The thread that mapped or touched them.
    pub fn task(&self) -> Option<&'a TaskEntry> {
        let index = self.origin.task;
        self.recorded.tasks().get(index.index()).filter(|_| !index.is_none())
    }

    /// The thread's call stack at that event, innermost first; empty if unknown.
    pub fn frames(&self) -> &'a [SymbolFrame] {
        self.stacks.get(self.recorded.tasks(), &self.origin)
    }
}
