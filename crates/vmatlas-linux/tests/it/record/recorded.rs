//! A program, recorded, and what is known of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{
    self, BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Seek as _, Write as _,
};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use tempfile::TempDir;
use vmatlas::recording::{
    CallKind, Event, Maker, Moment, Origin, Process, Recording, Replay, Row, Space, What,
};
use vmatlas::space::VmaFlags;
use vmatlas::{AddressRange, Kind, Mapping, Maps};
use vmatlas_linux::record::{Limits, Listener, Options, RecordingFile, Report, launch};
use vmatlas_linux::symbols::{Module, ModuleId, Place, Symbolizer};

/// A program that was recorded to its end.
pub(crate) struct Recorded {
    pub(crate) report: Report,
    pub(crate) status: ExitStatus,
    pub(crate) recording: Recording<RecordingFile>,
    /// What it printed.
    pub(crate) output: String,
    directory: TempDir,
}

/// A process of a recording just before its last thread ended.
pub(crate) struct End {
    pub(crate) process: Process,
    pub(crate) space: Space,
    /// What follows from the events alone, without what the kernel showed.
    pub(crate) untold: Space,
}

/// What a process of a program with truth.h says.
pub(crate) struct Words {
    pub(crate) made: Vec<Made>,
    pub(crate) one_row: Vec<AddressRange>,
    /// Its own maps.
    pub(crate) maps: String,
}

/// Who made some bytes.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) range: AddressRange,
    pub(crate) function: String,
    pub(crate) tid: u32,
}

pub(crate) fn record(command: Command) -> Recorded {
    record_with(command, Limits::default())
}

/// Records a program with threads, again if the machine stood still for so long that calls had to
/// be let run beside one another: then their order is not known, as the recording says.
pub(crate) fn in_order(command: impl Fn() -> Command) -> Recorded {
    for _ in 0..5 {
        let recorded = record(command()).succeeded();
        if recorded.report.truth.out_of_order == 0 {
            return recorded;
        }
        println!("the order of {} calls is not certain", recorded.report.truth.out_of_order);
    }
    panic!("the order of calls was never certain");
}

pub(crate) fn record_with(mut command: Command, limits: Limits) -> Recorded {
    let mut printed = tempfile::tempfile().unwrap();
    command.stdin(Stdio::null()).stdout(printed.try_clone().unwrap());
    let mut recorded = launched(command, limits, None);
    printed.rewind().unwrap();
    printed.read_to_string(&mut recorded.output).unwrap();
    recorded
}

fn launched(mut command: Command, limits: Limits, news: Option<Listener>) -> Recorded {
    let directory = tempfile::tempdir().unwrap();
    let said = directory.path().join("said");
    fs::create_dir(&said).unwrap();
    command.env("TRUTH", &said);
    let output = directory.path().join("program.vmrec");
    let options = Options { limits, news, ..Options::new(output.clone()) };
    let report = launch(command, options).unwrap_or_else(|error| panic!("{error}"));
    let mut recording = open(&output);
    recording.read_stacks();
    assert_eq!(recording.warnings(), [] as [String; 0]);
    let status = report.status.expect("it was launched");
    Recorded { report, status, recording, output: String::new(), directory }
}

/// A patient.c that is being recorded.
pub(crate) struct Patient {
    to: PipeWriter,
    from: BufReader<PipeReader>,
    pub(crate) pid: u32,
}

impl Patient {
    /// Records one that is told what to do by `talk`, and reads the end of its orders after that.
    pub(crate) fn record(
        limits: Limits,
        news: Option<Listener>,
        talk: impl FnOnce(&mut Patient),
    ) -> Recorded {
        let mut command = Command::new(crate::child::program("patient"));
        let ((stdin, to), (from, stdout)) = (io::pipe().unwrap(), io::pipe().unwrap());
        command.stdin(stdin).stdout(stdout);
        thread::scope(|scope| {
            let recorder = scope.spawn(|| launched(command, limits, news));
            let mut patient = Patient { to, from: BufReader::new(from), pid: 0 };
            let pid = patient.line();
            patient.pid = pid.strip_prefix("pid ").unwrap().parse().unwrap();
            talk(&mut patient);
            drop(patient.to);
            let mut recorded = recorder.join().unwrap();
            patient.from.read_to_string(&mut recorded.output).unwrap();
            recorded
        })
    }

