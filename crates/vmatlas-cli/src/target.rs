//! TARGET: everything that holds an address space, found and read.

use crate::args::CommonArgs;
use crate::args::MomentArgs;
use crate::core::{self, Compression, Core};
use crate::log;
use crate::moment::Moment;
use crate::output::note;
use crate::recording::{self, Recorded};
use crate::sections;
use crate::trouble::Trouble;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;
use std::time::Duration;
use vmatlas::label::{Facts, Labels};
use vmatlas::recording::looks_like_recording;
use vmatlas::strace::looks_like_log;
use vmatlas::{KernelVersion, Kind, Mapping, Maps, MapsReader, Memory, other_listing};
use vmatlas_linux::files::{FileTruths, Files};
use vmatlas_linux::{
    Empty, FactSources, Images, Process, ProcessId, ProcessMemory, Source, core_facts, facts,
    within,
};

/// The map of a target and where it came from.
pub(crate) struct Target {
    /// The target as it was asked for.
    pub(crate) name: String,
    pub(crate) maps: Maps,
    /// The process, if it is a live one.
    pub(crate) live: Option<Live>,
    /// The number of the process, if it is one of a log of strace.
    pub(crate) log: Option<u32>,
    /// What labels are made from, once they were asked for.
    pub(crate) facts: Facts,
    /// The largest sections of files by row, if they were asked for.
    pub(crate) sections: Vec<String>,
    /// What its memory is for, once it was asked for.
    pub(crate) labels: Labels,
    /// The process of a recording or of a log of strace.
    pub(crate) recorded: Option<Box<Recorded>>,
    /// The core dump, if it is one.
    pub(crate) core: Option<Box<Core>>,
}

pub(crate) struct Live {
    pub(crate) process: Process,
    pub(crate) comm: Vec<u8>,
    pub(crate) empty: Option<Empty>,
    pub(crate) kernel: Option<KernelVersion>,
    pub(crate) files: Option<Files>,
    pub(crate) truths: FileTruths,
}

impl Live {
    /// What labels are made from, and the sections by row if they are wanted.
    fn look(&self, maps: &Maps, deep: bool, with_sections: bool) -> (Facts, Vec<String>) {
        // Objects in memory, such as those of a JIT compiler, are no images to be shown; labels
        // are made from those that are executed.
        let is_wanted =
            |row: Mapping<'_>| row.kind() == Kind::File && (with_sections || row.perms.execute());
        let is_wanted = |index| maps.get(index).is_some_and(is_wanted);
        let files = self.files.as_ref();
        let images = files.map(|files| Images::open(files, maps, &self.truths, is_wanted));
        let images = images.as_ref();
        let facts = facts(FactSources { process: &self.process, maps, images, deep });
        let wanted = images.filter(|_| with_sections);
        (facts, wanted.map_or(Vec::new(), |images| sections::of_images(maps, images)))
    }

    /// Labels by what is in the memory, too. A page of it may lie in a file whose file system never
    /// answers.
    fn deep_labels(&self, maps: &Maps, facts: &Facts) -> Result<Labels, String> {
        let memory = ProcessMemory::open(&self.process, maps).map_err(|error| error.to_string())?;
        let (maps, facts) = (maps.clone(), facts.clone());
        within(DEEP_LIMIT, move || Labels::of(&maps, &facts, Some(&memory)))
            .ok_or_else(|| format!("its memory was not read within {} s", DEEP_LIMIT.as_secs()))
    }
}

/// How long reading the memory of a process may take.
const DEEP_LIMIT: Duration = Duration::from_secs(30);

/// How much is read of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) sizes: bool,
    /// Whether names of files are to be made certain.
    pub(crate) truths: bool,
}

impl Target {
    /// What has nothing but rows.
    pub(crate) fn of_rows(name: &str, maps: Maps) -> Target {
        Target {
            name: name.to_owned(),
            maps,
            live: None,
            log: None,
            labels: Labels::default(),
            facts: Facts::default(),
            sections: Vec::new(),
            recorded: None,
            core: None,
        }
    }

