//! Reads the memory of processes, and sums it up.

use super::census::{Census, Counts, PATIENCE, Refused};
use super::closing::{Closing, GroupClosing};
use super::cost;
use super::group::{GroupBy, SurveyGroup};
use super::options::{Depth, SurveyOptions};
use super::rows::RowSums;
use crate::error::{Error, ErrorKind, Result};
use crate::identity::identity_of;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use vmatlas_linux::processes::{About, Brief, MachineMemory, Reach, in_parallel};
use vmatlas_linux::{Error as LinuxError, Process, ProcessId};
use vmatlas_maps::{Identity, Sizes};

/// What was left out because of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Partial {
    /// The processes whose page tables were read: those of most resident memory.
    pub read: usize,
    /// All processes.
    pub processes: usize,
    /// The resident memory of those that were read, in bytes, by their status.
    pub read_rss: u64,
    /// That of all.
    pub rss: u64,
}

/// Sums over many processes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Survey {
    /// The key of the groups.
    pub by: GroupBy,
    /// How much of each process was read.
    pub depth: Depth,
    /// What this process may read of others.
    pub reach: Reach,
    /// The sums: the largest share of resident memory first.
    pub groups: Vec<SurveyGroup>,
    /// The sum of all processes; its key is empty.
    pub all: SurveyGroup,
    /// The processes without sums.
    pub counts: Counts,
    /// All memory of the machine, if all processes were surveyed.
    pub closing: Option<Closing>,
    /// The memory of the control group that the targets are, with its path.
    pub group_closing: Option<(String, GroupClosing)>,
    /// What was left out because of the budget.
    pub partial: Option<Partial>,
    /// The most mappings that a process may have (`vm.max_map_count`).
    pub max_map_count: Option<u64>,
}

/// The sums of a process.
pub(super) struct Measured {
    /// Its key, if processes are grouped.
    pub(super) key: Vec<u8>,
    pub(super) all: SurveyGroup,
    /// The sums of its rows by key, if rows are grouped.
    pub(super) parts: Vec<SurveyGroup>,
}

/// The key of processes that the budget excludes.
const NOT_READ: &[u8] = b"not read: over the budget";

impl Census {
    /// Reads the memory of the processes and sums it up.
    ///
    /// # Errors
    /// Fails if the memory of the machine cannot be read. What cannot be read of processes is
    /// counted.
    pub fn survey(self, options: SurveyOptions) -> Result<Survey> {
        Survey::of(self, options)
    }
}

impl Survey {
    fn of(mut census: Census, options: SurveyOptions) -> Result<Survey> {
        let depth = options.depth();
        let mut partial = None;
        let mut full = census.len();
        if let Some(budget) = options.budget {
            full = census.within(depth, budget);
            let rss = |abouts: &[About]| abouts.iter().filter_map(|about| about.rss).sum();
            if full < census.len() {
                let (read_rss, rss) = (rss(&census.processes[..full]), rss(&census.processes));
                partial = Some(Partial { read: full, processes: census.len(), read_rss, rss });
            }
        }
        let machine = match census.is_machine {
            true => Some(MachineMemory::read(&census.proc)?),
            false => None,
        };
        let (by, is_filtered) = (options.by, options.filter.is_some());
        let pids: Vec<u32> = census.processes.iter().map(|about| about.pid).collect();
        let depths = census.processes.iter().enumerate();
        let depth_of = |place| if place < full { Some(depth) } else { None };
        let work: HashMap<u32, (About, Option<Depth>)> =
            depths.map(|(place, about)| (about.pid, (about.clone(), depth_of(place)))).collect();
        let longest = census.processes.iter().map(|about| cost::of(about, depth)).max();
        let limit = PATIENCE + longest.unwrap_or_default() * 10;
        let (proc, rows) = (census.proc.clone(), RowSums::new(options.by));
        let found = in_parallel(pids, limit, move |pid| {
            let (about, depth) = work.get(&pid)?;
            Some(measure(&proc, about, *depth, &options, &rows))
        });
        let mut counts = census.counts;
        counts.silent.extend(found.silent);
        let abouts: HashMap<u32, About> =
            census.processes.into_iter().map(|about| (about.pid, about)).collect();
        let mut sums = Sums::new(by);
        for (pid, measured) in found.answers {
            match measured {
                None | Some(Ok(None)) => {}
                Some(Ok(Some(measured))) => sums.add(measured),
                Some(Err(error)) if error.kind() == ErrorKind::Denied => {
                    let about = abouts.get(&pid);
                    let comm = about.map(|about| about.comm.clone()).unwrap_or_default();
                    counts.refused.push(Refused {
                        pid,
                        comm,
                        rss: about.and_then(|about| about.rss),
                    });
                }
                Some(Err(_)) => counts.gone += 1,
            }
        }
        let (all, groups) = sums.finish();
        // Only a part of the memory is summed up otherwise.
        let is_whole = partial.is_none() && !is_filtered;
        let closing = machine.filter(|_| is_whole).and_then(|machine| Closing::of(machine, &all));
        let group_closing = census.group.filter(|_| !is_filtered).and_then(|group| {
            Some((group.path.clone(), GroupClosing::of(&group.dir, group.controller)?))
        });
        let max_map_count = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok();
        let max_map_count = max_map_count.and_then(|count| count.trim().parse().ok());
        Ok(Survey {
            by,
            depth,
            reach: census.reach,
            groups,
            all,
            counts,
            closing,
            group_closing,
            partial,
            max_map_count,
        })
    }
}

