//! Inputs that may hold a crash.

use super::case::Case;
use super::{dump, log};
use crate::atlas::{Atlas, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::note::Note;
use crate::source::open::{CrashText, core_in_bytes};
use crate::source::refuse::check;
use vmatlas_explain::crash::{Unread, apport_core, unread};
use vmatlas_recording::Selection;

/// An input that may hold a crash.
pub enum CrashInput {
    /// An address space: a core dump or a recording.
    Atlas(Box<Atlas>),
    /// A log, with or without mappings.
    Text(CrashText),
}

impl CrashInput {
    /// Reads a core dump, a recording, or a log of any kind.
    ///
    /// # Errors
    /// Same as [`Open::open`]; and [`ErrorKind::Usage`] for a live process, and
    /// [`ErrorKind::NoRows`] for an empty file.
    pub fn read(open: Open) -> Result<CrashInput> {
        let name = open.target().to_string();
        if let Some(process) = open.process()? {
            let why = "/proc shows no crash of a process";
            let error = Error::new(ErrorKind::Usage, format!("{name}: {why}"));
            return Err(error.with_pid(process.pid));
        }
        let text = match open.clone().open_or_text()? {
            Ok(atlas) => return Ok(CrashInput::Atlas(Box::new(atlas))),
            Err(text) if text.bytes.is_empty() => {
                let help =
                    "give a core dump, a recording, lines of the kernel's log or a crash log";
                return Err(Error::new(ErrorKind::NoRows, format!("{name}: empty; {help}")));
            }
            Err(text) => text,
        };
        // The core explains more than the apport report around it. A truncated core is read as far
        // as it goes.
        let core: Option<Vec<u8>> = apport_core(&text.bytes)
            .map(|lines| lines.map_while(std::result::Result::ok).flatten().collect())
            .filter(|core: &Vec<u8>| !core.is_empty());
        Ok(match core.map(|core| core_in_bytes(&name, &core, open.limits_of_files())) {
            Some(Ok(Some(read))) => {
                let process = Selection { path: name, pid: text.pid, moment: None };
                check(&process.path, &read.0, &process)?;
                CrashInput::Atlas(Box::new(open.with(read)))
            }
            _ => CrashInput::Text(text),
        })
    }

    /// The note that the text was cut, which may have more crashes after that.
    pub fn cut(&self) -> Option<Note> {
        match self {
            CrashInput::Text(text) => text.cut.map(|limit| Note::CutInput { limit }),
            CrashInput::Atlas(_) => None,
        }
    }

    /// A sign of a crash in a form that is not read, for an input in which none was found.
    pub fn unread(&self) -> Option<Unread> {
        match self {
            CrashInput::Text(text) => unread(&text.bytes),
            CrashInput::Atlas(_) => None,
        }
    }

    /// The processes of the crashes in a log, or the threads where it has no ids of processes; empty
    /// for other inputs.
    pub fn ids(&self) -> Vec<u32> {
        match self {
            CrashInput::Text(text) => log::ids(&text.bytes),
            CrashInput::Atlas(_) => Vec::new(),
        }
    }

    /// The selected process or thread of a log, by [`Open::pid`] or `FILE:PID`.
    pub fn pid(&self) -> Option<u32> {
        match self {
            CrashInput::Text(text) => text.pid,
            CrashInput::Atlas(_) => None,
        }
    }

    /// Every crash in the input, or only those of the [selected process](CrashInput::pid); empty if
    /// nothing crashed.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] for an address space that holds no crash.
    pub fn cases(self) -> Result<Vec<Case>> {
        let cut = self.cut();
        match self {
            CrashInput::Text(text) => {
                let mut cases = log::cases(&text.bytes, text.pid);
                cases.iter_mut().for_each(|case| case.notes.extend(cut.clone()));
                Ok(cases)
            }
            CrashInput::Atlas(atlas) => Ok(atlas.crash()?.into_iter().collect()),
        }
    }
}

impl Atlas {
    /// The crash that a core dump was written for, or that a recording ends with; `None` if the
    /// program did not crash.
    ///
    /// # Errors
    /// [`ErrorKind::Lacks`] for other sources.
    pub fn crash(self) -> Result<Option<Case>> {
        if let Some(core) = self.core() {
            return Ok(dump::case(self.maps(), core));
        }
        #[cfg(feature = "recordings")]
        if self.recorded().is_some() {
            return super::recorded::case(self);
        }
        let why = "neither a core dump, a recording nor a log of a crash; with an address it can \
                   be explained";
        Err(Error::new(ErrorKind::Lacks, format!("{}: {why}", self.name())))
    }
}
