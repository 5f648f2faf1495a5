//! The annotated map of one address space at one moment.

use crate::error::Result;
#[cfg(feature = "recordings")]
use crate::error::{Error, ErrorKind};
use crate::identity::identity;
use crate::needs::Needs;
use crate::note::Note;
use crate::recorded::{Made, Origins, Recorded};
use crate::request::Request;
use crate::sections::{self, Section};
use crate::source::Source;
use crate::source::core::Core;
use crate::source::document::facts::Document;
use crate::source::how::How;
use crate::source::kind::SourceKind;
use crate::source::live::{Live, is_file};
use crate::source::open::{self, CrashText, Place, Read3, Target};
use crate::source::refuse::refuse;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;
use vmatlas_explain::label::{Facts, Labels, ThreadFacts};
use vmatlas_linux::files::FileTruth;
use vmatlas_linux::symbols::SymbolOptions;
use vmatlas_linux::{Empty, Frozen, Limits, ProcessId, ProcessMemory, gather_core_facts};
use vmatlas_maps::{AddressRange, Group, Identity, KernelVersion, Maps, Totals, WordSize};
use vmatlas_object::{Memory, TimedMemory};

/// The options to open a target with.
///
/// ```
/// use vmatlas::{Needs, Open};
/// let atlas = Open::new("self").needs(Needs::SIZES | Needs::LABELS).open()?;
/// assert!(atlas.rows().any(|row| row.rss().unwrap_or(0) > 0));
/// # Ok::<(), vmatlas::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Open {
    target: Target,
    how: How,
    needs: Needs,
    deep: bool,
    symbols: SymbolOptions,
}

impl Open {
    /// Creates the options for a target: a PID, a word as on the command line, or a path.
    pub fn new(target: impl Into<Target>) -> Open {
        let proc = PathBuf::from("/proc");
        Open {
            target: target.into(),
            how: How {
                proc,
                pid: None,
                moment: None,
                sizes: false,
                sections: false,
                freeze: false,
                limits: Limits::default(),
            },
            needs: Needs::ROWS,
            deep: false,
            symbols: SymbolOptions::default(),
        }
    }

    /// Declares the facts that the caller needs besides the rows.
    #[must_use]
    pub fn needs(mut self, needs: Needs) -> Open {
        self.needs = needs;
        self.how.sizes = needs.contains(Needs::SIZES);
        self.how.sections = needs.contains(Needs::SECTIONS);
        self
    }

    /// Whether labels may use slow sources: the memory of the target and whole symbol tables.
    /// Labels become certain.
    #[must_use]
    pub fn deep(mut self, deep: bool) -> Open {
        self.deep = deep;
        self
    }

    /// Whether the threads of a live process are stopped while its rows are read, and with
    /// [`deep`](Open::deep) its memory: then all of it is of one moment. This needs the permission
    /// of ptrace(2). See [`Atlas::frozen`] and [`vmatlas_linux::Freeze`].
    #[must_use]
    pub fn freeze(mut self, freeze: bool) -> Open {
        self.how.freeze = freeze;
        self
    }

    /// The directory that processes are read from; `/proc` by default.
    #[must_use]
    pub fn proc(mut self, proc: impl Into<PathBuf>) -> Open {
        self.how.proc = proc.into();
        self
    }

