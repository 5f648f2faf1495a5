//! A process of a recording, or of a log of strace, at a moment; and recordings as targets.

use crate::moment::{Moment, When};
use crate::output::words::{self, printable};
use crate::stacks::{Stacks, short_function, telling};
use crate::target::Target;
use crate::trouble::Trouble;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use vmatlas::recording::{
    self, Event, Maker, Origin, Process, Recording, Replay, Space, TaskEntry, What,
};
use vmatlas::strace::Makers;
use vmatlas::{Kind, Mapping, Maps};
use vmatlas_linux::RecordingFile;
use vmatlas_linux::symbols::{SymbolFrame, SymbolOptions};

/// A recording, opened.
pub(crate) type Opened = Recording<RecordingFile>;

/// How many other processes are named.
const OTHERS: usize = 10;

/// A process of a recording or a log, as it was at a moment.
pub(crate) struct Recorded {
    pub(crate) told: Told,
    /// The number of the process; 0 in a log that does not tell it.
    pub(crate) pid: u32,
    /// Its name at the end of its life, fit to be printed.
    pub(crate) comm: String,
    /// The number of the last event by then; of a log the line.
    pub(crate) number: u64,
    /// When that was, in nanoseconds from the start; none in a log without times.
    pub(crate) time_ns: Option<u64>,
    /// What is odd.
    pub(crate) warnings: Vec<String>,
    /// Who made each row, once [`find_origins`](Recorded::find_origins) has looked.
    pub(crate) origins: Vec<RowOrigins>,
    pub(crate) stacks: Stacks,
    /// How names are looked for.
    pub(crate) symbols: SymbolOptions,
}

/// What tells of a process, with its address space.
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

/// Who made the bytes of a row: each with how many, those with the most first.
pub(crate) type RowOrigins = Vec<(Origin, u64)>;

impl Recorded {
    /// Finds who made each row, with names for the stacks.
    pub(crate) fn find_origins(&mut self, maps: &Maps) {
        let rows = maps.iter().map(|row| self.origins_of(&row));
        self.origins = rows.collect();
        let rows = std::mem::take(&mut self.origins);
        self.name_stacks(rows.iter().flatten().map(|(origin, _)| origin));
        self.origins = rows;
    }

