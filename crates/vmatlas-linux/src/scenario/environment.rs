//! The machine's properties that scenarios depend on.

use super::{RowsAfter, Runner, RunnerError};
use rustix::fs::{CWD, Mode, OFlags, StatVfsMountFlags, openat, statfs, statvfs};
use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use vmatlas_maps::KernelVersion;
use vmatlas_space::scenario::{
    Advice, Fact, Map, Operation, Policy, Region, Scenario, Sharing, Span, Step, StepKind,
};
use vmatlas_space::{Prot, Vsyscall};

/// The properties and settings of the machine that affect rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Environment {
    /// The kernel's version; `None` if its release has another form.
    pub kernel: Option<KernelVersion>,
    /// The size of a page, in bytes.
    pub page_size: u64,
    /// The available features.
    pub facts: BTreeSet<Fact>,
    /// `vm.overcommit_memory`.
    pub overcommit_memory: Option<u8>,
    /// `vm.max_map_count`.
    pub max_map_count: Option<u64>,
    /// How the vsyscall page is shown.
    pub vsyscall: Vsyscall,
    /// `stack_guard_gap=` of the kernel's command line, in pages; 256 by default.
    pub stack_guard_gap: u64,
}

/// Determines the properties of the machine. The runner tries the features that scenarios can use.
pub(super) fn probe(runner: &mut Runner) -> Result<Environment, RunnerError> {
    let overcommit_memory = number("/proc/sys/vm/overcommit_memory").map(|mode| mode as u8);
    let (facts, attempts): (Vec<Fact>, Vec<Operation>) = attempts().into_iter().unzip();
    let map = map(0, Sharing::Private);
    let steps = std::iter::once(map)
        .chain(attempts)
        .map(|operation| Step { line: 1, kind: StepKind::Operation(operation, Ok(())) });
    let run = runner.run(&scenario(steps.collect()), RowsAfter::Expects)?;
    let tried = facts.into_iter().zip(&run.steps[1..]);
    let mut facts: BTreeSet<Fact> =
        tried.filter(|(_, step)| step.outcome.is_ok()).map(|(fact, _)| fact).collect();
    let mut set = |fact, holds: bool| holds.then(|| facts.insert(fact));
    set(Fact::Root, rustix::process::geteuid().is_root());
    set(Fact::Noreserve, overcommit_memory != Some(2));
    set(Fact::Hugetlb, free_huge_pages().is_some_and(|free| free > 0));
    let release = rustix::system::uname();
    let command_line = read_to_string("/proc/cmdline").unwrap_or_default();
    let mut words = command_line.split_ascii_whitespace();
    let gap = words.find_map(|word| word.strip_prefix("stack_guard_gap=")?.parse().ok());
    Ok(Environment {
        kernel: release.release().to_str().ok().and_then(|release| release.parse().ok()),
        page_size: crate::page_size() as u64,
        facts,
        overcommit_memory,
        max_map_count: number("/proc/sys/vm/max_map_count"),
        vsyscall: vsyscall(),
        stack_guard_gap: gap.unwrap_or(256),
    })
}

/// Operations whose success shows a feature; page 0 is mapped.
fn attempts() -> Vec<(Fact, Operation)> {
    let span = span(0);
    let advise = |advice| Operation::Advise(span, advice);
    let name = String::from("x");
    vec![
        (Fact::Thp, advise(Advice::Hugepage)),
        (Fact::Ksm, advise(Advice::Mergeable)),
        (Fact::Guard, advise(Advice::GuardInstall)),
        (Fact::KsmPrctl, Operation::Ksm(true)),
        (Fact::Pkeys, Operation::Pkey(name.clone())),
        (Fact::Uffd, Operation::Uffd(name.clone())),
        (Fact::AnonNames, Operation::Name { span, name: Some(b"x".to_vec()) }),
        (Fact::Numa, Operation::Policy(span, Policy::Local)),
        (Fact::Droppable, map(1, Sharing::Droppable)),
        (Fact::Secretmem, Operation::Secretmem { label: name.clone(), pages: 1 }),
        (Fact::Sysv, Operation::Shm { label: name.clone(), pages: 1, key: None }),
        (Fact::Tmpfile, Operation::Tmpfile { label: name, pages: 1 }),
        (Fact::MapVdso, Operation::Vdso { at: Span::pages(8, 1).at, pages: 2, narrow: false }),
        (Fact::Mseal, Operation::Seal(span)),
    ]
}

fn span(page: i64) -> Span {
    Span::pages(page, 1)
}

fn map(page: i64, sharing: Sharing) -> Operation {
    Operation::Map(Map { sharing, ..Map::new(span(page), Prot::READ | Prot::WRITE) })
}

/// Whether a directory is on tmpfs.
pub(super) fn on_tmpfs(path: &Path) -> bool {
    /// include/uapi/linux/magic.h.
    const TMPFS_MAGIC: u32 = 0x0102_1994;
    statfs(path).is_ok_and(|fs| fs.f_type as u32 == TMPFS_MAGIC)
}

fn scenario(steps: Vec<Step>) -> Scenario {
    let name = String::from("features-of-the-machine");
    Scenario { name, line: 1, kernel: vec![], needs: vec![], region: Region::Plain, steps }
}

fn number(path: &str) -> Option<u64> {
    read_to_string(path).ok()?.trim().parse().ok()
}

fn free_huge_pages() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    text.lines().find_map(|line| line.strip_prefix("HugePages_Free:")?.trim().parse().ok())
}

/// The vsyscall page in this process's maps.
fn vsyscall() -> Vsyscall {
    let text = std::fs::read("/proc/self/maps").unwrap_or_default();
    let page = vmatlas_maps::rows(&text).flatten().find(|row| row.name == b"[vsyscall]");
    match page {
        None => Vsyscall::None,
        Some(row) if row.perms.read() => Vsyscall::Emulate,
        Some(_) => Vsyscall::ExecuteOnly,
    }
}

/// A new directory whose files have the most abilities: unnamed, executable and in memory.
pub(super) fn directory() -> io::Result<TempDir> {
    let candidates = [PathBuf::from("/dev/shm"), PathBuf::from("/tmp"), std::env::temp_dir()];
    let best = candidates.iter().max_by_key(|path| abilities(path));
    let best = best.ok_or(io::ErrorKind::NotFound)?.canonicalize()?;
    tempfile::Builder::new().prefix(super::server::DIRECTORY).tempdir_in(best)
}

/// Whether files in a directory can be created, be unnamed, be executed, and are in memory.
fn abilities(path: &Path) -> [bool; 4] {
    let writable = tempfile::tempdir_in(path).is_ok();
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let unnamed = openat(CWD, path, flags, Mode::RUSR).is_ok();
    let executable = statvfs(path).is_ok_and(|fs| !fs.f_flag.contains(StatVfsMountFlags::NOEXEC));
    [writable, unnamed, executable, on_tmpfs(path)]
}