    /// What reading the files of the target may cost. What exceeds it is left out, with
    /// [`Note::LeftOut`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Open {
        self.how.limits = limits;
        self
    }

    pub(crate) fn limits_of_files(&self) -> Limits {
        self.how.limits
    }

    /// The process of a recording or log, if the target does not name one.
    #[must_use]
    pub fn pid(mut self, pid: Option<u32>) -> Open {
        self.how.pid = pid;
        self
    }

    /// The moment of a recording or log, if the target does not name one.
    #[cfg(feature = "recordings")]
    #[must_use]
    pub fn moment(mut self, moment: Option<vmatlas_recording::Moment>) -> Open {
        self.how.moment = moment;
        self
    }

    /// Whether to request debug files from debuginfod servers, by `debuginfod-find` of elfutils.
    #[must_use]
    pub fn debuginfod(mut self, ask: bool) -> Open {
        self.symbols.debuginfod = ask.then(|| "debuginfod-find".into());
        self
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The atlas of what was read otherwise, such as a core dump inside an apport report.
    pub(crate) fn with(self, read: Read3) -> Atlas {
        Atlas::of(self, read)
    }

    /// Estimates the time to read the sizes; `None` if sizes are not declared or the estimate is no
    /// longer than reading the rows.
    pub fn cost(&self) -> Option<Duration> {
        if !self.how.sizes {
            return None;
        }
        match open::resolve(&self.target, &self.how) {
            Ok(Place::Process(id, _)) => Live::cost(&self.how.proc, id),
            _ => None,
        }
    }

    /// Whether the target is an existing file.
    pub fn is_file(&self) -> bool {
        matches!(open::resolve(&self.target, &self.how), Ok(Place::File(..) | Place::LogParts(_)))
    }

    /// Whether a file is the target, of which a process or a moment is selected.
    #[cfg(feature = "recordings")]
    pub(crate) fn selects(&self) -> Result<bool> {
        Ok(match open::resolve(&self.target, &self.how)? {
            Place::File(_, selection) | Place::LogParts(selection) => {
                selection.moment.is_some() || selection.pid.is_some()
            }
            Place::Saved(..) | Place::Process(..) | Place::Stdin(_) => false,
        })
    }

    /// The path of the target if it is a file that begins as recordings do, and what is selected.
    #[cfg(feature = "recordings")]
    pub(crate) fn recording(&self) -> Result<Option<(PathBuf, vmatlas_recording::Selection)>> {
        Ok(match open::resolve(&self.target, &self.how)? {
            Place::File(path, selection) if open::begins_as_recording(&path) => {
                Some((path, selection))
            }
            _ => None,
        })
    }

    /// Resolves the target to a process or thread; `None` if it is a file or standard input.
    ///
    /// # Errors
    /// Same as [`open`](Open::open) for a target that does not exist or is ambiguous.
    pub fn process(&self) -> Result<Option<ProcessId>> {
        Ok(match open::resolve(&self.target, &self.how)? {
            Place::Process(id, _) => Some(id),
            _ => None,
        })
    }

    /// Reads the target.
    ///
    /// # Errors
    /// [`Error`] with its [kind](Error::kind): the process is gone or may not be read, the file
    /// does not exist or has no row, the recording has no such moment.
    pub fn open(self) -> Result<Atlas> {
        if self.how.freeze && self.deep {
            // Its files are opened and read before it is stopped.
            let before = Open { needs: Needs::ROWS, ..self.clone() }.freeze(false).open()?;
            before.facts();
            return before.read_again(self);
        }
        let read = open::read(&self.target, &self.how)?;
        self.with_rows(read)
    }

    fn with_rows(self, read: Read3) -> Result<Atlas> {
        if self.how.freeze {
            refuse(&self.target.to_string(), read.0.kind(), Request::Freeze)?;
        }
        Ok(Atlas::of(self, read))
    }

    /// Reads a target that need not have rows, such as a crash log. Returns the text if it is
    /// neither a core dump, a recording nor a strace log.
    ///
    /// # Errors
    /// Same as [`open`](Open::open), except that a text without rows is no error.
    pub(crate) fn open_or_text(self) -> Result<std::result::Result<Atlas, CrashText>> {
        let read = open::read_or_text(&self.target, &self.how)?;
        Ok(read.map(|read| Atlas::of(self, read)))
    }
}

/// The annotated map of one address space at one moment, from any source.
///
/// It holds the rows. Everything else is computed when first requested, unless
/// [declared](Open::needs).
pub struct Atlas {
    open: Open,
    name: String,
    maps: Maps,
    source: Source,
    notes: Vec<Note>,
    facts: OnceLock<Facts>,
    labels: OnceLock<(Labels, Option<Note>)>,
    sections: OnceLock<Vec<Vec<Section>>>,
    origins: OnceLock<Origins>,
    identity: OnceLock<Identity>,
}

