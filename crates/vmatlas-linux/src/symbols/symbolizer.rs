//! Resolves many places at once, file by file.

use super::debuginfod::{self, Artifact};
use super::module::{Module, ModuleNote, OpenFile};
use crate::deadline::{Results, all_within};
use crate::elf::{self, ElfFile};
use crate::own_files::open_regular;
use crate::regular_file::RegularFile;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use vmatlas_object::Budget;
use vmatlas_object::jit::JitMap;
use vmatlas_object::symbols::{SymbolFrame, frames_at};

/// Maximum number of notes per module: one note about damage is enough, not one per address.
const MAX_NOTES: usize = 8;

/// A module of a [`Symbolizer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(usize);

/// The place of code.
///
/// A return address is that of the instruction after the call, which may belong to another line or
/// function: look up the byte before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// In a file.
    File {
        /// The module.
        module: ModuleId,
        /// Offset in the file in bytes: address - start of the row + offset of the row.
        offset: u64,
    },
    /// In memory without a file.
    Jit {
        /// The process, by the number passed to [`add_jit`](Symbolizer::add_jit).
        pid: u32,
        /// The address.
        address: u64,
    },
}

/// The options of a [`Symbolizer`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SymbolOptions {
    /// The program that queries debuginfod servers, `debuginfod-find` of elfutils, for files that
    /// are missing or have no DWARF. `None` by default, because it uses the network.
    pub debuginfod: Option<PathBuf>,
    /// Time limit for one query.
    pub debuginfod_limit: Duration,
    /// Time limit for the files of a batch that are read concurrently. Later results are dropped.
    pub time_limit: Duration,
    /// What reading all files may cost. Files that were read before are dropped where the memory
    /// does not suffice for another.
    pub budget: Budget,
}

impl Default for SymbolOptions {
    fn default() -> Self {
        SymbolOptions {
            debuginfod: None,
            debuginfod_limit: Duration::from_secs(60),
            time_limit: Duration::from_secs(30),
            budget: Budget::default(),
        }
    }
}

/// Resolves places to functions and lines; caches the files it has read.
pub struct Symbolizer {
    options: SymbolOptions,
    open: Arc<OpenFile>,
    modules: Vec<State>,
    ids: HashMap<Module, ModuleId>,
    jit: HashMap<u32, JitMap>,
}

struct State {
    module: Arc<Module>,
    open: Arc<OpenFile>,
    given: Option<RegularFile>,
    elf: Elf,
    notes: Vec<ModuleNote>,
}

enum Elf {
    Unread,
    Read(Box<Opened>),
    /// The file is unavailable or its file system does not answer; it is not tried again.
    None,
}

/// A file that was read.
struct Opened {
    elf: ElfFile,
    /// The open file; `None` for an image in memory.
    file: Option<RegularFile>,
}

/// The places of a module: offsets, and the indices of the results.
type Batch = (ModuleId, Vec<(u64, usize)>);

/// The answer of the thread that reads a module.
enum Answer {
    Frames(usize, Vec<SymbolFrame>),
    Done(ModuleId, Option<Box<Opened>>, Vec<ModuleNote>, Budget),
}

impl Default for Symbolizer {
    fn default() -> Self {
        Symbolizer::new(SymbolOptions::default())
    }
}

impl Symbolizer {
    /// A symbolizer that opens regular files in our own mount namespace.
    pub fn new(options: SymbolOptions) -> Self {
        Symbolizer {
            options,
            open: Arc::new(open_regular),
            modules: Vec::new(),
            ids: HashMap::new(),
            jit: HashMap::new(),
        }
    }

    /// Adds a module; an equal module keeps its id.
    pub fn add_module(&mut self, module: Module) -> ModuleId {
        self.add_module_in(module, Arc::clone(&self.open))
    }

    /// Adds a module of a process in another mount namespace. `open` opens the module and its debug
    /// files (as [`Files::open_path`](crate::files::Files::open_path) does). For a module that was
    /// added before, the first `open` is kept.
    pub fn add_module_in(&mut self, module: Module, open: Arc<OpenFile>) -> ModuleId {
        if let Some(&id) = self.ids.get(&module) {
            return id;
        }
        let id = ModuleId(self.modules.len());
        self.ids.insert(module.clone(), id);
        let module = Arc::new(module);
        let (elf, notes) = (Elf::Unread, Vec::new());
        self.modules.push(State { module, open, given: None, elf, notes });
        id
    }

