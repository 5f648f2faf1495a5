//! An approximate map of the pages, so that most random operations find something to work on.
//!
//! It need not be exact: the kernel and the model determine the real effect of an operation.

use super::rng::Rng;
use crate::Prot;
use std::collections::BTreeMap;

/// The attributes of a page that decide whether it continues its neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) prot: Prot,
    /// The object, 0 for private anonymous memory.
    pub(super) object: usize,
    pub(super) shared: bool,
    /// The page of the object less the page of the region; 0 for anonymous memory.
    pub(super) shift: i64,
    pub(super) growsdown: bool,
    /// A bit for each attribute that operations have set.
    pub(super) marks: u64,
}

/// A run of equal neighbouring pages: `from` is the first, `to` is after the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) page: Page,
}

/// An open file.
#[derive(Clone, Debug)]
pub(super) struct Fd {
    pub(super) name: String,
    /// The index of its object.
    pub(super) object: usize,
    /// Whether a shared mapping of it makes a new object.
    pub(super) zero: bool,
}

/// The sketch of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Process {
    pub(super) parent: Option<usize>,
    pub(super) pages: BTreeMap<i64, Page>,
    /// Its open files, by name.
    pub(super) fds: Vec<Fd>,
    /// Its userfaultfds; those inherited from the parent watch the parent.
    pub(super) uffds: Vec<String>,
    pub(super) keys: Vec<String>,
    pub(super) brk: i64,
}

/// The sketch of all processes.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub(super) processes: Vec<Process>,
    pub(super) current: usize,
    /// The child that `parent` left, if no other process came between.
    pub(super) left: Option<usize>,
    /// The pages that most operations use.
    pub(super) low: i64,
    pub(super) high: i64,
    /// No page after these is used.
    pub(super) end: i64,
}

impl Sketch {
    pub(super) fn new(low: i64, high: i64, end: i64) -> Sketch {
        Sketch { processes: vec![Process::default()], current: 0, left: None, low, high, end }
    }

    pub(super) fn process(&mut self) -> &mut Process {
        // `current` is always the index of a process.
        &mut self.processes[self.current]
    }

    pub(super) fn page(&self, page: i64) -> Option<Page> {
        self.processes[self.current].pages.get(&page).copied()
    }

    pub(super) fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (&at, &page) in &self.processes[self.current].pages {
            match runs.last_mut() {
                Some(run) if run.to == at && run.page == page => run.to += 1,
                _ => runs.push(Run { from: at, to: at + 1, page }),
            }
        }
        runs
    }

    pub(super) fn clear(&mut self, from: i64, pages: i64) {
        self.process().pages.retain(|&page, _| page < from || from + pages <= page);
    }

    pub(super) fn fill(&mut self, from: i64, pages: i64, page: Page) {
        self.process().pages.extend((from..from + pages).map(|at| (at, page)));
    }

    pub(super) fn change(&mut self, from: i64, pages: i64, change: impl Fn(&mut Page)) {
        self.process().pages.range_mut(from..from + pages).for_each(|(_, page)| change(page));
    }

    /// Moves pages, or copies them if `keep` is set, to a place of `len` pages.
    pub(super) fn relocate(&mut self, from: i64, pages: i64, to: i64, len: i64, keep: bool) {
        let found: Vec<_> =
            (0..pages.max(1).min(len)).filter_map(|i| Some((i, self.page(from + i)?))).collect();
        if !keep {
            self.clear(from, pages);
        }
        self.clear(to, len);
        let moved = |page: Page| Page {
            shift: if page.object == 0 { 0 } else { page.shift + from - to },
            ..page
        };
        for (i, page) in &found {
            self.process().pages.insert(to + i, moved(*page));
        }
        if let Some((last, page)) = found.last() {
            self.fill(to + last + 1, len - last - 1, moved(*page));
        }
    }

    /// Clamps `pages` pages at `from` to the usable range.
    pub(super) fn fit(&self, from: i64, pages: i64) -> (i64, i64) {
        let from = from.clamp(self.low, self.end - 1);
        (from, pages.clamp(1, self.end - from))
    }

    /// A range for an operation on mapped memory, often at or across boundaries.
    pub(super) fn mapped(&self, rng: &mut Rng) -> (i64, i64) {
        let runs = self.runs();
        let Some(run) = rng.pick(&runs) else { return self.anywhere(rng) };
        let (from, to) = match rng.weighted(&[30, 18, 18, 16, 24, 6, 8]) {
            0 => (run.from, run.to),
            1 => (run.from, rng.between(run.from + 1, run.to)),
            2 => (rng.between(run.from, run.to - 1), run.to),
            3 => {
                let from = rng.between(run.from, run.to - 1);
                (from, rng.between(from + 1, run.to))
            }
            // From inside this run into the next.
            4 => match runs.iter().find(|next| next.from >= run.to) {
                Some(next) => {
                    (rng.between(run.from, run.to - 1), rng.between(next.from + 1, next.to))
                }
                None => (run.from, run.to + rng.between(0, 2)),
            },
            5 => (run.from - rng.between(0, 2), runs.last().map_or(run.to, |last| last.to)),
            _ => return self.anywhere(rng),
        };
        self.fit(from, (to - from).min(24))
    }

    /// A part of one run only, if there is any.
    pub(super) fn within_run(&self, rng: &mut Rng, run: Run) -> (i64, i64) {
        let from = if rng.percent(60) { run.from } else { rng.between(run.from, run.to - 1) };
        let to = if rng.percent(60) { run.to } else { rng.between(from + 1, run.to) };
        self.fit(from, to - from)
    }

    /// A place for `pages` new pages: mostly adjacent to existing runs.
    pub(super) fn vacant(&self, rng: &mut Rng, pages: i64) -> (i64, i64) {
        let runs = self.runs();
        let Some(run) = rng.pick(&runs) else {
            return self.fit(rng.between(self.low, self.low + 8), pages);
        };
        // The first hole after this run, and the run above it.
        let place = runs.iter().position(|other| other.from == run.from).unwrap_or(0);
        let above = |run: &Run| runs.iter().find(|next| next.from >= run.to);
        let open = |run: &&Run| above(run).is_none_or(|next| next.from > run.to);
        let below = runs.iter().skip(place).find(open).copied().unwrap_or(run);
        let room = above(&below).map(|next| next.from - below.to);
        let from = match (rng.weighted(&[40, 25, 20, 12, 8]), room) {
            (0, _) => below.to,
            (1, Some(room)) => below.to + room - pages,
            (1, None) => run.from - pages,
            (2, Some(room)) => return self.fit(below.to, room.min(12)),
            (2, None) => below.to + rng.between(0, 3),
            (3, _) => run.from + rng.between(-1, 1),
            _ => return self.anywhere(rng),
        };
        self.fit(from, pages)
    }

    pub(super) fn anywhere(&self, rng: &mut Rng) -> (i64, i64) {
        let from = rng.between(self.low, self.high - 1);
        self.fit(from, rng.between(1, 6))
    }
}
