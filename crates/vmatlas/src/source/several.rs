//! Targets that are sets of processes.

use super::slot::Slot;
use crate::error::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use vmatlas_linux::processes::{Cgroup, Controller, cgroup_members, cgroup_of_path, in_parallel};
use vmatlas_linux::{Process, ProcessId};

/// What stands before a control group, a unit of systemd, a container.
const SETS: [(&str, Set); 3] =
    [("@cgroup:", Set::Cgroup), ("@unit:", Set::Unit), ("@container:", Set::Container)];

#[derive(Clone, Copy)]
enum Set {
    Cgroup,
    Unit,
    Container,
}

/// The processes that words name.
pub(crate) struct Several {
    /// Their process IDs, each once, in order.
    pub(crate) pids: Vec<u32>,
    /// The control group, if the only word is one.
    pub(crate) group: Option<TargetGroup>,
}

/// A control group that a target names.
#[derive(Clone, Debug)]
pub(crate) struct TargetGroup {
    /// Its path as the caller wrote it.
    pub(crate) path: String,
    pub(crate) dir: PathBuf,
    pub(crate) controller: Controller,
}

/// The words before a set of processes: `@cgroup:`, `@unit:`, `@container:`.
pub fn set_words() -> impl Iterator<Item = &'static str> {
    SETS.iter().map(|(prefix, _)| *prefix)
}

/// The sets of a kind that processes belong to, such as the units after `@unit:`, in order.
pub fn sets(word: &str, proc: &Path) -> Vec<String> {
    let Some((_, set)) = SETS.iter().find(|(prefix, _)| *prefix == word) else { return Vec::new() };
    let name = |cgroup: &Cgroup| match set {
        Set::Cgroup => Some(cgroup.memory.clone()),
        Set::Unit => cgroup.unit().map(str::to_owned),
        Set::Container => cgroup.container(),
    };
    let cgroups = cgroups(proc).unwrap_or_default();
    let names: BTreeSet<String> =
        cgroups.iter().filter_map(|(_, cgroup)| name(cgroup)).filter(|name| name != "/").collect();
    names.into_iter().collect()
}

/// Parses a set; `None` if the word is something else.
fn set(word: &str) -> Option<(Set, &str)> {
    SETS.iter().find_map(|(prefix, set)| Some((*set, word.strip_prefix(prefix)?)))
}

impl Several {
    /// The processes that words name.
    pub(crate) fn of(words: &[String], proc: &Path) -> Result<Several> {
        let mut pids = Vec::new();
        let mut group = None;
        for word in words {
            let (more, of) = one(word, proc)?;
            pids.extend(more);
            group = of;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(Several { pids, group: group.filter(|_| words.len() == 1) })
    }
}

/// Whether words name a set of processes: a set, the name of several processes, or several words.
pub fn names_several(words: &[String], proc: &Path) -> bool {
    match words {
        [word] if set(word).is_some() => true,
        [word] => Slot::of(word, proc).is_err_and(|error| error.kind() == ErrorKind::Ambiguous),
        words => words.len() > 1,
    }
}

/// The process IDs that words name, each once, in order.
///
/// # Errors
/// The same as [`Census::of_targets`](crate::Census::of_targets).
pub fn pids_named(words: &[String], proc: &Path) -> Result<Vec<u32>> {
    Several::of(words, proc).map(|several| several.pids)
}

fn one(word: &str, proc: &Path) -> Result<(Vec<u32>, Option<TargetGroup>)> {
    let Some((set, name)) = set(word) else {
        return match Slot::of(word, proc) {
            Ok(Slot::Process(ProcessId { pid, tid: None })) => Ok((vec![pid], None)),
            Ok(Slot::Process(id)) => Err(usage(format!(
                "{id}: a thread has no memory of its own; give the process {}",
                id.pid
            ))),
            Ok(Slot::File | Slot::Stdin) => {
                Err(usage(format!("{word}: is a file; only processes can be summed up together")))
            }
            // The name of several: they are meant.
            Err(error) if error.kind() == ErrorKind::Ambiguous => {
                Ok((error.candidates().iter().map(|candidate| candidate.pid).collect(), None))
            }
            Err(error) => Err(error),
        };
    };
    if name.is_empty() {
        return Err(usage(format!("{word}: give a name after the colon, as in @unit:ssh.service")));
    }
    let found = match set {
        Set::Cgroup => return cgroup(word, name),
        Set::Unit => by_cgroup(proc, |cgroup| {
            cgroup.unit().is_some_and(|unit| {
                unit == name || unit.strip_suffix(".service").is_some_and(|unit| unit == name)
            })
        })?,
        // Docker and others print the first twelve digits of an ID.
        Set::Container => by_cgroup(proc, |cgroup| {
            let container = cgroup.container();
            container.is_some_and(|id| {
                id == name || name.len() >= 4 && id.len() == 64 && id.starts_with(name)
            })
        })?,
    };
    match found {
        (pids, _) if pids.is_empty() => Err(Error::new(
            ErrorKind::NotFound,
            format!("{word}: no visible process belongs to it"),
        )),
        (pids, path) => {
            let group = path.and_then(|path| {
                let (dir, controller) = cgroup_of_path(&path)?;
                Some(TargetGroup { path, dir, controller })
            });
            Ok((pids, group))
        }
    }
}

fn cgroup(word: &str, path: &str) -> Result<(Vec<u32>, Option<TargetGroup>)> {
    let Some((dir, controller)) = cgroup_of_path(path) else {
        let help = "there is no control group of this path below /sys/fs/cgroup";
        return Err(Error::new(ErrorKind::NotFound, format!("{word}: {help}")));
    };
    let pids = cgroup_members(&dir).map_err(Error::from)?;
    if pids.is_empty() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{word}: the control group has no process"),
        ));
    }
    let path = path.to_owned();
    Ok((pids, Some(TargetGroup { path, dir, controller })))
}

/// The processes whose control group is accepted, and the path of its memory if all have the same.
fn by_cgroup(
    proc: &Path,
    is_wanted: impl Fn(&Cgroup) -> bool,
) -> Result<(Vec<u32>, Option<String>)> {
    let wanted = cgroups(proc)?.into_iter();
    let wanted: Vec<_> = wanted.filter(|(_, cgroup)| is_wanted(cgroup)).collect();
    let first = wanted.first().map(|(_, cgroup)| cgroup.memory.clone());
    let path = first.filter(|first| wanted.iter().all(|(_, cgroup)| cgroup.memory == *first));
    Ok((wanted.into_iter().map(|(pid, _)| pid).collect(), path))
}

/// The control groups of all processes that can be seen.
fn cgroups(proc: &Path) -> Result<Vec<(u32, Cgroup)>> {
    /// Reading the file of a process takes some microseconds.
    const PATIENCE: Duration = Duration::from_secs(5);
    let below = proc.to_owned();
    let found = in_parallel(crate::machine::pids(proc)?, PATIENCE, move |pid| {
        Process::open(&below, ProcessId { pid, tid: None }).ok()?.cgroup()
    });
    Ok(found.answers.into_iter().filter_map(|(pid, cgroup)| Some((pid, cgroup?))).collect())
}

fn usage(message: String) -> Error {
    Error::new(ErrorKind::Usage, message)
}
