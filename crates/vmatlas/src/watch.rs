//! Repeated looks at processes: what grows.

mod look;
mod pace;
mod series;
mod trend;
mod verdict;

pub use self::look::{Look, LookTotal, RowChange};
pub use self::trend::{FEWEST, Trend, trend};
pub use self::verdict::{Finding, Measure, Verdict};

use self::look::Looks;
use self::pace::Pace;
use crate::atlas::{Atlas, Open};
use crate::error::{Error, ErrorKind, Result};
use crate::needs::Needs;
use crate::source::several::Several;
use crate::totals::By;
use std::path::PathBuf;
use std::time::Duration;
use vmatlas_linux::{Limits, ProcessId, cpu_time};

/// What a watch reads and sums up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchOptions {
    /// The key of the sums; the label by default.
    pub by: By,
    /// The directory that processes are read from; `/proc` by default.
    pub proc: PathBuf,
    /// Whether the sizes of rows are read at each look, whatever that costs. Otherwise they are read
    /// as often as it takes less than a hundredth of the time.
    pub always_sizes: bool,
    /// What reading the files of a process may cost.
    pub limits: Limits,
}

impl Default for WatchOptions {
    fn default() -> WatchOptions {
        let (proc, limits) = (PathBuf::from("/proc"), Limits::default());
        WatchOptions { by: By::Label, proc, always_sizes: false, limits }
    }
}

/// Processes whose growth is watched. Each [`look`](Watch::look) reads them once, when the caller
/// says; no clock is used.
///
/// ```
/// use std::time::Duration;
/// use vmatlas::{Watch, WatchOptions};
/// let mut watch = Watch::of_targets(&["self".to_owned()], WatchOptions::default())?;
/// let first = watch.look(Duration::ZERO)?.ok_or("it runs")?;
/// assert!(first.totals.iter().any(|total| total.rss > 0));
/// let second = watch.look(Duration::from_secs(60))?.ok_or("it runs")?;
/// assert_eq!(second.processes, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Watch {
    words: Vec<String>,
    options: WatchOptions,
    members: Vec<Member>,
    pace: Pace,
    looks: Looks,
}

/// A process that is watched.
struct Member {
    pid: u32,
    atlas: Atlas,
}

impl Watch {
    /// Starts a watch of the processes that words of a command line name: PIDs, names,
    /// `@cgroup:PATH`, `@unit:NAME`, `@container:ID`. Nothing is read of them yet but their rows.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if a word names no process, [`ErrorKind::Usage`] if it names a file;
    /// [`ErrorKind::Denied`] if none of them may be read.
    pub fn of_targets(words: &[String], options: WatchOptions) -> Result<Watch> {
        let pids = Several::of(words, &options.proc)?.pids;
        let mut watch = Watch {
            words: words.to_vec(),
            members: Vec::new(),
            pace: Pace::default(),
            looks: Looks::new(options.by),
            options,
        };
        let mut refused = None;
        for pid in pids {
            if let Err(error) = watch.join(pid) {
                refused = Some(error);
            }
        }
        match refused {
            Some(error) if watch.members.is_empty() => Err(error),
            _ => Ok(watch),
        }
    }

    /// Looks at the processes, at a time since the watch began. `None` if all have ended.
    ///
    /// # Errors
    /// As [`Open::open`], if the processes may no longer be read. A process of several that may not
    /// be read is left out.
    pub fn look(&mut self, since: Duration) -> Result<Option<Look>> {
        let sizes = self.options.always_sizes || self.pace.is_due(since);
        let before = cpu_time();
        if sizes && self.looks.len() > 0 {
            self.find_more();
        }
        let (mut ended, mut refused) = (0, None);
        let mut changes = Vec::new();
        self.members.retain_mut(|member| match member.again(sizes) {
            Ok(Some(atlas)) => {
                if self.looks.len() > 0 {
                    changes.extend(look::row_changes(member.pid, &member.atlas, &atlas));
                }
                member.atlas = atlas;
                true
            }
            Ok(None) => {
                ended += 1;
                false
            }
            Err(error) => {
                refused = Some(error);
                false
            }
        });
        if self.members.is_empty() {
            return refused.map_or(Ok(None), Err);
        }
        let atlases = self.members.iter().map(|member| &member.atlas);
        let mut look = self.looks.add(since, atlases, sizes, ended, changes);
        if sizes {
            self.pace.paid(since, cpu_time().saturating_sub(before));
        }
        look.sizes_every = self.pace.every().filter(|_| !self.options.always_sizes);
        Ok(Some(look))
    }

    /// Adds the processes that the words name by now. Numbers name no others.
    fn find_more(&mut self) {
        if self.words.iter().all(|word| word.parse::<u32>().is_ok()) {
            return;
        }
        let Ok(Several { pids, .. }) = Several::of(&self.words, &self.options.proc) else { return };
        for pid in pids {
            if !self.members.iter().any(|member| member.pid == pid) {
                // It may have ended meanwhile.
                let _ = self.join(pid);
            }
        }
    }

    fn join(&mut self, pid: u32) -> Result<()> {
        let open = Open::new(ProcessId { pid, tid: None }).proc(&self.options.proc);
        let open = open.limits(self.options.limits);
        self.pace.expect(open.clone().needs(Needs::SIZES).cost().unwrap_or_default());
        let atlas = open.open()?;
        if atlas.maps().is_empty() {
            let what = "has no memory to watch: it is a kernel thread or has ended";
            return Err(Error::new(ErrorKind::Lacks, format!("process {pid}: {what}")));
        }
        self.members.push(Member { pid, atlas });
        Ok(())
    }
}

impl Member {
    /// Reads it again; `None` if it has ended, or its number is another process's.
    fn again(&self, sizes: bool) -> Result<Option<Atlas>> {
        match self.atlas.again_with_sizes(sizes) {
            Ok(atlas) if atlas.maps().is_empty() => Ok(None),
            Ok(atlas) => {
                let started = |atlas: &Atlas| atlas.identity().started;
                Ok((started(&atlas) == started(&self.atlas)).then_some(atlas))
            }
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