    /// Gives an order that is not answered.
    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.to, "{order}").unwrap();
    }

    /// Gives an order and waits until it is done.
    pub(crate) fn ask(&mut self, order: &str) {
        self.tell(order);
        assert_eq!(self.line(), format!("{order} done"));
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the program has ended: {line:?}");
        line.trim_end().to_owned()
    }
}

pub(crate) fn open(path: &Path) -> Recording<RecordingFile> {
    Recording::open(RecordingFile::new(File::open(path).unwrap()).unwrap()).unwrap()
}

impl Recorded {
    /// Asserts that it ended with status 0.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Recorded {
        assert!(self.status.success(), "{}: {}", self.status, self.output);
        assert!(self.report.failed.is_none(), "{:?}", self.report.failed);
        self
    }

    /// How many mappings of so many pages were made.
    pub(crate) fn mapped(&self, pages: u64) -> usize {
        let is = |event: &&Event| {
            matches!(&event.what, What::Call { call, .. }
                if call.kind == CallKind::Mmap && call.args[1] == pages * 4096)
        };
        self.events().iter().filter(is).count()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let read = self.recording.events(1, |event| {
            events.push(event.clone());
            ControlFlow::Continue(())
        });
        read.unwrap();
        events
    }

    /// All processes at their ends, in the order in which these came.
    pub(crate) fn ends(&mut self) -> Vec<End> {
        let processes = self.recording.processes().to_vec();
        let ending = processes.iter().filter_map(|process| Some((process.last?, process)));
        let ending: HashMap<u64, &Process> = ending.collect();
        let profile = self.recording.meta().profile();
        let (mut told, mut untold) = (Replay::new(profile.clone()), Replay::new(profile));
        let mut ends = Vec::new();
        for event in self.events() {
            if let Some(process) = ending.get(&event.number)
                && let (Some(space), Some(alone)) =
                    (told.space(event.task), untold.space(event.task))
            {
                let (space, untold) = (space.clone(), alone.clone());
                ends.push(End { process: (*process).clone(), space, untold });
            }
            let files = &self.recording.definitions().files;
            let before = told.space(event.task).map(|space| space.memory.maps());
            let applied = told.apply(&event, files);
            if applied.observation.corrected > 0
                && let What::Observed { range, .. } = &event.what
            {
                // For whoever has to find out why.
                println!("corrected by {event:x?}: {:#?}", before.map(|rows| cut(&rows, *range)));
            }
            match &event.what {
                What::Observed { range, rows } => {
                    let shown = told.space(event.task).unwrap().memory.maps();
                    assert_eq!(cut(&shown, *range), cut(&self.maps(rows), *range), "{event:?}");
                }
                _ => drop(untold.apply(&event, files)),
            }
        }
        ends
    }

    /// Rows of an event.
    fn maps(&self, rows: &[Row]) -> Maps {
        let mut maps = Maps::default();
        for row in rows {
            let file = &self.recording.definitions().files[row.file as usize];
            let Row { range, perms, offset, .. } = *row;
            let (device, inode, name) = (file.device, file.inode, &*file.name);
            maps.push(&Mapping { range, perms, offset, device, inode, name });
        }
        maps
    }

    /// The address space of a process before its last event, as a reader seeks it.
    pub(crate) fn sought(&self, process: &Process) -> Space {
        let last = process.last.expect("it has ended");
        let (replay, error) = self.recording.at(Moment::Event(last - 1), |_, _| {});
        assert_eq!(error, None);
        let tasks = &self.recording.definitions().tasks;
        let task = replay.tasks().into_iter().find(|task| tasks[*task as usize].pid == process.pid);
        replay.space(task.expect("a task of it is alive")).unwrap().clone()
    }

    /// What a process said with its last act.
    pub(crate) fn words(&self, pid: u32) -> Option<Words> {
        let said = self.directory.path().join("said").join(pid.to_string());
        let said = fs::read_to_string(said).ok()?;
        let (notes, maps) = said.split_once("maps\n").unwrap();
        let one_row = notes.lines().filter_map(|line| line.strip_prefix("one "));
        let one_row = one_row.map(crate::child::range).collect();
        Some(Words { made: made(notes), one_row, maps: maps.to_owned() })
    }

    /// The functions of a stack, the innermost first.
    pub(crate) fn functions(&self, stack: u32, names: &mut Names) -> Vec<String> {
        let definitions = self.recording.definitions();
        let mut functions = Vec::new();
        for frame in definitions.frames_of(stack) {
            let key = (frame.file, frame.offset);
            let known = names.known.entry(key).or_insert_with(|| {
                if frame.file == 0 {
                    return vec![format!("{:#x}", frame.offset)];
                }
                let file = &definitions.files[frame.file as usize];
                let instead = names.instead.iter().find(|(name, _)| *name == file.name);
                let module = match instead {
                    Some((_, path)) => Module { path: path.clone(), ..Module::default() },
                    None => Module {
                        path: file.name.clone(),
                        device: file.device,
                        inode: file.inode,
                        build_id: Some(file.build_id.clone()).filter(|id| !id.is_empty()),
                        ..Module::default()
                    },
                };
                let module: ModuleId = names.symbolizer.add_module(module);
                let place = Place::File { module, offset: frame.offset };
                let frames = names.symbolizer.symbolize(&[place]).remove(0);
                frames.into_iter().map(|frame| frame.function).collect()
            });
            functions.extend(known.iter().cloned());
        }
        functions
    }
}