impl Atlas {
    fn of(open: Open, (source, maps, notes): Read3) -> Atlas {
        let name = match &open.target {
            Target::Word(word) if word == "-" => "standard input".to_owned(),
            target => target.to_string(),
        };
        let (mut open, mut source) = (open, source);
        source.set_budget(open.how.limits.budget());
        if let Some(budget) = source.budget() {
            open.symbols.budget = budget;
        }
        let mut atlas = Atlas {
            name,
            maps,
            source,
            notes,
            facts: OnceLock::new(),
            labels: OnceLock::new(),
            sections: OnceLock::new(),
            origins: OnceLock::new(),
            identity: OnceLock::new(),
            open,
        };
        if atlas.open.deep && atlas.open.how.freeze {
            atlas.labels();
        }
        if let Source::Live(live) = &mut atlas.source {
            live.let_go();
        }
        atlas.prepare(atlas.open.needs);
        atlas
    }

    /// Goes back to the last moment at which the resident pages of the recorded process were
    /// recorded: only of that moment are its resident bytes known.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] if they were not recorded, or the source is no recording.
    #[cfg(feature = "recordings")]
    pub fn into_last_look(self) -> Result<Atlas> {
        if self.recorded().is_none() {
            return Err(self.lacks_origins());
        }
        let Atlas { open, source, mut notes, .. } = self;
        let Source::Recorded(recorded) = source else { unreachable!("it has a recorded process") };
        let (recorded, maps, doubts) = recorded.into_last_look()?;
        notes.retain(|note| !matches!(note, Note::Doubts { .. }));
        notes.extend(doubts);
        Ok(open.with((Source::Recorded(Box::new(recorded)), maps, notes)))
    }

    /// Computes the declared facts in the order of their dependencies.
    fn prepare(&self, needs: Needs) {
        if needs.contains(Needs::NAMES) {
            self.truth(0);
        }
        if needs.contains(Needs::ORIGINS) {
            self.origins();
        }
        if needs.contains(Needs::SECTIONS) {
            self.sections_by_row();
        }
        if needs.contains(Needs::LABELS) {
            self.labels();
        }
    }

    /// Reads the same process again and keeps its opened files. Other sources are read anew.
    ///
    /// # Errors
    /// Same as [`Open::open`].
    pub fn again(&self) -> Result<Atlas> {
        self.read_again(self.open.clone())
    }

    /// Reads the same process again, with sizes or without.
    pub(crate) fn again_with_sizes(&self, sizes: bool) -> Result<Atlas> {
        let mut open = self.open.clone();
        open.how.sizes = sizes;
        self.read_again(open)
    }

    fn read_again(&self, open: Open) -> Result<Atlas> {
        let read = match &self.source {
            Source::Live(live) => {
                let (live, maps, notes) = live.again(&open.how, &self.maps)?;
                (Source::Live(Box::new(live)), maps, notes)
            }
            _ => open::read(&open.target, &open.how)?,
        };
        open.with_rows(read)
    }

    /// The target as the caller wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file of the target, without process and moment; of the files of `strace -ff` what their
    /// names begin with. `None` for a process and standard input.
    pub fn file(&self) -> Option<PathBuf> {
        match open::resolve(&self.open.target, &self.open.how).ok()? {
            Place::File(path, _) => Some(path),
            Place::LogParts(selection) => Some(selection.path.into()),
            #[cfg(feature = "recordings")]
            Place::Saved(word, _) => Some(word.dir),
            Place::Process(..) | Place::Stdin(_) => None,
        }
    }

    /// The kind of the source, which decides what it can answer.
    pub fn source(&self) -> SourceKind {
        self.source.kind()
    }

    /// Checks that the source has what a caller asks for, so that an option is not ignored.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] with the [request](Error::request).
    pub fn require(&self, request: Request) -> Result<()> {
        match request {
            Request::Sizes if self.has_sizes() || self.maps.is_empty() => Ok(()),
            request => refuse(&self.name, self.source(), request),
        }
    }

    /// The files of which facts are missing, because they would cost too much.
    fn left_out(&self) -> Option<Note> {
        self.source.left_out(&self.maps).note(self.open.how.limits)
    }

    /// The address ranges that changed while they were read: their rows are of another moment than
    /// all others, and a note says so. In order and disjoint; empty if all rows are of one moment.
    pub fn changed(&self) -> &[AddressRange] {
        match &self.source {
            Source::Live(live) => &live.changed,
            Source::Document(document) => &document.changed,
            _ => &[],
        }
    }