/// The sums of several processes.
pub(super) struct Sums {
    by: GroupBy,
    all: SurveyGroup,
    groups: BTreeMap<Vec<u8>, SurveyGroup>,
}

impl Sums {
    pub(super) fn new(by: GroupBy) -> Sums {
        Sums { by, all: SurveyGroup::default(), groups: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, Measured { key, all, parts }: Measured) {
        self.all.add(&all);
        let one = [SurveyGroup { key, ..all }];
        let is_of_rows = matches!(self.by, GroupBy::Rows(_));
        for part in if is_of_rows { &parts[..] } else { &one } {
            let group = self.groups.entry(part.key.clone());
            let new = |key: &Vec<u8>| SurveyGroup { key: key.clone(), ..SurveyGroup::default() };
            group.or_insert_with_key(new).add(part);
        }
    }

    /// The sum of all, and the groups, the largest first.
    pub(super) fn finish(self) -> (SurveyGroup, Vec<SurveyGroup>) {
        let mut groups: Vec<SurveyGroup> = self.groups.into_values().collect();
        groups.sort_by(|a, b| order(b).cmp(&order(a)).then_with(|| a.key.cmp(&b.key)));
        (self.all, groups)
    }
}

fn order(group: &SurveyGroup) -> (u64, u64, u64) {
    let Sizes { pss, rss, .. } = group.sizes;
    (pss.or(rss).unwrap_or(0), rss.unwrap_or(0), group.size)
}

/// Measures a process; `None` if the filter excludes it. Without a depth only its status counts.
fn measure(
    proc: &Path,
    about: &About,
    depth: Option<Depth>,
    options: &SurveyOptions,
    rows: &RowSums,
) -> Result<Option<Measured>> {
    let gone = |error: LinuxError| Error::from(error);
    let id = ProcessId { pid: about.pid, tid: None };
    let process = Process::open(proc, id).map_err(gone)?;
    let filter = options.filter.as_ref();
    let about_processes = filter.filter(|filter| filter.is_about_processes());
    let identity = identity(&process, about, options.by, filter.is_some());
    if about_processes.is_some_and(|filter| !filter.matches(&identity)) {
        return Ok(None);
    }
    let key = options.by.key(&identity);
    let mut by_status = Sizes::default();
    (by_status.rss, by_status.swap, by_status.hugetlb) = (about.rss, about.swap, about.hugetlb);
    let whole = |sizes, brief: Option<Brief>| {
        let mut all = SurveyGroup { processes: 1, sizes, ..SurveyGroup::default() };
        if let Some(brief) = brief {
            (all.rows, all.size, all.most_rows) = (Some(brief.rows), brief.size, brief.rows);
            (all.writable_code, all.deleted_code) = (brief.writable_code, brief.deleted_code);
        }
        all
    };
    let one = |all: SurveyGroup| Ok(Some(Measured { key: key.clone(), all, parts: Vec::new() }));
    match depth {
        None => {
            let all = whole(by_status, None);
            let parts = vec![SurveyGroup { key: NOT_READ.to_vec(), ..all.clone() }];
            Ok(Some(Measured { key, all, parts }))
        }
        Some(Depth::Brief) => {
            let process = process.with_memory(about.life).map_err(gone)?;
            one(whole(by_status, Some(process.brief().map_err(gone)?)))
        }
        Some(Depth::Rollup) => {
            let process = process.with_memory(about.life).map_err(gone)?;
            let sizes = process.rollup().map_err(gone)?;
            one(whole(sizes, Some(process.brief().map_err(gone)?)))
        }
        Some(Depth::Rows) => {
            let process = process.with_memory(about.life).map_err(gone)?;
            let filter = filter.filter(|_| about_processes.is_none());
            rows.measure(&process, about, identity, proc, options, filter)
                .map(|found| found.map(|(all, parts)| Measured { key, all, parts }))
        }
    }
}

/// What of a process is needed: all of it for a filter.
fn identity(process: &Process, about: &About, by: GroupBy, has_filter: bool) -> Identity {
    match by {
        _ if has_filter => identity_of(process, about.clone()),
        GroupBy::Cgroup | GroupBy::Container | GroupBy::Unit => identity_of(process, about.clone()),
        _ => Identity {
            pid: Some(about.pid),
            comm: about.comm.clone(),
            uid: about.uid,
            exe: match by {
                GroupBy::Program => process.executable().unwrap_or_default(),
                _ => Vec::new(),
            },
            ..Identity::default()
        },
    }
}
