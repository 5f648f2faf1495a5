//! Sharing by page frames, which needs `CAP_SYS_ADMIN`.

use crate::error::{Error, ErrorKind, Result};
use crate::machine::pids;
use crate::source::several::Several;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use vmatlas_linux::frames::{
    FrameKind, FrameSet, FrameSetBuilder, Frames, PageFrames, cgroup_paths,
};
use vmatlas_linux::processes::{Life, Reach, in_parallel};
use vmatlas_linux::{Error as LinuxError, Process, ProcessId, Source, page_size};
use vmatlas_maps::{AddressRange, Kind, Mapping};

/// The time for one process: its page tables are walked.
const PATIENCE: Duration = Duration::from_secs(60);

/// A mapping of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedRow {
    /// The process ID.
    pub pid: u32,
    /// Its addresses.
    pub range: AddressRange,
    /// Its name as the kernel shows it: any bytes.
    pub name: Vec<u8>,
    /// The word of its kind.
    pub kind: &'static str,
}

/// Two mappings with the same page frames.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharingRows {
    /// The mapping of the target.
    pub target: SharedRow,
    /// That of the other process.
    pub other: SharedRow,
    /// What both map, in bytes.
    pub bytes: u64,
}

/// A process that maps page frames of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sharer {
    /// The process ID.
    pub pid: u32,
    /// The name of its command: any bytes.
    pub comm: Vec<u8>,
    /// Its control group.
    pub cgroup: String,
    /// What it shares with the target, in bytes; a frame that it maps twice counts twice.
    pub bytes: u64,
    /// By which mappings, the largest first.
    pub rows: Vec<SharingRows>,
}

/// A control group that is charged for page frames of the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PagePayer {
    /// Its path; empty for frames that no group is charged for. A group that was removed has none,
    /// and stands as `(removed)`.
    pub cgroup: String,
    /// The frames of the target that it is charged for, in bytes.
    pub bytes: u64,
    /// Those of them that processes of other groups map.
    pub used_by_others: u64,
    /// The other groups that map them.
    pub users: BTreeSet<String>,
}

/// The page frames of a target, and who else maps them. Sizes are in bytes; a frame that the target
/// maps several times counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shared {
    /// The processes of the target, with their names.
    pub targets: Vec<(u32, Vec<u8>)>,
    /// The frames that the target maps.
    pub resident: u64,
    /// Those that other processes map, too.
    pub shared: u64,
    /// The sharing processes, those of most bytes first.
    pub sharers: Vec<Sharer>,
    /// Who is charged for the frames, most first; empty if the kernel does not say.
    pub payers: Vec<PagePayer>,
    /// The zero page of untouched memory, which nobody is charged for: part of neither figure.
    pub zero: u64,
    /// The shared frames by kind, as far as that is not a page by itself.
    pub kinds: Vec<(FrameKind, u64)>,
    /// The processes that ended while they were read.
    pub gone: u64,
    /// The processes that did not answer in time.
    pub silent: Vec<u32>,
    /// The processes that may not be read.
    pub refused: Vec<u32>,
}

/// What a process maps of the frames of a set.
struct Hits {
    comm: Vec<u8>,
    cgroup: String,
    rows: Vec<(u32, SharedRow, u64)>,
    /// The payers of frames that its own group is not charged for.
    foreign: BTreeSet<u32>,
}

/// The target's frames and what is known of them, which all threads read.
struct Known {
    set: FrameSet,
    /// By place: the number of the payer.
    payers: Vec<u32>,
    /// The paths of the payers.
    paths: Vec<String>,
    /// By place: whether another process maps it; whether one of another group than its payer does.
    seen: Vec<AtomicU64>,
    seen_outside: Vec<AtomicU64>,
    /// By place: whether it is the zero page.
    zeros: Vec<bool>,
}