    /// The addresses at which it is not known whether two rows are one, in order: that depends on
    /// which memory was written first, which logs of strace and recordings by perf events do not
    /// have. A note says so. Empty for all other sources.
    pub fn doubts(&self) -> Vec<u64> {
        match &self.source {
            Source::Recorded(recorded) => recorded.doubts(),
            Source::Document(document) => document.doubts.clone(),
            _ => Vec::new(),
        }
    }

    /// How long the threads of the process were [stopped](Open::freeze), and which could not be.
    pub fn frozen(&self) -> Option<&Frozen> {
        match &self.source {
            Source::Live(live) => live.frozen.as_ref(),
            Source::Document(document) => document.frozen.as_ref(),
            _ => None,
        }
    }

    /// When the rows were read, in milliseconds since 1970; only for live processes, and documents
    /// of such.
    pub fn time_ms(&self) -> Option<u64> {
        match &self.source {
            Source::Live(live) => live.time_ms,
            Source::Document(document) => document.time_ms,
            _ => None,
        }
    }

    /// The event of a recording, or the line of a log, after which the rows were so.
    pub fn event(&self) -> Option<u64> {
        match &self.source {
            Source::Recorded(recorded) => recorded.event_number(),
            Source::Document(document) => document.event,
            _ => None,
        }
    }

    /// The time of [`event`](Atlas::event) in nanoseconds from the start of the recording or log.
    pub fn event_time_ns(&self) -> Option<u64> {
        match &self.source {
            Source::Recorded(recorded) => recorded.time_ns(),
            Source::Document(document) => document.time_ns,
            _ => None,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.open.how.limits
    }

    /// The rows as values, without labels, origins and other computed facts.
    pub fn maps(&self) -> &Maps {
        &self.maps
    }

    /// Notes about oddities and omissions. Notes about labels appear once labels are computed, those
    /// about unreadable memory and files once they were needed.
    pub fn notes(&self) -> impl Iterator<Item = Note> + '_ {
        let listing = self.maps.warnings().iter().cloned().map(Note::Listing);
        let labels = self.labels.get().and_then(|(_, note)| note.clone());
        let memory = self.core().and_then(Core::unread);
        let unanswered = self.live().map(Live::unanswered).unwrap_or_default();
        let unanswered = unanswered.into_iter().map(Note::NoAnswer);
        let notes = listing.chain(self.notes.iter().cloned()).chain(labels).chain(memory);
        // Documents have them among their warnings.
        let frozen =
            self.live().and_then(|live| live.frozen.as_ref()).into_iter().flat_map(Note::of_frozen);
        let gone = self.live().is_some_and(Live::is_gone).then_some(Note::Gone);
        frozen.chain(notes).chain(gone).chain(unanswered).chain(self.left_out())
    }

    /// Whether the rows have sizes.
    pub fn has_sizes(&self) -> bool {
        self.maps.has_fields()
    }

    /// The process ID, if the source is a process, core dump, recording or log.
    pub fn pid(&self) -> Option<u32> {
        self.source.pid()
    }

    /// The thread ID, if the target is a thread.
    pub fn tid(&self) -> Option<u32> {
        match &self.source {
            Source::Live(live) => live.process.id().tid,
            Source::Document(document) => document.tid,
            _ => None,
        }
    }

    /// The name of the process (proc_pid_comm(5)); empty if unknown.
    pub fn comm(&self) -> &[u8] {
        match &self.source {
            Source::Live(live) => &live.comm,
            Source::Core(core) => core.dump.comm().unwrap_or_default(),
            Source::Recorded(recorded) => recorded.comm(),
            Source::Document(document) => document.comm.as_bytes(),
            Source::Text => b"",
        }
    }

    /// The process: its names, its user, its control group. Of other sources than a live process
    /// and a snapshot of a machine only the process ID and the name are known.
    pub fn identity(&self) -> &Identity {
        self.identity.get_or_init(|| {
            if let Source::Document(document) = &self.source
                && let Some(identity) = &document.identity
            {
                return identity.clone();
            }
            let live = self.live().and_then(|live| identity(&live.process));
            let (pid, comm) = (self.pid(), self.comm().to_vec());
            live.unwrap_or_else(|| Identity { pid, comm, ..Identity::default() })
        })
    }

