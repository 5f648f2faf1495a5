//! Live processes, and processes in a copy of /proc.

mod ahead;

use crate::error::{Error, ErrorKind, Result};
use crate::note::{LeftOut, Note};
use crate::source::how::How;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vmatlas_explain::label::{Facts, Labels};
use vmatlas_linux::files::{FileTruths, Files, UnansweredMount};
use vmatlas_linux::symbols::JitNoteKind;
use vmatlas_linux::{
    Empty, FactSources, Freeze, Frozen, Images, Process, ProcessId, ProcessMemory, RunningThread,
    Snapshot, Source, Space, gather_facts, within,
};
use vmatlas_maps::{AddressRange, KernelVersion, Kind, Maps};
use vmatlas_object::{Budget, CachedMemory, TimedMemory};

/// The longest time to read the memory of a process.
const DEEP_LIMIT: Duration = Duration::from_secs(30);

/// A process, with settled facts about its files.
pub(crate) struct Live {
    pub(crate) process: Process,
    pub(crate) comm: Vec<u8>,
    pub(crate) empty: Option<Empty>,
    pub(crate) kernel: Option<KernelVersion>,
    /// When the rows were read, in milliseconds since 1970; `None` in a copy of /proc.
    pub(crate) time_ms: Option<u64>,
    /// The address ranges whose rows are of another moment than all others.
    pub(crate) changed: Vec<AddressRange>,
    /// The address space of the rows.
    space: Option<Space>,
    /// Whether it was gone when facts were to be read.
    is_gone: AtomicBool,
    freeze: Option<Freeze>,
    /// The result of the freeze.
    pub(crate) frozen: Option<Frozen>,
    files: OnceLock<Option<Files>>,
    truths: OnceLock<FileTruths>,
    images: Mutex<Images>,
    /// The perf map and jitdumps of which facts are missing, because they would cost too much.
    jit_left_out: Mutex<Vec<PathBuf>>,
}

/// The time in milliseconds since 1970.
fn now_ms() -> Option<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Stops the threads of a process, or at least one of them.
fn frozen(process: &Process, refused: &dyn Fn(vmatlas_linux::Error) -> Error) -> Result<Freeze> {
    let id = process.id();
    if id.pid == std::process::id() {
        let why = "a process cannot stop itself to be read";
        return Err(Error::new(ErrorKind::Usage, format!("process {id}: {why}")));
    }
    let freeze = Freeze::begin(process).map_err(refused)?;
    match freeze.running().first() {
        Some(RunningThread { tid, why, .. }) if freeze.standing().is_empty() => {
            let why = format!("process {id}: its thread {tid} cannot be stopped: {why}");
            Err(Error::new(ErrorKind::Denied, why))
        }
        _ => Ok(freeze),
    }
}

/// Whether a row is of a file that may have sections.
pub(crate) fn is_file(maps: &Maps, index: usize) -> bool {
    maps.get(index).is_some_and(|row| row.kind() == Kind::File)
}

/// Whether a row is of a program or library that labels are made from. Objects in memory, such as
/// those of a JIT compiler, are not listed as images.
fn is_program(maps: &Maps, index: usize) -> bool {
    is_file(maps, index) && maps.get(index).is_some_and(|row| row.perms.execute())
}

impl Live {
    /// Opens a process and reads its rows.
    pub(crate) fn read(how: &How, id: ProcessId) -> Result<(Live, Maps, Vec<Note>)> {
        Live::of(how, id, None)
    }

    /// Reads the rows of the same process again; `before` are the former rows. Settled facts about
    /// its files are kept.
    pub(crate) fn again(&self, how: &How, before: &Maps) -> Result<(Live, Maps, Vec<Note>)> {
        let (live, maps, notes) = Live::of(how, self.process.id(), Some(self))?;
        if let (Some(Some(before)), Some(files)) = (self.files.get(), live.files(&maps)) {
            files.remember(before);
        }
        // The process ID may have been reused, and the process may have executed another program.
        if let (Some(truths), Some(files)) = (self.truths.get(), live.files(&maps)) {
            let _ = live.truths.set(files.truths_again(&live.process, &maps, before, truths));
        }
        Ok((live, maps, notes))
    }

    fn of(how: &How, id: ProcessId, before: Option<&Live>) -> Result<(Live, Maps, Vec<Note>)> {
        let refused = &|error| Error::refused(error, &how.proc, id);
        let process = Process::open(&how.proc, id).map_err(refused)?;
        let source = if how.sizes { Source::Smaps } else { Source::Maps };
        let freeze = if how.freeze { Some(frozen(&process, refused)?) } else { None };
        let read = || process.rows(source).map_err(refused);
        let wanted = if how.sections { is_file } else { is_program };
        // The files are settled while the kernel counts the pages, which takes long.
        let (snapshot, ahead) = match how.sizes && freeze.is_none() && before.is_none() {
            true => ahead::beside(&process, how.limits, wanted, read),
            false => (read(), None),
        };
        let mut snapshot = snapshot?;
        let space = snapshot.space();
        let Snapshot { maps, empty, thread, changed, .. } = snapshot;
        let notes = thread.map(|tid| Note::ReadThrough { tid }).into_iter().collect();
        let comm = process.comm().unwrap_or_default();
        let ahead = ahead.filter(|ahead| ahead.is_of(&maps));
        let is_gone = space.as_ref().is_some_and(Space::is_gone);
        let ahead = ahead.filter(|_| !is_gone);
        let (files, truths, images) = match (ahead, before) {
            (Some(ahead), _) => (ahead.files.into(), ahead.truths.into(), ahead.images),
            (None, Some(before)) => {
                (OnceLock::new(), OnceLock::new(), before.lock_images().again(&maps))
            }
            (None, None) => {
                (OnceLock::new(), OnceLock::new(), Images::new(&maps, how.limits.budget()))
            }
        };
        let live = Live {
            comm: if is_gone { Vec::new() } else { comm },
            empty,
            kernel: process.kernel_version(),
            time_ms: process.is_live().then(now_ms).flatten(),
            changed,
            space,
            is_gone: AtomicBool::new(is_gone),
            freeze,
            frozen: None,
            process,
            files,
            truths,
            images: Mutex::new(images),
            jit_left_out: Mutex::default(),
        };
        Ok((live, maps, notes))
    }