/// Finds out who maps the same page frames as the processes that words name.
///
/// # Errors
/// [`ErrorKind::Denied`] without `CAP_SYS_ADMIN`; [`ErrorKind::NotFound`] if a word names no
/// process; [`ErrorKind::Gone`] if none of them has memory.
pub fn shared(words: &[String], proc: &Path) -> Result<Shared> {
    let Several { pids: targets, .. } = Several::of(words, proc)?;
    if Reach::of_this_process() < Reach::Frames {
        let message = "the kernel shows page frames only to root (CAP_SYS_ADMIN)";
        return Err(Error::new(ErrorKind::Denied, message));
    }
    let mut builder = FrameSetBuilder::default();
    let mut rows: Vec<SharedRow> = Vec::new();
    let mut shared = Shared::default();
    for &pid in &targets {
        let process = opened(proc, pid).map_err(Error::from)?;
        let Some(process) = process else { continue };
        shared.targets.push((pid, process.comm().unwrap_or_default()));
        each_row(&process, |row, pages, range| {
            let number = rows.len() as u32;
            rows.push(shared_row(pid, row));
            pages.each(range, |frame, _| builder.add(frame, number))
        })
        .map_err(Error::from)?;
    }
    let set = builder.finish();
    if set.is_empty() {
        let message = "no page frame of it can be seen: it has no memory, or has ended";
        return Err(Error::new(ErrorKind::Gone, format!("{}: {message}", words.join(" "))));
    }
    let known = Arc::new(known(set, proc));
    let others: Vec<u32> = pids(proc)?.into_iter().filter(|pid| !targets.contains(pid)).collect();
    let (below, its) = (proc.to_owned(), known.clone());
    let found = in_parallel(others, PATIENCE, move |pid| hits(&below, pid, &its));
    shared.silent = found.silent;
    let page = page_size() as u64;
    let mut users: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for (pid, hits) in found.answers {
        let Hits { comm, cgroup, rows: found, foreign } = match hits {
            Ok(Some(hits)) => hits,
            Ok(None) => continue,
            Err(LinuxError::Denied { .. }) => {
                shared.refused.push(pid);
                continue;
            }
            Err(_) => {
                shared.gone += 1;
                continue;
            }
        };
        for payer in foreign {
            users.entry(payer).or_default().insert(cgroup.clone());
        }
        let mut pairs: Vec<SharingRows> = found
            .into_iter()
            .map(|(number, other, pages)| SharingRows {
                target: rows[number as usize].clone(),
                other,
                bytes: pages * page,
            })
            .collect();
        pairs.sort_by_key(|pair| (std::cmp::Reverse(pair.bytes), pair.target.range.start));
        let bytes = pairs.iter().map(|pair| pair.bytes).sum();
        if bytes > 0 {
            shared.sharers.push(Sharer { pid, comm, cgroup, bytes, rows: pairs });
        }
    }
    shared.sharers.sort_by_key(|sharer| (std::cmp::Reverse(sharer.bytes), sharer.pid));
    sum_up(&mut shared, &known, users, proc);
    Ok(shared)
}

/// Opens a process, or of one whose main thread has ended another thread; `None` without memory.
fn opened(proc: &Path, pid: u32) -> std::result::Result<Option<Process>, LinuxError> {
    let process = Process::open(proc, ProcessId { pid, tid: None })?;
    match process.about()?.life {
        Life::Zombie | Life::KernelThread => Ok(None),
        life => process.with_memory(life).map(Some),
    }
}

fn shared_row(pid: u32, row: &Mapping<'_>) -> SharedRow {
    SharedRow { pid, range: row.range, name: row.name.to_vec(), kind: row.kind().word() }
}

/// Calls `each` for every row that may have page frames of its own.
fn each_row(
    process: &Process,
    mut each: impl FnMut(
        &Mapping<'_>,
        &mut PageFrames<'_>,
        AddressRange,
    ) -> std::result::Result<(), LinuxError>,
) -> std::result::Result<(), LinuxError> {
    let mut pages = PageFrames::open(process)?;
    let maps = process.rows(Source::Maps)?.maps;
    // The kernel maps its own pages into every process.
    let is_of_kernel = |kind: Kind<'_>| matches!(kind, Kind::Vdso | Kind::Vvar | Kind::Vsyscall);
    let mut rows = maps.iter().filter(|row| !is_of_kernel(row.kind()));
    rows.try_for_each(|row| each(&row, &mut pages, row.range))
}