    /// The page size in bytes, if known.
    pub fn page_size(&self) -> Option<u64> {
        match (&self.source, self.source()) {
            (Source::Core(core), _) => Some(core.dump.page_size()),
            (Source::Document(document), _) => document.page_size,
            (_, SourceKind::Live) => Some(vmatlas_linux::page_size() as u64),
            _ => None,
        }
    }

    /// Resident memory in bytes: the sum of the rows, or what the kernel counts for a live process
    /// now, which is not exact; `None` if neither is known.
    pub fn resident(&self) -> Option<u64> {
        if self.has_sizes() {
            return Totals::sum(&self.maps, Group::Kind, |_| true).all.sizes.rss;
        }
        match &self.source {
            Source::Live(live) if live.process.is_live() => {
                live.process.resident_pages()?.checked_mul(self.page_size()?)
            }
            _ => None,
        }
    }

    /// The number of mappings that the kernel lets a process have (vm.max_map_count); only for live
    /// processes.
    pub fn max_mappings(&self) -> Option<u64> {
        match (&self.source, self.source()) {
            (Source::Live(_), SourceKind::Live) => {
                let file = self.open.how.proc.join("sys/vm/max_map_count");
                std::fs::read_to_string(file).ok()?.trim().parse().ok()
            }
            _ => None,
        }
    }

    /// The size of an address of the process, if known.
    pub fn word_size(&self) -> Option<WordSize> {
        match &self.source {
            Source::Core(core) => Some(core.dump.word_size()),
            _ => self.maps.word_size(),
        }
    }

    /// The version of the kernel that the process runs or ran on.
    pub fn kernel(&self) -> Option<String> {
        let text = |kernel: KernelVersion| kernel.to_string();
        match &self.source {
            Source::Live(live) => live.kernel.map(text),
            Source::Core(core) => core.kernel.map(text),
            Source::Recorded(recorded) => recorded.kernel().map(str::to_owned),
            Source::Document(document) => document.kernel.clone(),
            Source::Text => None,
        }
    }

    /// The reason why a live process has no row.
    pub fn empty(&self) -> Option<Empty> {
        match &self.source {
            Source::Live(live) => live.empty,
            Source::Document(document) => document.empty,
            _ => None,
        }
    }

    /// The signal that caused the core dump.
    pub fn signal(&self) -> Option<i32> {
        match &self.source {
            Source::Core(core) => core.dump.crash().signal,
            Source::Document(document) => document.signal,
            _ => None,
        }
    }

    /// The process of a recording or log.
    pub fn recorded(&self) -> Option<&Recorded> {
        match &self.source {
            Source::Recorded(recorded) => Some(recorded),
            _ => None,
        }
    }