    /// The moment that a target means; none where it is something else than a file.
    pub(crate) fn moment(name: &str, args: &MomentArgs) -> Option<Moment> {
        Moment::of(name, args, |path| Path::new(path).is_file() || !log::parts(path).is_empty())
    }

    pub(crate) fn read(
        name: &str,
        proc: &Path,
        moment: &MomentArgs,
        want: Want,
    ) -> Result<Target, Trouble> {
        if let Some(moment) = Target::moment(name, moment) {
            if !Path::new(&moment.path).is_file() {
                return log::open_parts(name, &moment);
            }
            let file = File::open(&moment.path);
            let file = file.map_err(|error| Trouble::file(&moment.path, error))?;
            return from_file(name, &moment, file);
        }
        match Slot::of(name, proc)? {
            Slot::Live(id) => live(name, proc, id, want),
            Slot::File => {
                let file = File::open(name).map_err(|error| Trouble::file(name, error))?;
                from_file(name, &Moment::end(name, moment), file)
            }
            Slot::Stdin => {
                let name = "standard input";
                from_stream(name, &Moment::end(name, moment), io::stdin().lock())
            }
        }
    }

    /// Reads a file or standard input that need not have rows: what is no core dump and no
    /// recording is given as it is.
    pub(crate) fn read_or_text(
        name: &str,
        moment: &MomentArgs,
    ) -> Result<Result<Target, Vec<u8>>, Trouble> {
        let at = Target::moment(name, moment).unwrap_or_else(|| Moment::end(name, moment));
        if name == "-" {
            return stream_or_text("standard input", &at, io::stdin().lock());
        }
        if !Path::new(&at.path).is_file() && !log::parts(&at.path).is_empty() {
            return log::open_parts(name, &at).map(Ok);
        }
        let file = File::open(&at.path).map_err(|error| Trouble::file(&at.path, error))?;
        match core_in(name, &at, file)? {
            Ok(core) => Ok(Ok(core)),
            Err(file) => stream_or_text(name, &at, file),
        }
    }

    /// The core dump that bytes are, which may be compressed; none if they are something else.
    pub(crate) fn of_core(name: &str, bytes: &[u8]) -> Result<Option<Target>, Trouble> {
        let moment = Moment::end(name, &MomentArgs::default());
        Ok(stream_or_text(name, &moment, bytes)?.ok())
    }

    /// Finds who made each row, where it is of a recording or a log.
    pub(crate) fn find_origins(&mut self) {
        if let Some(recorded) = &mut self.recorded {
            recorded.find_origins(&self.maps);
        }
    }

    /// Looks into its files and at its threads: what labels are made from, and the sections of
    /// files where they are to be shown. `deep` also where that takes long.
    pub(crate) fn look(&mut self, deep: bool, with_sections: bool) {
        (self.facts, self.sections) = match (&self.live, &self.core) {
            (Some(live), _) => live.look(&self.maps, deep, with_sections),
            (None, Some(core)) => {
                let facts = core_facts(&core.dump, deep);
                let sections = match with_sections {
                    true => sections::of_facts(&self.maps, &facts.images),
                    false => Vec::new(),
                };
                (facts, sections)
            }
            (None, None) => Default::default(),
        };
    }

    /// Finds what its memory is for, after a look. `deep` reads the memory itself, too, where there is
    /// any.
    pub(crate) fn find_labels(&mut self, deep: bool) {
        let facts = &self.facts;
        let core = self.core.as_ref().map(|core| &core.dump as &dyn Memory);
        let live = self.live.as_ref().filter(|_| deep && !self.maps.is_empty());
        let (labels, refused) = match live.map(|live| live.deep_labels(&self.maps, facts)) {
            Some(Ok(labels)) => (labels, None),
            other => {
                let labels = Labels::of(&self.maps, facts, core.filter(|_| deep));
                (labels, other.and_then(Result::err))
            }
        };
        self.labels = labels;
        if let Some(why) = refused {
            self.maps.warn(format!("labels without --deep: {why}"));
        }
    }

    /// Prints what is odd about it to standard error.
    pub(crate) fn warn(&self, args: &CommonArgs) {
        if args.quiet {
            return;
        }
        for warning in self.maps.warnings() {
            note(&format!("{}: {warning}", self.name));
        }
    }
}

