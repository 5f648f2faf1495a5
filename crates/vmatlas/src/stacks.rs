//! Call stacks of recordings and logs, with function names.

use crate::folded_frames::role;
use std::collections::HashMap;
use vmatlas_explain::frames::FrameRole;
use vmatlas_linux::RecordingFile;
use vmatlas_linux::elf::demangle;
use vmatlas_linux::symbols::{Module, Place, SymbolFrame, SymbolOptions, Symbolizer, hint};
use vmatlas_object::jit::JitMap;
use vmatlas_recording::strace::{Frame, Makers};
use vmatlas_recording::{Definitions, FrameEntry, Origin, Recording, StackId, TaskEntry, TaskId};

/// An open recording.
pub(crate) type Opened = Recording<RecordingFile>;

/// The name of the frame at which a recorded stack ends although it goes on.
const CUT: &str = "[callers not recorded]";

/// The named frames of stacks, by stack number and process: JIT code belongs to one process.
#[derive(Default)]
pub(crate) struct Stacks {
    frames: HashMap<(StackId, u32), Vec<SymbolFrame>>,
    /// Notes about missing or doubtful function names.
    pub(crate) notes: Vec<String>,
    /// Those among them about files that may be others than the recorded ones.
    pub(crate) doubts: Vec<String>,
}

impl Stacks {
    /// Resolves the frames of tasks' stacks, each code location once. The recording must have read
    /// its stacks.
    pub(crate) fn of_tasks(
        recording: &Opened,
        stacks_of_tasks: impl Iterator<Item = (StackId, TaskId)>,
        options: SymbolOptions,
    ) -> Stacks {
        let definitions = recording.definitions();
        let began_ns = recording.meta().began_ns;
        let mut symbolizer = Symbolizer::new(options);
        add_jit(definitions, &mut symbolizer);
        let resolved = resolved_places(definitions);
        let mut spots: Vec<Spot<'_>> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        let mut known: HashMap<(u32, u64, u32), usize> = HashMap::new();
        let mut stacks: HashMap<(StackId, u32), Vec<usize>> = HashMap::new();
        for (stack, task) in stacks_of_tasks {
            let pid = pid_of(&definitions.tasks, task);
            stacks.entry((stack, pid)).or_insert_with(|| {
                let frames = definitions.frames_of(stack).map(|frame| {
                    let file = definitions.files.get(frame.file as usize);
                    let file = file.filter(|_| frame.file != 0);
                    let of = if file.is_some() { 0 } else { pid };
                    *known.entry((frame.file, frame.offset, of)).or_insert_with(|| {
                        if *frame == FrameEntry::CUT {
                            spots.push(Spot::Cut);
                            return spots.len() - 1;
                        }
                        spots.push(match (resolved.get(&(frame.file, frame.offset)), file) {
                            (Some(frames), _) => Spot::Resolved(frames),
                            (None, file) => {
                                places.push(match file {
                                    Some(file) => {
                                        let mut module = Module::from_entry(file);
                                        module.written_by_ns =
                                            Some(began_ns).filter(|began| *began > 0);
                                        let module = symbolizer.add_module(module);
                                        Place::File { module, offset: frame.offset }
                                    }
                                    None => Place::Jit { pid, address: frame.offset },
                                });
                                Spot::Requested(places.len() - 1)
                            }
                        });
                        spots.len() - 1
                    })
                });
                frames.collect()
            });
        }
        let named = symbolizer.symbolize(&places);
        let frames_at = |spot: usize| match spots[spot] {
            Spot::Resolved(frames) => frames.to_vec(),
            Spot::Cut => vec![SymbolFrame { function: CUT.to_owned(), ..SymbolFrame::default() }],
            Spot::Requested(place) => named[place].clone(),
        };
        let whole = |spots: Vec<usize>| spots.into_iter().flat_map(frames_at).collect();
        let doubts = symbolizer.notes().filter(|(_, note)| note.is_doubt());
        let doubts = doubts.map(|(_, note)| note.to_string()).collect();
        let mut notes: Vec<String> = symbolizer.notes().map(|(_, note)| note.to_string()).collect();
        notes.sort();
        notes.dedup();
        let frames: HashMap<(StackId, u32), Vec<SymbolFrame>> =
            stacks.into_iter().map(|(key, places)| (key, whole(places))).collect();
        let program = recording.meta().command.first().cloned().unwrap_or_default();
        let program = String::from_utf8_lossy(&program).into_owned();
        notes.extend(frames.values().find_map(|frames| hint(&program, frames)).map(str::to_owned));
        Stacks { frames, notes, doubts }
    }

