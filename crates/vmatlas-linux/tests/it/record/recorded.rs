//! A recorded program and its expected memory.

use super::end::{End, cut};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{
    self, BufRead as _, BufReader, PipeReader, PipeWriter, Read as _, Seek as _, Write as _,
};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use tempfile::TempDir;
use vmatlas_linux::RecordingFile;
use vmatlas_linux::record::{Backend, Limits, Listener, Options, Report, launch};
use vmatlas_linux::symbols::{Module, ModuleId, Place, Symbolizer};
use vmatlas_maps::{AddressRange, Mapping, Maps};
use vmatlas_recording::{
    CallKind, Event, EventNumber, Moment, Process, RecordedRow, RecordedSpace, Recording, Replay,
    StackId, Tid, What,
};

/// A program recorded to its end.
pub(crate) struct Recorded {
    pub(crate) report: Report,
    pub(crate) status: ExitStatus,
    pub(crate) recording: Recording<RecordingFile>,
    /// Its standard output.
    pub(crate) output: String,
    directory: TempDir,
}

/// The output of a process with truth.h.
pub(crate) struct Words {
    pub(crate) made: Vec<Made>,
    pub(crate) one_row: Vec<AddressRange>,
    /// Its own maps.
    pub(crate) maps: String,
}

/// The maker of some bytes.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) range: AddressRange,
    pub(crate) function: String,
    pub(crate) tid: Tid,
}

pub(crate) fn record(command: Command) -> Recorded {
    record_with(command, Limits::default())
}

/// Records a program with threads. Repeats this if the machine stood still so long that calls had
/// to run concurrently, in which case the recording reports that their order is unknown.
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

/// Records a program by a backend.
pub(crate) fn record_by(backend: Backend, mut command: Command) -> Recorded {
    command.stdin(Stdio::null());
    launched_by(Some(backend), command, Limits::default(), None)
}

fn launched(command: Command, limits: Limits, news: Option<Listener>) -> Recorded {
    launched_by(None, command, limits, news)
}

fn launched_by(
    backend: Option<Backend>,
    mut command: Command,
    limits: Limits,
    news: Option<Listener>,
) -> Recorded {
    let directory = tempfile::tempdir().unwrap();
    let said = directory.path().join("said");
    fs::create_dir(&said).unwrap();
    command.env("TRUTH", &said);
    let output = directory.path().join("program.vmrec");
    let options =
        with!(Options::new(output.clone()), backend = backend, limits = limits, news = news);
    let report = launch(command, options).unwrap_or_else(|error| panic!("{error}"));
    let mut recording = open(&output);
    recording.read_stacks();
    assert_eq!(recording.warnings(), [] as [String; 0]);
    let status = report.status.expect("it was launched");
    Recorded { report, status, recording, output: String::new(), directory }
}

/// A patient.c process that is being recorded.
pub(crate) struct Patient {
    to: PipeWriter,
    from: BufReader<PipeReader>,
    pub(crate) pid: u32,
}

impl Patient {
    /// Records a patient.c that `talk` controls, then closes its input.
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

    /// Sends a command without waiting for an answer.
    pub(crate) fn send(&mut self, order: &str) {
        writeln!(self.to, "{order}").unwrap();
    }