/// What a TARGET means.
pub(crate) enum Slot {
    Live(ProcessId),
    File,
    Stdin,
}

impl Slot {
    pub(crate) fn of(name: &str, proc: &Path) -> Result<Slot, Trouble> {
        if name == "-" {
            return Ok(Slot::Stdin);
        }
        if name.is_empty() {
            return Err(Trouble::new(
                "the target is empty; give a PID, the name of a process, a file, or -",
            ));
        }
        let (pid, tid) = name.split_once('/').map_or((name, None), |(pid, tid)| (pid, Some(tid)));
        let number = |text: &str| text.parse().ok().filter(|_| !text.starts_with('+'));
        let pid = if pid == "self" {
            let pid = Process::own_pid(proc);
            Some(pid.ok_or_else(|| {
                Trouble::new(format!("{} does not show vmatlas itself", proc.display()))
            })?)
        } else {
            number(pid)
        };
        if let (Some(pid), true) = (pid, tid.is_none_or(|tid| number(tid).is_some())) {
            return Ok(Slot::Live(ProcessId { pid, tid: tid.and_then(number) }));
        }
        let is_directory = match std::fs::metadata(name) {
            Ok(found) if !found.is_dir() => return Ok(Slot::File),
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Trouble::file(name, error)),
        };
        let pids = Process::named(proc, name)?;
        match pids[..] {
            [pid] => Ok(Slot::Live(ProcessId { pid, tid: None })),
            [] if is_directory => Err(Trouble::new(format!("{name}: is a directory"))),
            [] if name.contains('/') => Err(Trouble::new(format!("{name}: there is no such file"))),
            [] => Err(Trouble::new(format!(
                "{name}: there is no such file, and no process of that name"
            ))),
            _ => {
                let list: Vec<String> = pids.iter().map(u32::to_string).collect();
                let help = "give the number of one";
                Err(Trouble::new(format!(
                    "{} processes are called {name}: {}; {help}",
                    list.len(),
                    list.join(", ")
                )))
            }
        }
    }
}

fn live(name: &str, proc: &Path, id: ProcessId, want: Want) -> Result<Target, Trouble> {
    let refused = |error| Trouble::refused(error, proc, id);
    let process = Process::open(proc, id).map_err(refused)?;
    let source = if want.sizes { Source::Smaps } else { Source::Maps };
    if let Some(cost) = process.cost(source).filter(|cost| cost.as_secs() > 0) {
        note(&format!("{name}: reading the sizes will take some {} s", cost.as_secs()));
    }
    let mut snapshot = process.rows(source).map_err(refused)?;
    if let Some(thread) = snapshot.thread {
        snapshot.maps.warn(format!("the first thread has ended: read through thread {thread}"));
    }
    let files =
        if want.truths && !snapshot.maps.is_empty() { Files::of(&process).ok() } else { None };
    let truths =
        files.as_ref().map(|files| files.truths(&process, &snapshot.maps)).unwrap_or_default();
    let live = Live {
        comm: process.comm().unwrap_or_default(),
        empty: snapshot.empty,
        kernel: process.kernel_version(),
        process,
        files,
        truths,
    };
    Ok(Target { live: Some(live), ..Target::of_rows(name, snapshot.maps) })
}

/// How much of a text is kept to tell what it is, should no row be in it.
pub(crate) const HEAD: usize = 4096;

/// The most bytes that are read of a text: a device may have no end.
const MOST: u64 = 16 << 30;

/// A core dump is read where it is, if that can be.
fn from_file(name: &str, moment: &Moment, file: File) -> Result<Target, Trouble> {
    match core_in(name, moment, file)? {
        Ok(core) => Ok(core),
        Err(file) => from_stream(name, moment, file),
    }
}

/// The core dump in a regular file; else the file, at its beginning.
fn core_in(name: &str, moment: &Moment, mut file: File) -> Result<Result<Target, File>, Trouble> {
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_file {
        let mut magic = [0; core::ELF.len()];
        let is_elf = file.read_exact(&mut magic).is_ok() && magic == core::ELF;
        file.rewind().map_err(|error| Trouble::file(name, error))?;
        if is_elf {
            no_moment(moment, "a core dump")?;
            return core::read(name, file).map(Ok);
        }
    }
    Ok(Err(file))
}