/// The lines `made START-END FUNCTION TID` of a text.
pub(crate) fn made(text: &str) -> Vec<Made> {
    let notes = text.lines().filter_map(|line| line.strip_prefix("made "));
    let made = |note: &str| {
        let words: Vec<&str> = note.split(' ').collect();
        let [range, function, tid] = words[..] else { panic!("{note:?}") };
        let range = crate::child::range(range);
        Made { range, function: function.to_owned(), tid: tid.parse().unwrap() }
    };
    notes.map(made).collect()
}

/// The names of code that were looked up.
#[derive(Default)]
pub(crate) struct Names {
    symbolizer: Symbolizer,
    known: HashMap<(u32, u64), Vec<String>>,
    /// Files that have the symbols which others, by the names of their rows, lack.
    pub(crate) instead: Vec<(Vec<u8>, Vec<u8>)>,
}

/// How many rows there are, and how many of them another list has, too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) rows: usize,
    pub(crate) same: usize,
}

impl Share {
    pub(crate) fn of(rows: &Maps, others: &Maps) -> Share {
        let same = rows.iter().filter(|row| has(others, *row)).count();
        Share { rows: rows.len(), same }
    }

    pub(crate) fn add(&mut self, other: Share) {
        self.rows += other.rows;
        self.same += other.same;
    }

    pub(crate) fn percent(self) -> f64 {
        self.same as f64 * 100.0 / self.rows.max(1) as f64
    }
}

/// The parts of rows that lie in a range.
fn cut(rows: &Maps, range: AddressRange) -> Vec<String> {
    let rows = rows.iter().filter(|row| row.range.overlaps(&range)).map(|row| {
        let AddressRange { start, end } = row.range;
        let cut = AddressRange::new(start.max(range.start), end.min(range.end));
        let offset = if row.inode == 0 { 0 } else { row.offset + cut.start - start };
        shown(Mapping { range: cut, offset, ..row })
    });
    rows.collect()
}

fn shown(row: Mapping<'_>) -> String {
    let name = String::from_utf8_lossy(row.name);
    format!("{} {} {:08x} {} {} {name}", row.range, row.perms, row.offset, row.device, row.inode)
}