/// Reads what the kernel says of the frames of a set.
fn known(set: FrameSet, proc: &Path) -> Known {
    let frames = Frames::open(proc);
    let names = cgroup_paths();
    let (mut paths, mut numbers): (Vec<String>, HashMap<u64, u32>) = (Vec::new(), HashMap::new());
    let inodes = frames.cgroups(&set).unwrap_or_default();
    let mut number = |inode: &u64| {
        *numbers.entry(*inode).or_insert_with(|| {
            paths.push(match inode {
                0 => String::new(),
                inode => names.get(inode).cloned().unwrap_or_else(|| "(removed)".to_owned()),
            });
            paths.len() as u32 - 1
        })
    };
    let payers = inodes.iter().map(&mut number).collect();
    let words = || (0..set.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
    let kinds = frames.kinds(&set).unwrap_or_default();
    let zeros = kinds.iter().map(|kind| *kind == FrameKind::Zero).collect();
    let (seen, seen_outside) = (words(), words());
    Known { set, payers, paths, seen, seen_outside, zeros }
}

/// What another process maps of the frames.
fn hits(proc: &Path, pid: u32, known: &Known) -> std::result::Result<Option<Hits>, LinuxError> {
    let Some(process) = opened(proc, pid)? else { return Ok(None) };
    let cgroup = process.cgroup().map(|cgroup| cgroup.memory).unwrap_or_default();
    let own = known.paths.iter().position(|path| *path == cgroup).map(|place| place as u32);
    let (mut rows, mut foreign) = (Vec::new(), BTreeSet::new());
    let mark = |bits: &[AtomicU64], place: usize| {
        bits[place / 64].fetch_or(1 << (place % 64), Relaxed);
    };
    each_row(&process, |row, pages, range| {
        let mut counts: HashMap<u32, u64> = HashMap::new();
        // Neighbouring pages mostly belong to one mapping of the target.
        let (mut last, mut count) = (None, 0u64);
        pages.each(range, |frame, is_exclusive| {
            // The target may have given the frame back since.
            let place = if is_exclusive { None } else { known.set.place(frame) };
            let Some(place) = place else { return };
            if known.zeros.get(place) == Some(&true) {
                return;
            }
            mark(&known.seen, place);
            let payer = known.payers.get(place).copied();
            if payer.is_some() && payer != own {
                mark(&known.seen_outside, place);
                foreign.extend(payer);
            }
            let number = known.set.number(place);
            if last != Some(number) {
                last.into_iter().for_each(|last| *counts.entry(last).or_default() += count);
                (last, count) = (Some(number), 0);
            }
            count += 1;
        })?;
        last.into_iter().for_each(|last| *counts.entry(last).or_default() += count);
        rows.extend(
            counts.into_iter().map(|(number, pages)| (number, shared_row(pid, row), pages)),
        );
        Ok(())
    })?;
    Ok(Some(Hits { comm: process.comm().unwrap_or_default(), cgroup, rows, foreign }))
}

fn sum_up(shared: &mut Shared, known: &Known, users: BTreeMap<u32, BTreeSet<String>>, proc: &Path) {
    let page = page_size() as u64;
    let is_in =
        |bits: &[AtomicU64], place: usize| bits[place / 64].load(Relaxed) >> (place % 64) & 1 != 0;
    let mut payers: Vec<PagePayer> = known
        .paths
        .iter()
        .enumerate()
        .map(|(number, path)| {
            let mut users = users.get(&(number as u32)).cloned().unwrap_or_default();
            users.remove(path);
            PagePayer { cgroup: path.clone(), users, ..PagePayer::default() }
        })
        .collect();
    // Whether a frame is a part of a larger page is read after the others, whose state it is.
    let kinds = Frames::open(proc).kinds(&known.set).unwrap_or_default();
    let mut by_kind: Vec<(FrameKind, u64)> = Vec::new();
    for place in 0..known.set.len() {
        if known.zeros.get(place) == Some(&true) {
            shared.zero += page;
            continue;
        }
        shared.resident += page;
        let is_shared = is_in(&known.seen, place);
        if is_shared {
            shared.shared += page;
            let kind = kinds.get(place).copied().unwrap_or(FrameKind::Single);
            if kind != FrameKind::Single {
                match by_kind.iter_mut().find(|(known, _)| *known == kind) {
                    Some((_, bytes)) => *bytes += page,
                    None => by_kind.push((kind, page)),
                }
            }
        }
        if let Some(payer) =
            known.payers.get(place).and_then(|number| payers.get_mut(*number as usize))
        {
            payer.bytes += page;
            payer.used_by_others += if is_in(&known.seen_outside, place) { page } else { 0 };
        }
    }
    payers.retain(|payer| payer.bytes > 0);
    payers.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.cgroup.cmp(&b.cgroup)));
    by_kind.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    (shared.payers, shared.kinds) = (payers, by_kind);
}
