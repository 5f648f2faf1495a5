//! Core dumps, in regular files and in streams such as pipes and decompressors.

use super::file_now::FileNow;
use crate::error::{Error, ErrorKind, Result};
use crate::note::Note;
use crate::words::values::printable;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use vmatlas_explain::coredump::CoreDump;
use vmatlas_linux::elf::ElfFile;
use vmatlas_linux::{CoreFile, SharedElf, SpoolCut, file_with_build_id, spool, within};
use vmatlas_maps::{KernelVersion, Kind, Mapping, Maps};
use vmatlas_object::{Budget, Memory as _};

/// The first bytes of an ELF file.
pub(crate) const ELF: &[u8] = b"\x7fELF";

/// A core dump as a source.
pub(crate) struct Core {
    pub(crate) dump: CoreDump<CoreFile>,
    /// The kernel that wrote it, as its vDSO reports.
    pub(crate) kernel: Option<KernelVersion>,
    /// The time of the last write to its file, in nanoseconds since 1970.
    pub(crate) written_ns: u64,
    /// Whether the warnings of the dump name a page that cannot be read.
    is_warned: bool,
    /// Today's file of each image, by the image's address.
    files_now: Mutex<HashMap<u64, std::result::Result<SharedElf, String>>>,
    /// For the tables of these files.
    pub(crate) budget: Budget,
    /// The part of each image's file in it, by the image's address.
    budgets: Mutex<HashMap<u64, Budget>>,
}

impl Core {
    /// A page that could not be read since the dump was opened.
    pub(crate) fn unread(&self) -> Option<Note> {
        let page = self.dump.page_error().filter(|_| !self.is_warned)?;
        Some(Note::UnreadPage(*page))
    }

    /// The budget for the file of the image at an address.
    pub(crate) fn budget_of(&self, image: u64) -> Budget {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        budgets.entry(image).or_insert_with(|| self.budget.of_file()).clone()
    }

    /// The first rows of the images of whose files facts are missing, because they would cost too
    /// much.
    pub(crate) fn left_out(&self) -> Vec<usize> {
        let budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let exceeded = budgets.iter().filter(|(_, budget)| budget.is_exceeded());
        let mut rows: Vec<usize> =
            exceeded.filter_map(|(image, _)| self.dump.maps().find(*image).mapping).collect();
        rows.sort_unstable();
        rows
    }

    /// Today's file of a row, only if its build ID matches. The vDSO comes from the core itself.
    pub(crate) fn file_now(&self, row: &Mapping<'_>) -> Option<FileNow> {
        let image = self.dump.image_of(row)?;
        let mut known = self.files_now.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || self.open(row, image.start, image.build_id.as_deref());
        let elf = known.entry(image.start).or_insert_with(open).clone();
        Some(FileNow { elf, bias: Some(image.facts.bias), build_id: image.build_id })
    }

    fn open(
        &self,
        row: &Mapping<'_>,
        image: u64,
        build_id: Option<&[u8]>,
    ) -> std::result::Result<SharedElf, String> {
        let name = printable(row.name);
        let elf = if row.kind() == Kind::Vdso {
            let size = row.range.size().min(ElfFile::MAX_VDSO);
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            let count = self.dump.read(row.range.start, &mut bytes);
            bytes.truncate(count);
            ElfFile::from_bytes(bytes)
                .ok()
                .flatten()
                .ok_or_else(|| "it is damaged, or not whole in the core".to_owned())
        } else if let (Some(id), Some(file)) = (build_id, row.file_name()) {
            let (path, id) = (file.path.into_owned(), id.to_vec());
            let budget = self.budget_of(image);
            let opened = within(LIMIT, move || file_with_build_id(&path, &id, &budget));
            opened.unwrap_or_else(|| Err(format!("{name} does not answer")))
        } else {
            Err(format!("{name} has no build id in the core to identify it"))
        };
        elf.map(|elf| Arc::new(Mutex::new(elf)))
    }
}

/// The longest time to open a file: a file system may not respond.
const LIMIT: Duration = Duration::from_secs(3);

/// Reads a core dump from a regular file.
pub(crate) fn read(name: &str, file: File) -> Result<(Core, Maps, Vec<Note>)> {
    let unreadable = |why: String| Error::new(ErrorKind::Unreadable, format!("{name}: {why}"));
    let file = CoreFile::new(file).map_err(|error| Error::file(name, error))?;
    let written_ns = file.modified_ns();
    let dump = CoreDump::read(file).map_err(|error| unreadable(error.to_string()))?;
    if dump.maps().is_empty() {
        let why = dump.warnings().iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(unreadable(format!("a core dump without memory: {why}")));
    }
    let kernel = dump.images().iter().find_map(|image| image.kernel);
    let maps = dump.maps().clone();
    let is_warned = dump.page_error().is_some();
    let (files_now, budget) = (Mutex::default(), Budget::default());
    let budgets = Mutex::default();
    let core = Core { dump, kernel, written_ns, is_warned, files_now, budget, budgets };
    Ok((core, maps, Vec::new()))
}

/// Reads a core dump from a stream. It is spooled to a file without a name first, because the
/// headers point all over it.
pub(crate) fn read_stream(name: &str, input: impl Read) -> Result<(Core, Maps, Vec<Note>)> {
    let (file, cut) = spooled(name, input, MAX_CORE)?;
    let (core, maps, mut notes) = read(name, file)?;
    notes.extend(cut);
    Ok((core, maps, notes))
}

/// The most bytes to take from a stream, which may be endless.
const MAX_CORE: u64 = 256 << 30;

/// Copies a stream into a file without a name; returns a note if it ended early.
pub(super) fn spooled(name: &str, input: impl Read, limit: u64) -> Result<(File, Option<Note>)> {
    let spooled = spool(input, limit)
        .map_err(|error| Error::new(ErrorKind::Io, format!("{name}: {error}")))?;
    let note = spooled.cut.map(|cut| match cut {
        SpoolCut::Damaged { bytes, error } => Note::DamagedInput { bytes, why: error.to_string() },
        SpoolCut::Limit { bytes } => Note::CutInput { limit: bytes },
        SpoolCut::FullDisk { bytes } => Note::FullDisk { bytes },
    });
    Ok((spooled.file, note))
}