    /// Sets the open file of a module, for example from /proc/PID/map_files, because it may no
    /// longer have a name. It is verified like any other file.
    pub fn give_file(&mut self, module: ModuleId, file: RegularFile) {
        if let Some(state) = self.modules.get_mut(module.0) {
            state.given = Some(file);
            if let Elf::None = state.elf {
                state.elf = Elf::Unread;
                state.notes.clear();
            }
        }
    }

    /// Sets the names of a process's JIT-compiled code (see [`read_jit`](super::read_jit));
    /// replaces earlier names.
    pub fn add_jit(&mut self, pid: u32, map: JitMap) {
        self.jit.insert(pid, map);
    }

    /// The budget of all files.
    pub fn budget(&self) -> &Budget {
        &self.options.budget
    }

    /// The module with this id, as added.
    pub fn module(&self, id: ModuleId) -> Option<&Module> {
        Some(&self.modules.get(id.0)?.module)
    }

    /// The notes about missing names so far, with their modules.
    pub fn notes(&self) -> impl Iterator<Item = (ModuleId, &ModuleNote)> {
        let of = |(index, state)| {
            let state: &State = state;
            state.notes.iter().map(move |note| (ModuleId(index), note))
        };
        self.modules.iter().enumerate().flat_map(of)
    }

    /// The frames of each place, innermost first, in the order of `places`; at least one frame for
    /// each. Pass each place once.
    pub fn symbolize(&mut self, places: &[Place]) -> Vec<Vec<SymbolFrame>> {
        let mut found: Vec<Vec<SymbolFrame>> = vec![Vec::new(); places.len()];
        let mut of_module: BTreeMap<ModuleId, Vec<(u64, usize)>> = BTreeMap::new();
        for (index, place) in places.iter().enumerate() {
            match *place {
                Place::File { module, offset } if module.0 < self.modules.len() => {
                    of_module.entry(module).or_default().push((offset, index));
                }
                Place::File { .. } => {}
                Place::Jit { pid, address } => found[index] = vec![self.jit_frame(pid, address)],
            }
        }
        let mut work: Vec<Batch> = of_module.into_iter().collect();
        // The longest first, so that none remains alone at the end.
        work.sort_by_key(|(_, places)| std::cmp::Reverse(places.len()));
        let at_a_time = std::thread::available_parallelism().map_or(1, usize::from);
        for chunk in work.chunks_mut(at_a_time) {
            // Each alone, if together they take more memory than there is.
            let exceeding = self.read(chunk, &mut found);
            for batch in chunk.iter_mut().filter(|(id, _)| exceeding.contains(id)) {
                self.modules.iter_mut().for_each(State::drop_elf);
                if self.options.budget.has_time() {
                    let state = &mut self.modules[batch.0.0];
                    state.elf = Elf::Unread;
                    state.notes.clear();
                    self.read(std::slice::from_mut(batch), &mut found);
                }
            }
        }
        for (place, frames) in places.iter().zip(&mut found) {
            if frames.is_empty() {
                frames.push(self.unknown(place));
            }
        }
        found
    }

    /// Reads modules concurrently, each in a thread that can be abandoned. Returns those that
    /// exceed the budget.
    fn read(&mut self, chunk: &mut [Batch], found: &mut [Vec<SymbolFrame>]) -> Vec<ModuleId> {
        let mut jobs = Vec::new();
        let mut limit = self.options.time_limit;
        for (id, places) in &mut *chunk {
            let state = &mut self.modules[id.0];
            let elf = match std::mem::replace(&mut state.elf, Elf::None) {
                Elf::Unread => None,
                Elf::Read(elf) => Some(elf),
                Elf::None => continue,
            };
            let (module, open, given) =
                (Arc::clone(&state.module), Arc::clone(&state.open), state.given.clone());
            if self.options.debuginfod.is_some() && elf.is_none() {
                limit = limit.max(2 * self.options.debuginfod_limit + self.options.time_limit);
            }
            places.sort_unstable(); // neighbours are of one unit
            let (id, options, places) = (*id, self.options.clone(), places.clone());
            let budget = self.options.budget.of_file();
            jobs.push((id, move |results: &Results<Answer>| {
                let mut notes = Vec::new();
                let elf = elf.or_else(|| {
                    open_module(&module, given, &open, &options, &budget, &mut notes).map(Box::new)
                });
                if let Some(elf) = &elf {
                    name_all(&module, &elf.elf, &places, &mut notes, results);
                }
                results.add(Answer::Done(id, elf, notes, budget));
            }));
        }
        let ids: Vec<ModuleId> = jobs.iter().map(|(id, _)| *id).collect();
        let (mut done, mut exceeding) = (Vec::new(), Vec::new());
        for answer in all_within(limit, jobs.into_iter().map(|(_, job)| job)) {
            match answer {
                Answer::Frames(index, frames) => found[index] = frames,
                Answer::Done(id, elf, notes, budget) => {
                    if budget.is_exceeded() {
                        exceeding.push(id);
                    }
                    let state = &mut self.modules[id.0];
                    state.elf = elf.map_or(Elf::None, Elf::Read);
                    for note in notes {
                        let text = note.to_string();
                        let known = state.notes.iter().any(|note| note.to_string() == text);
                        if !known && state.notes.len() < MAX_NOTES {
                            state.notes.push(note);
                        }
                    }
                    done.push(id);
                }
            }
        }
        for id in ids.into_iter().filter(|id| !done.contains(id)) {
            let state = &mut self.modules[id.0];
            state.notes.push(ModuleNote::TimedOut { path: state.module.display() });
        }
        exceeding
    }