    /// Whether an address is known to lie in a lightweight guard page.
    pub(crate) fn is_guarded(&self, address: u64) -> bool {
        vmatlas_linux::is_guarded(&self.process, address) && !self.lost()
    }

    /// Whether the process has ended or executed another program since its rows were read. What was
    /// read of it before this call belongs to the rows if not.
    pub(crate) fn lost(&self) -> bool {
        let is_gone = self.space.as_ref().is_some_and(Space::is_gone);
        self.is_gone.fetch_or(is_gone, Relaxed) || is_gone
    }

    /// The number of its threads; 0 if unknown.
    pub(crate) fn thread_count(&self) -> usize {
        self.process.threads().map_or(0, |threads| threads.len())
    }

    /// Whether facts are missing because the process had ended or executed another program.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Relaxed)
    }

    /// Lets its threads go on, if they were stopped.
    pub(crate) fn let_go(&mut self) {
        if let Some(freeze) = self.freeze.take() {
            self.frozen = Some(freeze.end());
        }
    }

    /// Estimates the time to read the sizes.
    pub(crate) fn cost(proc: &Path, id: ProcessId) -> Option<Duration> {
        Process::open(proc, id).ok()?.cost(Source::Smaps)
    }

    /// The files of the process; `None` if there are no rows.
    pub(crate) fn files(&self, maps: &Maps) -> Option<&Files> {
        let open = || if maps.is_empty() { None } else { Files::read(&self.process).ok() };
        self.files.get_or_init(open).as_ref()
    }

    /// The file systems that did not answer so far.
    pub(crate) fn unanswered(&self) -> Vec<UnansweredMount> {
        let files = self.files.get().and_then(Option::as_ref);
        files.map(Files::unanswered).unwrap_or_default()
    }

    /// The files of which facts are missing, because they would cost too much.
    pub(crate) fn left_out(&self, maps: &Maps) -> LeftOut {
        let rows: Vec<usize> = self.lock_images().left_out().collect();
        let mut left_out = LeftOut::of_rows(maps, &rows);
        let jit = self.jit_left_out.lock().unwrap_or_else(PoisonError::into_inner);
        jit.iter().for_each(|path| left_out.add(path.as_os_str().as_bytes()));
        left_out
    }

    /// The verified facts about the rows' files.
    pub(crate) fn truths(&self, maps: &Maps) -> &FileTruths {
        self.truths.get_or_init(|| {
            let files = self.files(maps);
            let truths = files.map(|files| files.truths(&self.process, maps));
            truths.filter(|_| !self.lost()).unwrap_or_default()
        })
    }

    /// Opens the files of the rows whose index `wanted` accepts.
    pub(crate) fn images(
        &self,
        maps: &Maps,
        wanted: impl Fn(usize) -> bool,
    ) -> Option<MutexGuard<'_, Images>> {
        let files = self.files(maps)?;
        let truths = self.truths(maps);
        let mut images = self.lock_images();
        images.open(files, maps, truths, wanted);
        Some(images)
    }

    /// The budget of all its files.
    pub(crate) fn budget(&self) -> Budget {
        self.lock_images().budget().clone()
    }

    fn lock_images(&self) -> MutexGuard<'_, Images> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The facts that labels are made from.
    pub(crate) fn facts(&self, maps: &Maps, deep: bool) -> Facts {
        let budget = &self.budget();
        let images = self.images(maps, |index| is_program(maps, index));
        let (process, images) = (&self.process, images.as_deref());
        let files = self.files(maps);
        let sources = FactSources { process, files, maps, images, budget, deep };
        let (facts, notes) = gather_facts(sources);
        let left_out = notes.into_iter().filter(|note| matches!(note.kind, JitNoteKind::LeftOut));
        let paths = left_out.map(|note| note.path);
        self.jit_left_out.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
        if self.lost() { Facts::default() } else { facts }
    }

    /// Labels that also use the contents of the memory, as long as the budget lasts. A page may
    /// belong to a file whose file system never responds, so another limit applies.
    pub(crate) fn deep_labels(
        &self,
        maps: &Maps,
        facts: &Facts,
        budget: Budget,
    ) -> std::result::Result<Labels, String> {
        let memory = ProcessMemory::open(&self.process, maps, self.files(maps))
            .map_err(|error| error.to_string())?;
        // From here on the memory is that of the rows, whatever becomes of the process.
        if self.lost() {
            return Err("the process has ended or executed another program".to_owned());
        }
        let memory = TimedMemory::new(CachedMemory::new(memory), budget);
        let (maps, facts) = (maps.clone(), facts.clone());
        within(DEEP_LIMIT, move || Labels::read(&maps, &facts, Some(&memory)))
            .ok_or_else(|| format!("its memory was not read within {} s", DEEP_LIMIT.as_secs()))
    }
}
