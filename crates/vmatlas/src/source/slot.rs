//! Targets that are no moment of a recording or log.

use crate::error::{Error, ErrorKind, Result};
use crate::words::shell::shell_target;
use crate::words::values::printable;
use std::io;
use std::path::Path;
use vmatlas_linux::{Process, ProcessId};

/// A resolved target that is no moment of a recording or log.
pub enum Slot {
    /// A process or a thread.
    Process(ProcessId),
    /// A file.
    File,
    /// Standard input.
    Stdin,
}

impl Slot {
    /// What stands before the name of a process to pick one of several: `@newest:`, `@oldest:`.
    pub fn picks() -> impl Iterator<Item = &'static str> {
        PICKS.iter().map(|(prefix, _)| *prefix)
    }

    /// Resolves a PID, PID/TID, `self`, the name of a command, an executable or a script, also as
    /// `@newest:NAME` or `@oldest:NAME`, a file, or `-`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or [`ErrorKind::Ambiguous`] if several processes have the name.
    pub fn of(name: &str, proc: &Path) -> Result<Slot> {
        if name == "-" {
            return Ok(Slot::Stdin);
        }
        if name.is_empty() {
            let help = "the target is empty; give a PID, the name of a process, a file, or -";
            return Err(Error::new(ErrorKind::Usage, help));
        }
        let (pid, tid) = name.split_once('/').map_or((name, None), |(pid, tid)| (pid, Some(tid)));
        let number = |text: &str| text.parse().ok().filter(|_| !text.starts_with('+'));
        let pid = if pid == "self" { Some(own_pid(proc)?) } else { number(pid) };
        if let (Some(pid), true) = (pid, tid.is_none_or(|tid| number(tid).is_some())) {
            return Ok(Slot::Process(ProcessId { pid, tid: tid.and_then(number) }));
        }
        if let Some((pick, name)) = pick(name) {
            let pids = Process::by_name(proc, name)?;
            let none = || missing(format!("{name}: there is no process of that name"));
            let pid = match pick {
                Pick::Newest => pids.last(),
                Pick::Oldest => pids.first(),
            };
            return Ok(Slot::Process(ProcessId { pid: *pid.ok_or_else(none)?, tid: None }));
        }
        let is_directory = match std::fs::metadata(name) {
            Ok(found) if !found.is_dir() => return Ok(Slot::File),
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Error::file(name, error)),
        };
        let pids = Process::by_name(proc, name)?;
        match pids[..] {
            [pid] => Ok(Slot::Process(ProcessId { pid, tid: None })),
            [] if is_directory => Err(missing(format!("{name}: is a directory"))),
            [] if name.contains('/') => Err(missing(format!("{name}: there is no such file"))),
            [] => {
                Err(missing(format!("{name}: there is no such file, and no process of that name")))
            }
            _ => Err(ambiguous(proc, name, &pids)),
        }
    }
}

fn missing(message: String) -> Error {
    Error::new(ErrorKind::NotFound, message)
}

/// Which of several processes of one name is meant.
#[derive(Clone, Copy)]
enum Pick {
    Newest,
    Oldest,
}

/// The words for that.
const PICKS: [(&str, Pick); 2] = [("@newest:", Pick::Newest), ("@oldest:", Pick::Oldest)];

/// Parses `@newest:NAME` and `@oldest:NAME`.
fn pick(word: &str) -> Option<(Pick, &str)> {
    PICKS.iter().find_map(|(prefix, pick)| Some((*pick, word.strip_prefix(prefix)?)))
}

fn ambiguous(proc: &Path, name: &str, pids: &[u32]) -> Error {
    let process = |&pid: &u32| Process::open(proc, ProcessId { pid, tid: None }).ok();
    let candidates = pids.iter().filter_map(process).map(|process| process.candidate()).collect();
    let message = format!(
        "{} processes are called {}; give the PID of one, {} or {}",
        pids.len(),
        printable(name.as_bytes()),
        shell_target(&format!("@newest:{name}")),
        shell_target(&format!("@oldest:{name}"))
    );
    Error::new(ErrorKind::Ambiguous, message).with_candidates(candidates)
}

fn own_pid(proc: &Path) -> Result<u32> {
    Process::own_pid(proc).ok_or_else(|| {
        Error::new(ErrorKind::Gone, format!("{} does not show vmatlas itself", proc.display()))
    })
}