    /// Finds names for the stacks of these origins.
    pub(crate) fn name_stacks<'a>(&mut self, origins: impl Iterator<Item = &'a Origin>) {
        self.stacks = match &mut self.told {
            Told::Recording { recording, .. } => {
                Stacks::of(recording, origins, self.symbols.clone())
            }
            Told::Log { makers, .. } => Stacks::of_log(makers, origins),
        };
    }

    /// The word for what tells of it, in JSON.
    pub(crate) fn source(&self) -> &'static str {
        match self.told {
            Told::Recording { .. } => "recording",
            Told::Log { .. } => "strace",
        }
    }

    /// The kernel that it ran on; a log does not tell it.
    pub(crate) fn kernel(&self) -> Option<&str> {
        match &self.told {
            Told::Recording { recording, .. } => Some(&recording.meta().kernel),
            Told::Log { .. } => None,
        }
    }

    /// The threads that origins name by number.
    pub(crate) fn tasks(&self) -> &[TaskEntry] {
        match &self.told {
            Told::Recording { recording, .. } => &recording.definitions().tasks,
            Told::Log { makers, .. } => &makers.tasks,
        }
    }

    /// The process and the moment, in words.
    pub(crate) fn title(&self) -> (String, String) {
        let event = match self.told {
            Told::Recording { .. } => "event",
            Told::Log { .. } => "line",
        };
        let pid = if self.pid == 0 { String::new() } else { self.pid.to_string() };
        let when =
            self.time_ns.map_or_else(String::new, |time| format!(", {}", words::seconds(time)));
        let process = format!("{pid} {}", self.comm).trim().to_owned();
        (process, format!("after {event} {}{when}", self.number))
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

    /// The frames of an origin's stack, the innermost first.
    pub(crate) fn frames(&self, origin: &Origin) -> &[SymbolFrame] {
        self.stacks.get(self.tasks(), origin)
    }

    /// An origin in a line: what made it, when, which thread, and from where.
    pub(crate) fn origin_line(&self, origin: &Origin, most: usize) -> String {
        let inherited = if origin.inherited { ", inherited by fork" } else { "" };
        let call = match origin.maker {
            Maker::Unseen => return "no event tells who made it".to_owned(),
            Maker::Before => match self.told {
                Told::Recording { .. } => return format!("there before the recording{inherited}"),
                Told::Log { .. } => return format!("there before the log{inherited}"),
            },
            maker => maker.name(),
        };
        let when = match self.time_ns {
            Some(_) => format!("{} ", words::seconds(origin.time_ns)),
            None => String::new(),
        };
        let thread = self.thread(origin.task);
        let line = format!("{call} #{} {when}{thread}{inherited}", origin.event);
        let frames = telling(self.frames(origin));
        if frames.is_empty() {
            return line;
        }
        let names: Vec<String> = frames.iter().take(most).map(short_function).collect();
        format!("{line}: {}", names.join(" < "))
    }

    /// What ended the mappings at these addresses between this moment and a later one of the same
    /// recording, in a line each.
    pub(crate) fn endings(&self, addresses: &[u64], later: &Recorded) -> HashMap<u64, String> {
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
        let ended = ended.filter_map(|(address, event)| Some((*address, event?)));
        let ended: Vec<(u64, Event)> = ended.collect();
        // Of the two the later one has read its stacks.
        let stacks = ended.iter().map(|(_, event)| (event.stack, event.task));
        let stacks = Stacks::of_tasks(later, stacks, self.symbols.clone());
        let line = |event: &Event| {
            let call = match &event.what {
                What::Call { call, .. } => call.kind.name(),
                _ => "the kernel",
            };
            let (when, thread) = (words::seconds(event.time_ns), self.thread(event.task));
            let frames = stacks.of_task(&later.definitions().tasks, event.stack, event.task);
            let names: Vec<String> = telling(frames).iter().take(2).map(short_function).collect();
            let from =
                if names.is_empty() { String::new() } else { format!(": {}", names.join(" < ")) };
            format!("by {call} #{} {when} {thread}{from}", event.number)
        };
        ended.iter().map(|(address, event)| (*address, line(event))).collect()
    }

    /// A thread by its entry, as `NAME (TID)`.
    pub(crate) fn thread(&self, task: u32) -> String {
        match self.tasks().get(task as usize) {
            Some(entry) if task != 0 && entry.tid == 0 => printable(&entry.comm),
            Some(entry) if task != 0 && entry.comm.is_empty() => format!("thread {}", entry.tid),
            Some(entry) if task != 0 => format!("{} ({})", printable(&entry.comm), entry.tid),
            _ => "unknown".to_owned(),
        }
    }

    /// Its address space.
    pub(crate) fn space(&self) -> &Space {
        match &self.told {
            // `at` has looked for it.
            Told::Recording { replay, task, .. } => {
                replay.space(*task).expect("the process has an address space")
            }
            Told::Log { space, .. } => space,
        }
    }

    /// The process that a moment is of, at that moment.
    pub(crate) fn at(mut recording: Opened, moment: &Moment) -> Result<Recorded, Trouble> {
        let path = printable(moment.path.as_bytes());
        let processes = recording.processes().to_vec();
        let when = match moment.when {
            Some(When::Time(time)) => {
                Some(recording::Moment::Time(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
            }
            Some(When::Event(number)) => Some(recording::Moment::Event(number)),
            Some(When::End) | None => None,
        };
        let of_pid = |process: &&Process| moment.pid.is_none_or(|pid| process.pid == pid);
        // Of several that had the number, the last that had begun by then.
        let began = |process: &&Process| match when {
            Some(recording::Moment::Time(time)) => process.began_ns <= time,
            Some(recording::Moment::Event(number)) => process.first <= number,
            _ => true,
        };
        let mut candidates = processes.iter().filter(of_pid).filter(began);
        let found = if moment.pid.is_some() { candidates.next_back() } else { candidates.next() };
        let Some(process) = found.cloned() else {
            return Err(Trouble::new(match moment.pid {
                Some(pid) => {
                    format!("{path}: no process {pid} by then; {}", list(&recording, &processes))
                }
                None => format!("{path}: nothing is recorded by then"),
            }));
        };
        let last = process.last.map(|last| recording::Moment::Event(last - 1));
        let when = when.or(last).unwrap_or(recording::Moment::End);
        let (replay, error) = recording.at(when, |_, _| {});
        let tasks = &recording.definitions().tasks;
        let of_process =
            |task: &u32| tasks.get(*task as usize).is_some_and(|entry| entry.pid == process.pid);
        let Some(task) = replay.tasks().into_iter().find(of_process) else {
            return Err(Trouble::new(format!(
                "{path}: process {} was not alive then; it ended after event {}",
                process.pid,
                process.last.unwrap_or(0)
            )));
        };
        let mut warnings = recording.warnings().to_vec();
        warnings.extend(error.map(|error| format!("{error}; what follows is left out")));
        if moment.pid.is_none() && processes.len() > 1 {
            warnings.push(format!(
                "this is process {}; {}",
                process.pid,
                list(&recording, &processes)
            ));
        }
        let (origins, stacks) = (Vec::new(), Stacks::default());
        Ok(Recorded {
            pid: process.pid,
            comm: comm(&recording, &process),
            number: replay.number(),
            time_ns: Some(replay.time_ns()),
            told: Told::Recording {
                recording: Box::new(recording),
                replay,
                task,
                began: process.first,
            },
            warnings,
            origins,
            stacks,
            symbols: SymbolOptions::default(),
        })
    }
}

fn comm(recording: &Opened, process: &Process) -> String {
    let entry = recording.definitions().tasks.get(process.task as usize);
    entry.map_or_else(String::new, |entry| printable(&entry.comm))
}

/// The other processes and how to ask for them.
fn list(recording: &Opened, processes: &[Process]) -> String {
    let shown = processes
        .iter()
        .take(OTHERS)
        .map(|process| format!("--pid {} {}", process.pid, comm(recording, process)));
    let more = processes.len().saturating_sub(OTHERS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("there are {}{more}", shown.collect::<Vec<_>>().join(", "))
}

/// Opens the recording at a path.
pub(crate) fn open(path: &str) -> Result<Opened, Trouble> {
    let file = File::open(path).and_then(RecordingFile::new);
    let file = file.map_err(|error| Trouble::file(path, error))?;
    opened(path, file)
}

fn opened(name: &str, file: RecordingFile) -> Result<Opened, Trouble> {
    Recording::open(file)
        .map_err(|error| Trouble::new(format!("{}: {error}", printable(name.as_bytes()))))
}

/// Reads the recording of which the beginning was read.
pub(crate) fn read(
    name: &str,
    moment: &Moment,
    head: &[u8],
    rest: impl Read,
) -> Result<Target, Trouble> {
    let recording = if Path::new(&moment.path).is_file() {
        open(&moment.path)?
    } else {
        let spooled = RecordingFile::spool(head.chain(rest));
        opened(name, spooled.map_err(|error| Trouble::file(name, error))?)?
    };
    let recorded = Recorded::at(recording, moment)?;
    let mut maps = recorded.space().memory.maps();
    recorded.warnings.iter().for_each(|warning| maps.warn(warning.clone()));
    Ok(Target { recorded: Some(Box::new(recorded)), ..Target::of_rows(name, maps) })
}

/// `show RECORDING --processes`.
pub(crate) fn processes(recording: &mut Opened) -> String {
    let processes = recording.processes().to_vec();
    let mut text =
        format!("{:>8} {:<15} {:>10} {:>10} status\n", "pid", "name", "began", "last event");
    for process in &processes {
        let began = words::seconds(process.began_ns);
        let last = process.last.map_or("lives".to_owned(), |last| format!("#{last}"));
        let status = process.status.map_or(String::new(), words::status);
        text.push_str(&format!(
            "{:>8} {:<15} {began:>10} {last:>10} {status}\n",
            process.pid,
            comm(recording, process)
        ));
    }
    let course = recording.course();
    let how = format!(
        "{} by {}; the kernel showed something else than follows from them {}; {} lost\n",
        words::count(course.events, "event"),
        printable(recording.meta().backend.as_bytes()),
        words::count(course.observations, "time"),
        course.lost
    );
    text.push_str(&how);
    text
}