    /// The readable memory: private memory of a live process, or the contents of a core dump.
    /// `None` for sources without memory.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] or [`ErrorKind::Gone`], for a live process.
    pub fn memory(&self) -> Result<Option<Box<dyn Memory + '_>>> {
        Ok(match &self.source {
            Source::Live(live) => Some(Box::new(ProcessMemory::open(
                &live.process,
                &self.maps,
                live.files(&self.maps),
            )?)),
            Source::Core(core) => Some(Box::new(&core.dump)),
            Source::Text | Source::Recorded(_) | Source::Document(_) => None,
        })
    }

    /// The part of a range whose bytes a core dump holds: always its first bytes.
    pub fn dumped(&self, range: AddressRange) -> Option<AddressRange> {
        Some(self.core()?.dump.dumped(range))
    }

    /// The threads of a live process or a core dump.
    pub fn threads(&self) -> &[ThreadFacts] {
        &self.facts().threads
    }

    /// The facts about the process that labels are made from.
    pub fn facts(&self) -> &Facts {
        let deep = self.open.deep;
        self.facts.get_or_init(|| match &self.source {
            Source::Live(live) => live.facts(&self.maps, deep),
            Source::Core(core) => {
                gather_core_facts(&core.dump, deep, |image| core.budget_of(image))
            }
            Source::Recorded(recorded) => recorded.facts(&self.maps, self.origins(), deep),
            Source::Document(document) => document.facts(&self.maps),
            Source::Text => Facts::default(),
        })
    }

    /// The purposes of memory. With [`deep`](Open::deep) the recognisers also read the memory, if
    /// the source has any.
    pub fn labels(&self) -> &Labels {
        match &self.source {
            Source::Document(document) => document.labels(),
            _ => &self.labels.get_or_init(|| self.read_labels()).0,
        }
    }

    fn read_labels(&self) -> (Labels, Option<Note>) {
        let facts = self.facts();
        let without_memory = || Labels::read(&self.maps, facts, None);
        let budget = self.source.budget().filter(|_| self.open.deep && !self.maps.is_empty());
        let Some(budget) = budget.map(|budget| budget.of_file()) else {
            return (without_memory(), None);
        };
        let labels = match &self.source {
            Source::Live(live) => match live.deep_labels(&self.maps, facts, budget.clone()) {
                Ok(labels) => labels,
                Err(why) => return (without_memory(), Some(Note::LabelsWithoutMemory { why })),
            },
            Source::Core(core) => {
                let memory = TimedMemory::new(&core.dump, budget.clone());
                Labels::read(&self.maps, facts, Some(&memory))
            }
            Source::Text | Source::Recorded(_) | Source::Document(_) => without_memory(),
        };
        let limits = self.open.how.limits;
        (labels, budget.is_exceeded().then_some(Note::CutMemory { limits }))
    }

    /// The origins of the rows; empty if the source does not record them.
    pub(crate) fn origins(&self) -> &Origins {
        let symbols = &self.open.symbols;
        let origins = |recorded: &Recorded| recorded.origins(&self.maps, symbols);
        self.origins.get_or_init(|| self.recorded().map(origins).unwrap_or_default())
    }

    /// The origin of the byte at an address.
    pub fn made_at(&self, address: u64) -> Option<Made<'_>> {
        let recorded = self.recorded()?;
        let range = AddressRange::new(address, address.checked_add(1)?);
        recorded.made_in(range, || self.origins())
    }

    /// The largest sections of each row's file that lie in the row.
    pub(crate) fn sections_by_row(&self) -> &[Vec<Section>] {
        self.sections.get_or_init(|| match &self.source {
            Source::Live(live) => {
                let images = live.images(&self.maps, |index| is_file(&self.maps, index));
                images.map_or(Vec::new(), |images| sections::of_images(&self.maps, &images))
            }
            Source::Core(_) => sections::of_facts(&self.maps, &self.facts().images),
            Source::Recorded(recorded) => {
                sections::of_images(&self.maps, recorded.images(&self.maps))
            }
            Source::Text | Source::Document(_) => Vec::new(),
        })
    }

    /// The verified facts about a row's file: device, inode and path from a second source.
    pub(crate) fn truth(&self, index: usize) -> Option<&FileTruth> {
        match &self.source {
            Source::Live(live) => live.truths(&self.maps).get(index),
            Source::Document(document) => document.truth(index),
            _ => None,
        }
    }

    pub(crate) fn document(&self) -> Option<&Document> {
        match &self.source {
            Source::Document(document) => Some(document),
            _ => None,
        }
    }

    pub(crate) fn live(&self) -> Option<&Live> {
        match &self.source {
            Source::Live(live) => Some(live),
            _ => None,
        }
    }

    pub(crate) fn core(&self) -> Option<&Core> {
        match &self.source {
            Source::Core(core) => Some(core),
            _ => None,
        }
    }

    /// Whether slow sources may be used.
    pub(crate) fn is_deep(&self) -> bool {
        self.open.deep
    }

    pub(crate) fn symbols(&self) -> &SymbolOptions {
        &self.open.symbols
    }

    #[cfg(feature = "recordings")]
    pub(crate) fn take_recorded(self) -> Result<(String, Recorded)> {
        match self.source {
            Source::Recorded(recorded) => Ok((self.name, *recorded)),
            _ => {
                let message = format!("{}: neither a recording nor a log of strace", self.name);
                Err(Error::new(ErrorKind::Lacks, message))
            }
        }
    }
}