    fn jit_frame(&self, pid: u32, address: u64) -> SymbolFrame {
        let module = "[jit]".to_owned();
        match self.jit.get(&pid).and_then(|map| map.find(address)) {
            Some(code) => SymbolFrame {
                function: code.name.to_owned(),
                offset: Some(code.offset),
                module,
                source: code.source.map(|(file, line)| format!("{file}:{line}")),
                ..SymbolFrame::default()
            },
            None => SymbolFrame { offset: Some(address), module, ..SymbolFrame::default() },
        }
    }

    fn unknown(&self, place: &Place) -> SymbolFrame {
        let (module, offset) = match *place {
            Place::File { module, offset } => {
                (self.module(module).map(Module::display).unwrap_or_default(), offset)
            }
            Place::Jit { address, .. } => (String::new(), address),
        };
        SymbolFrame { offset: Some(offset), module, ..SymbolFrame::default() }
    }
}

impl State {
    /// Drops the data that was read; the file stays open.
    fn drop_elf(&mut self) {
        if let Elf::Read(opened) = &mut self.elf {
            self.given = opened.file.take();
            self.elf = Elf::Unread;
        }
    }
}

fn open_module(
    module: &Module,
    given: Option<RegularFile>,
    open: &Arc<OpenFile>,
    options: &SymbolOptions,
    budget: &Budget,
    notes: &mut Vec<ModuleNote>,
) -> Option<Opened> {
    let opened = module.open(given, open, budget, notes).map(|(elf, file)| Opened { elf, file });
    let Some(program) = &options.debuginfod else { return opened };
    let Some(build_id) =
        module.build_id.as_deref().or(opened.as_ref().and_then(|found| found.elf.build_id_bytes()))
    else {
        return opened;
    };
    let build_id = build_id.to_vec();
    let mut ask = |artifact| {
        let found = debuginfod::find(program, artifact, &build_id, options.debuginfod_limit);
        found.map_err(|why| notes.push(ModuleNote::Debuginfod { path: module.display(), why })).ok()
    };
    let mut opened = match opened {
        Some(opened) => opened,
        None => {
            let (path, file) = ask(Artifact::Executable)?;
            let elf = elf::read_within(file.clone(), budget.clone()).ok()??;
            Opened { elf: elf.with_path(path), file: Some(file) }
        }
    };
    if opened.elf.build_id_bytes() != Some(&build_id) {
        return None;
    }
    if !opened.elf.has_dwarf()
        && let Some((path, file)) = ask(Artifact::DebugInfo)
    {
        opened.elf.give_debug_file(path, file);
    }
    Some(opened)
}

fn name_all(
    module: &Module,
    elf: &ElfFile,
    places: &[(u64, usize)],
    notes: &mut Vec<ModuleNote>,
    results: &Results<Answer>,
) {
    let path = module.display();
    let mut first_damage = None;
    for &(offset, index) in places {
        let Some(vaddr) = module.vaddr(elf, offset) else { continue };
        let (frames, damage) = frames_at(elf, vaddr, &path);
        first_damage = first_damage.or(damage);
        if !frames.is_empty() {
            results.add(Answer::Frames(index, frames));
        }
    }
    if let Some(error) = first_damage.or_else(|| elf.damage().first().cloned()) {
        notes.push(ModuleNote::Damaged { path, error });
    }
}