fn has(rows: &Maps, row: Mapping<'_>) -> bool {
    let found = rows.find(row.range.start).mapping.and_then(|at| rows.get(at));
    found == Some(row)
}

impl End {
    pub(crate) fn rows(&self) -> Maps {
        self.space.memory.maps()
    }

    /// How many rows follow from the events alone.
    pub(crate) fn share(&self) -> Share {
        Share::of(&self.rows(), &self.untold.memory.maps())
    }

    /// The rows that the events alone give otherwise (+), and those they give instead (-).
    pub(crate) fn differences(&self) -> String {
        let (told, untold) = (self.rows(), self.untold.memory.maps());
        let mut text = String::new();
        for (sign, rows, others) in [('+', &told, &untold), ('-', &untold, &told)] {
            for row in rows.iter().filter(|row| !has(others, *row)) {
                text.push_str(&format!("{sign} {}\n", shown(row)));
            }
        }
        text
    }

    /// Where the rows of the events alone differ in more than what cannot follow from system calls:
    /// whether two mappings joined that may have been written to or not, and how far a stack grew.
    pub(crate) fn unexplained(&self) -> Vec<String> {
        let (told, untold) = (self.rows(), self.untold.memory.maps());
        let doubts: HashSet<u64> = self.untold.memory.doubts().collect();
        let ends = |rows: &Maps| -> BTreeSet<u64> {
            let grew = |at: u64| {
                let flags = self.space.memory.flags(at);
                flags.is_some_and(|flags| flags.contains(VmaFlags::GROWSDOWN))
            };
            let rows = rows.iter().filter(|row| !grew(row.range.end - 1));
            rows.flat_map(|row| [row.range.start, row.range.end]).collect()
        };
        let (told_ends, untold_ends) = (ends(&told), ends(&untold));
        let mut unexplained: Vec<String> = told_ends
            .symmetric_difference(&untold_ends)
            .filter(|end| !doubts.contains(*end))
            .map(|end| format!("a row ends or begins at {end:x} in one of them"))
            .collect();
        for at in told_ends.union(&untold_ends) {
            // What is shown of the byte at this address.
            let byte = |rows: &Maps| {
                let row = rows.find(*at).mapping.and_then(|index| rows.get(index))?;
                let offset = if row.inode == 0 { 0 } else { row.offset + at - row.range.start };
                Some((row.perms, row.device, row.inode, offset, row.name.to_vec()))
            };
            if byte(&told) != byte(&untold) {
                unexplained.push(format!("{at:x} is shown otherwise"));
            }
        }
        unexplained
    }

    /// Asserts that every mapped byte has one origin, which some event tells of, and that no other
    /// byte has any.
    #[track_caller]
    pub(crate) fn check_origins(&self) {
        let rows = self.rows();
        let mut wrong = String::new();
        for row in rows.iter().filter(|row| row.kind() != Kind::Vsyscall) {
            let mut from = row.range.start;
            for (piece, origin) in self.origins_of(row.range) {
                assert_eq!(piece.start, from, "pieces without a gap");
                from = piece.end;
                if matches!(origin.maker, Maker::Unseen | Maker::Before) {
                    wrong.push_str(&format!("{piece} of {} {:?}\n", row.range, origin.maker));
                }
            }
            assert_eq!(from, row.range.end, "pieces to the end");
        }
        for (piece, origin) in self.space.origins.iter() {
            let mapped: u64 = rows
                .iter()
                .filter(|row| row.range.overlaps(&piece))
                .map(|row| row.range.end.min(piece.end) - row.range.start.max(piece.start))
                .sum();
            if mapped != piece.size() {
                wrong.push_str(&format!("{piece} is not mapped, but of {:?}\n", origin.maker));
            }
        }
        let text = String::from_utf8_lossy(&self.space.memory.render()).into_owned();
        assert!(wrong.is_empty(), "process {}:\n{wrong}{text}", self.process.pid);
    }

    pub(crate) fn origins_of(&self, range: AddressRange) -> Vec<(AddressRange, Origin)> {
        self.space.origins_of(range, false)
    }
}
