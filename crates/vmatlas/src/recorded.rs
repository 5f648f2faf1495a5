//! A process of a recording, or of a log of strace, at a moment.

use crate::source::SourceKind;
use crate::stacks::Stacks;
use std::collections::HashMap;
use vmatlas_linux::RecordingFile;
use vmatlas_linux::symbols::{SymbolFrame, SymbolOptions};
use vmatlas_maps::{AddressRange, Kind, Mapping, Maps};
use vmatlas_recording::strace::Makers;
use vmatlas_recording::{Event, Origin, Recording, Replay, Space, TaskEntry, What};

/// A recording, opened.
pub(crate) type Opened = Recording<RecordingFile>;

/// A process of a recording or a log, as it was at a moment.
pub struct Recorded {
    pub(crate) told: Told,
    /// The number of the process; 0 in a log that does not tell it.
    pub(crate) pid: u32,
    /// Its name at the end of its life.
    pub(crate) comm: Vec<u8>,
    /// The number of the last event by then; of a log the line.
    pub(crate) number: u64,
    /// When that was, in nanoseconds from the start; none in a log without times.
    pub(crate) time_ns: Option<u64>,
}

/// What a process is known by, with its address space.
pub(crate) enum Told {
    Recording {
        recording: Box<Opened>,
        /// All address spaces at that moment.
        replay: Replay,
        /// The entry of one of its tasks, which has its address space.
        task: u32,
        /// The event with which the process began.
        began: u64,
    },
    Log {
        space: Box<Space>,
        makers: Makers,
    },
}

/// The origins of a row's bytes: each with how many, those with the most first.
pub type RowOrigins = Vec<(Origin, u64)>;

/// Who made the rows of an address space.
#[derive(Default)]
pub(crate) struct Origins {
    /// By row.
    pub(crate) rows: Vec<RowOrigins>,
    /// The call stacks of these origins.
    pub(crate) stacks: Stacks,
}

impl Recorded {
    /// The number of the process; `None` in a log that does not tell it.
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid).filter(|pid| *pid != 0)
    }

    /// The name of the process at the end of its life.
    pub fn comm(&self) -> &[u8] {
        &self.comm
    }

    /// The number of the last event by that moment; in a log the line.
    pub fn event(&self) -> u64 {
        self.number
    }

    /// When that was, in nanoseconds from the start; `None` in a log without times.
    pub fn time_ns(&self) -> Option<u64> {
        self.time_ns
    }

    /// The kernel that it ran on; a log does not tell it.
    pub fn kernel(&self) -> Option<&str> {
        match &self.told {
            Told::Recording { recording, .. } => Some(&recording.meta().kernel),
            Told::Log { .. } => None,
        }
    }

    /// When the recording began, in nanoseconds since 1970; 0 for a log.
    pub fn began_ns(&self) -> u64 {
        match &self.told {
            Told::Recording { recording, .. } => recording.meta().began_ns,
            Told::Log { .. } => 0,
        }
    }

    /// The threads that origins name by number.
    pub fn tasks(&self) -> &[TaskEntry] {
        match &self.told {
            Told::Recording { recording, .. } => &recording.definitions().tasks,
            Told::Log { makers, .. } => &makers.tasks,
        }
    }

    /// Its address space, by the model.
    pub fn space(&self) -> &Space {
        match &self.told {
            // Whoever made this has found it.
            Told::Recording { replay, task, .. } => {
                replay.space(*task).expect("the process has an address space")
            }
            Told::Log { space, .. } => space,
        }
    }

    pub(crate) fn kind(&self) -> SourceKind {
        match self.told {
            Told::Recording { .. } => SourceKind::Recording,
            Told::Log { .. } => SourceKind::Log,
        }
    }

    /// Finds who made each row, with names for the stacks.
    pub(crate) fn origins(&self, maps: &Maps, options: &SymbolOptions) -> Origins {
        let rows: Vec<RowOrigins> = maps.iter().map(|row| self.origins_of(&row)).collect();
        let all = rows.iter().flatten().map(|(origin, _)| origin);
        Origins { stacks: self.stacks_of(all, options), rows }
    }

    /// Finds names for the stacks of these origins.
    pub(crate) fn stacks_of<'a>(
        &self,
        origins: impl Iterator<Item = &'a Origin>,
        options: &SymbolOptions,
    ) -> Stacks {
        match &self.told {
            Told::Recording { recording, .. } => {
                let origins = origins.map(|origin| (origin.stack, origin.task));
                Stacks::of_tasks(recording, origins, options.clone())
            }
            Told::Log { makers, .. } => Stacks::of_log(makers, origins),
        }
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

    /// What ended the mappings at these addresses between this moment and a later one of the same
    /// recording.
    pub(crate) fn endings(
        &self,
        addresses: &[u64],
        later: &Recorded,
        options: &SymbolOptions,
    ) -> HashMap<u64, Ending> {
        let (
            Told::Recording { recording, replay, task, began },
            Told::Recording { recording: later, replay: last, began: later_began, .. },
        ) = (&self.told, &later.told)
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
            task: tasks.get(event.task as usize).filter(|_| event.task != 0).cloned(),
            frames: stacks.of_task(tasks, event.stack, event.task).to_vec(),
        };
        ended.iter().map(|(address, event)| (*address, ending(event))).collect()
    }
}

/// The event that ended a mapping.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ending {
    /// The system call; `None` where the kernel did it by itself.
    pub call: Option<&'static str>,
    /// The number of the event.
    pub event: u64,
    /// When it was, in nanoseconds from the start.
    pub time_ns: u64,
    /// The thread.
    pub task: Option<TaskEntry>,
    /// Its call stack, innermost first.
    pub frames: Vec<SymbolFrame>,
}

/// Bytes of one origin, with the process that they are of.
#[derive(Clone, Copy)]
pub struct Made<'a> {
    pub(crate) range: AddressRange,
    pub(crate) origin: Origin,
    pub(crate) recorded: &'a Recorded,
    pub(crate) stacks: &'a Stacks,
}

impl<'a> Made<'a> {
    /// The bytes.
    pub fn range(&self) -> AddressRange {
        self.range
    }

    /// Who made them.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether the source has times.
    pub fn is_timed(&self) -> bool {
        self.recorded.time_ns.is_some()
    }

    /// What kind of source it is.
    pub fn source(&self) -> SourceKind {
        self.recorded.kind()
    }

    /// The thread that made them.
    pub fn task(&self) -> Option<&'a TaskEntry> {
        let index = self.origin.task;
        self.recorded.tasks().get(index as usize).filter(|_| index != 0)
    }

    /// Its call stack then, innermost first; empty where it is not known.
    pub fn frames(&self) -> &'a [SymbolFrame] {
        self.stacks.get(self.recorded.tasks(), &self.origin)
    }
}