    /// Takes the names that strace printed for the frames of these origins.
    pub(crate) fn of_log<'a>(makers: &Makers, origins: impl Iterator<Item = &'a Origin>) -> Stacks {
        let mut stacks = Stacks::default();
        for origin in origins.filter(|origin| !origin.stack.is_none()) {
            let key = (origin.stack, pid_of(&makers.tasks, origin.task));
            let frames = || makers.frames_of(origin.stack).map(frame_of_log).collect();
            stacks.frames.entry(key).or_insert_with(frames);
        }
        stacks
    }

    /// The frames of an origin's stack, innermost first.
    pub(crate) fn get(&self, tasks: &[TaskEntry], origin: &Origin) -> &[SymbolFrame] {
        self.of_task(tasks, origin.stack, origin.task)
    }

    /// The frames of a stack of a task.
    pub(crate) fn of_task(
        &self,
        tasks: &[TaskEntry],
        stack: StackId,
        task: TaskId,
    ) -> &[SymbolFrame] {
        self.frames.get(&(stack, pid_of(tasks, task))).map_or(&[], Vec::as_slice)
    }
}

fn pid_of(tasks: &[TaskEntry], task: TaskId) -> u32 {
    tasks.get(task.index()).map_or(0, |task| task.pid)
}

/// Converts a frame that strace named.
fn frame_of_log(frame: &Frame) -> SymbolFrame {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let named = !frame.function.is_empty();
    SymbolFrame {
        function: if named { demangle(&frame.function) } else { String::new() },
        offset: Some(if named { frame.function_offset } else { frame.offset }),
        module: text(&frame.module),
        source: Some(text(&frame.source)).filter(|source| !source.is_empty()),
        ..SymbolFrame::default()
    }
}

/// The source of the names of a code location.
enum Spot<'a> {
    /// The recorder resolved the names.
    Resolved(&'a [SymbolFrame]),
    /// The symbolizer resolves the names: the index of the request.
    Requested(usize),
    /// The callers were not recorded.
    Cut,
}

/// The code locations that the recorder resolved, by file and offset.
fn resolved_places(definitions: &Definitions) -> HashMap<(u32, u64), Vec<SymbolFrame>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut resolved: HashMap<(u32, u64), Vec<SymbolFrame>> = HashMap::new();
    for place in definitions.places.iter().filter(|place| place.file != 0) {
        let Some(file) = definitions.files.get(place.file as usize) else { continue };
        resolved.entry((place.file, place.offset)).or_default().push(SymbolFrame {
            function: text(&place.function),
            pc: None,
            offset: Some(place.function_offset),
            module: text(&file.name),
            source: Some(text(&place.source)).filter(|source| !source.is_empty()),
            inlined: place.inlined,
        });
    }
    resolved
}

/// Passes the names that runtimes gave to their code to the symbolizer, as perf maps.
fn add_jit(definitions: &Definitions, symbolizer: &mut Symbolizer) {
    let mut texts: HashMap<u32, Vec<u8>> = HashMap::new();
    for symbol in definitions.symbols.iter().filter(|symbol| symbol.pid != 0) {
        let text = texts.entry(symbol.pid).or_default();
        text.extend_from_slice(format!("{:x} {:x} ", symbol.address, symbol.size).as_bytes());
        text.extend(symbol.name.iter().map(|&b| if b == b'\n' { b' ' } else { b }));
        text.push(b'\n');
    }
    for (pid, text) in texts {
        let (map, _) = JitMap::parse_perf_map(&text, symbolizer.budget());
        symbolizer.add_jit(pid, map);
    }
}

/// The frames from the first one that explains the request: the innermost of the program, else the
/// innermost that belongs to no allocator.
pub fn requester_frames(frames: &[SymbolFrame]) -> &[SymbolFrame] {
    let at = frames.iter().position(|frame| role(frame) == FrameRole::Program);
    let at = at.or_else(|| frames.iter().position(|frame| role(frame) != FrameRole::Allocator));
    &frames[at.unwrap_or(0)..]
}