/// The most bytes of a log that are read.
const MOST_TEXT: u64 = 1 << 30;

/// What comes in order, and may be compressed; text as it is.
fn stream_or_text(
    name: &str,
    moment: &Moment,
    input: impl Read,
) -> Result<Result<Target, Vec<u8>>, Trouble> {
    let (head, rest) = decompressed(name, input)?;
    if head.starts_with(core::ELF) || looks_like_recording(&head) || looks_like_log(&head) {
        return content(name, moment, head, rest).map(Ok);
    }
    let mut text = head;
    let left = MOST_TEXT.saturating_sub(text.len() as u64);
    let read = rest.take(left).read_to_end(&mut text);
    read.map_err(|error| Trouble::file(name, error))?;
    Ok(Err(text))
}

/// What xz begins with.
const XZ: &[u8] = b"\xfd7zXZ\0";

/// The first bytes, and what comes after them, without the compression if there is one.
fn decompressed<'r>(
    name: &str,
    mut input: impl Read + 'r,
) -> Result<(Vec<u8>, Box<dyn Read + 'r>), Trouble> {
    let head = head_of(name, &mut input)?;
    if head.starts_with(XZ) {
        let help = "decompress it first, as by xz -dc, which - reads from a pipe";
        return Err(Trouble::new(format!("{name}: compressed with xz, which is not read; {help}")));
    }
    let Some(compression) = Compression::of(&head) else { return Ok((head, Box::new(input))) };
    let whole = io::Cursor::new(head).chain(input);
    let mut inside = compression.decoder(whole).map_err(|error| Trouble::file(name, error))?;
    Ok((head_of(name, &mut inside)?, inside))
}

/// Only recordings and logs have moments.
fn no_moment(moment: &Moment, what: &str) -> Result<(), Trouble> {
    if moment.when.is_none() && moment.pid.is_none() {
        return Ok(());
    }
    let path = &moment.path;
    Err(Trouble::new(format!("{path}: {what}, so it has no moments and processes")))
}

/// What comes in order, as from a pipe; it may be compressed.
fn from_stream(name: &str, moment: &Moment, input: impl Read) -> Result<Target, Trouble> {
    let (head, rest) = decompressed(name, input)?;
    content(name, moment, head, rest)
}

fn head_of(name: &str, input: &mut impl Read) -> Result<Vec<u8>, Trouble> {
    let mut head = Vec::new();
    let begun = input.by_ref().take(HEAD as u64).read_to_end(&mut head);
    begun.map_err(|error| Trouble::file(name, error))?;
    Ok(head)
}

/// Reads what begins with `head` and goes on with `input`.
fn content(
    name: &str,
    moment: &Moment,
    head: Vec<u8>,
    input: impl Read,
) -> Result<Target, Trouble> {
    if head.starts_with(core::ELF) {
        no_moment(moment, "a core dump")?;
        return core::read_stream(name, io::Cursor::new(head).chain(input));
    }
    let mut input = input.take(MOST);
    if looks_like_recording(&head) {
        return recording::read(name, moment, &head, input);
    }
    if looks_like_log(&head) {
        return log::read(name, moment, &head, input);
    }
    no_moment(moment, "neither a recording nor a log of strace")?;
    let mut reader = MapsReader::default();
    reader.push(&head);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => reader.push(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Trouble::file(name, error)),
        }
    }
    let mut maps = reader.finish();
    if input.limit() == 0 {
        maps.warn(format!("only the first {} GiB were read", MOST >> 30));
    }
    if maps.is_empty() {
        let rows = "rows of /proc/PID/maps, smaps, or a text that has such rows in it";
        return Err(Trouble::new(match other_listing(&head) {
            Some(what) => format!("{name}: no row of maps: this looks like {what}; give {rows}"),
            None if head.is_empty() => format!("{name}: empty; give {rows}"),
            None => format!("{name}: no row of maps found; give {rows}"),
        }));
    }
    Ok(Target::of_rows(name, maps))
}