    /// Sends a command and waits until it is done.
    pub(crate) fn ask(&mut self, order: &str) {
        self.send(order);
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

    /// The number of mappings of this many pages.
    pub(crate) fn mapped(&self, pages: u64) -> usize {
        let is = |event: &&Event| {
            matches!(&event.what, What::Call { call, .. }
                if call.kind == CallKind::Mmap && call.args[1] == pages * 4096)
        };
        self.events().iter().filter(is).count()
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let read = self.recording.events(EventNumber::FIRST, |event| {
            events.push(event.clone());
            ControlFlow::Continue(())
        });
        read.unwrap();
        events
    }

    /// All processes at their ends, in the order of the ends.
    pub(crate) fn ends(&mut self) -> Vec<End> {
        let processes = self.recording.processes().to_vec();
        let ending = processes.iter().filter_map(|process| Some((process.last?, process)));
        let ending: HashMap<EventNumber, &Process> = ending.collect();
        let profile = self.recording.meta().profile();
        let (mut corrected, mut uncorrected) = (Replay::new(profile.clone()), Replay::new(profile));
        let mut ends = Vec::new();
        for event in self.events() {
            if let Some(process) = ending.get(&event.number)
                && let (Some(space), Some(alone)) =
                    (corrected.space(event.task), uncorrected.space(event.task))
            {
                let (space, uncorrected) = (space.clone(), alone.clone());
                ends.push(End { process: (*process).clone(), space, uncorrected });
            }
            let files = &self.recording.definitions().files;
            let before = corrected.space(event.task).map(|space| space.memory.maps());
            let applied = corrected.apply(&event, files);
            if applied.observation.corrected > 0
                && let What::Observed { range, .. } = &event.what
            {
                // Printed to debug a failure.
                println!("corrected by {event:x?}: {:#?}", before.map(|rows| cut(&rows, *range)));
            }
            match &event.what {
                What::Observed { range, rows } => {
                    let shown = corrected.space(event.task).unwrap().memory.maps();
                    assert_eq!(cut(&shown, *range), cut(&self.maps(rows), *range), "{event:?}");
                }
                _ => drop(uncorrected.apply(&event, files)),
            }
        }
        ends
    }

    /// Rows of an event.
    fn maps(&self, rows: &[RecordedRow]) -> Maps {
        let mut maps = Maps::default();
        for row in rows {
            let file = &self.recording.definitions().files[row.file as usize];
            let RecordedRow { range, perms, offset, .. } = *row;
            let (device, inode, name) = (file.device, file.inode, &*file.name);
            maps.push(&Mapping { range, perms, offset, device, inode, name });
        }
        maps
    }

    /// The address space of a process before its last event, by a reader's seek.
    pub(crate) fn sought(&self, process: &Process) -> RecordedSpace {
        let last = process.last.expect("it has ended");
        let (replay, error) = self.recording.at(Moment::Event(last.previous()), |_, _| {});
        assert_eq!(error, None);
        let tasks = &self.recording.definitions().tasks;
        let task = replay.tasks().into_iter().find(|task| tasks[task.index()].pid == process.pid);
        replay.space(task.expect("a task of it is alive")).unwrap().clone()
    }

    /// The final output of a process.
    pub(crate) fn words(&self, pid: u32) -> Option<Words> {
        let said = self.directory.path().join("said").join(pid.to_string());
        let said = fs::read_to_string(said).ok()?;
        let (notes, maps) = said.split_once("maps\n").unwrap();
        let one_row = notes.lines().filter_map(|line| line.strip_prefix("one "));
        let one_row = one_row.map(crate::child::range).collect();
        Some(Words { made: made(notes), one_row, maps: maps.to_owned() })
    }

    /// The functions of a stack, innermost first.
    pub(crate) fn functions(&self, stack: StackId, names: &mut Names) -> Vec<String> {
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
                    Some((_, path)) => with!(Module::default(), path = path.clone()),
                    None => with!(
                        Module::default(),
                        path = file.name.clone(),
                        device = file.device,
                        inode = file.inode,
                        build_id = Some(file.build_id.clone()).filter(|id| !id.is_empty())
                    ),
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

/// Parses the lines `made START-END FUNCTION TID`.
pub(crate) fn made(text: &str) -> Vec<Made> {
    let notes = text.lines().filter_map(|line| line.strip_prefix("made "));
    let made = |note: &str| {
        let words: Vec<&str> = note.split(' ').collect();
        let [range, function, tid] = words[..] else { panic!("{note:?}") };
        let range = crate::child::range(range);
        Made { range, function: function.to_owned(), tid: Tid::new(tid.parse().unwrap()) }
    };
    notes.map(made).collect()
}

/// Resolved names of code.
#[derive(Default)]
pub(crate) struct Names {
    symbolizer: Symbolizer,
    known: HashMap<(u32, u64), Vec<String>>,
    /// Files with symbols that replace stripped ones, by the names in rows.
    pub(crate) instead: Vec<(Vec<u8>, Vec<u8>)>,
}
