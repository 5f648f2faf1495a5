//! What memory without a telling name is for: labels, each with its reason and a confidence.
//!
//! [`Labels::of`] goes by rows and [`Facts`]: what can be known without looking into the process's
//! memory. With a [`Memory`] it also reads the structures that allocators and runtimes keep
//! there, which makes guesses certain. Both are the same for a live process and for a core dump;
//! `vmatlas-linux` gathers the facts of a live one.
//!
//! What is not recognised has no label: it is counted as unexplained, and shown.

mod facts;

pub use facts::{Auxv, Facts, ImageFacts, ThreadFacts};

use crate::mapping::AddressRange;
use crate::maps::Maps;
use crate::memory::Memory;
use std::borrow::Cow;
use std::fmt;

/// How far a label can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// It fits, but so could other things.
    Guess,
    /// Several signs agree, and nothing else is known to look so.
    Likely,
    /// The kernel says so, or the structures in memory or in the file do.
    Certain,
}

impl Confidence {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Confidence::Guess => "guess",
            Confidence::Likely => "likely",
            Confidence::Certain => "certain",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a stretch of memory is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The sort in few words that many mappings share, by which totals are made, such as
    /// `thread stack` or `glibc arena`.
    pub group: Cow<'static, str>,
    /// All of it in a line, such as `stack of thread 1240 (worker), 132 KiB of 8 MiB used`. It
    /// may hold names that the process chose: escape it for terminals.
    pub text: String,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// The evidence, in a line.
    pub because: String,
}

/// A label and where it holds: a row or a part of one, as where the kernel joined the stacks of
/// several threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// The addresses.
    pub range: AddressRange,
    /// What they are for.
    pub label: Label,
}

/// The labels of a process, in the order of their addresses; no two of them overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    parts: Vec<Labelled>,
}

impl Labels {
    /// Labels what can be recognised. `memory` is read where it is given (`--deep`).
    pub fn of(maps: &Maps, facts: &Facts, memory: Option<&dyn Memory>) -> Labels {
        let mut labeller = Labeller { maps, facts, memory, parts: Vec::new() };
        labeller.run();
        Labels { parts: labeller.parts }
    }

    /// The labels in a range, in order: usually one for a row, several where parts differ.
    pub fn within(&self, range: AddressRange) -> &[Labelled] {
        let first = self.parts.partition_point(|part| part.range.end <= range.start);
        let count = self.parts[first..].partition_point(|part| part.range.start < range.end);
        &self.parts[first..first + count]
    }

    /// The label at an address.
    pub fn at(&self, address: u64) -> Option<&Labelled> {
        let end = address.checked_add(1)?;
        self.within(AddressRange::new(address, end)).first()
    }

    /// All of them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Labelled> {
        self.parts.iter()
    }
}

/// What labels are made from, and those made so far.
#[expect(dead_code, reason = "the recognisers to come use it")]
struct Labeller<'a> {
    maps: &'a Maps,
    facts: &'a Facts,
    memory: Option<&'a dyn Memory>,
    parts: Vec<Labelled>,
}

impl Labeller<'_> {
    /// Every recogniser in turn: what is certain first, for no later one relabels.
    fn run(&mut self) {
        // Each recogniser stands in a file of its own below label/.
    }

    /// Labels the part of a range that has no label yet.
    #[expect(dead_code, reason = "the recognisers to come use it")]
    fn label(&mut self, range: AddressRange, label: &Label) {
        let mut start = range.start;
        let mut at = self.parts.partition_point(|part| part.range.end <= start);
        while start < range.end {
            let next = self.parts.get(at).map(|part| part.range);
            let end = next.map_or(range.end, |next| next.start.min(range.end));
            if start < end {
                let range = AddressRange::new(start, end);
                self.parts.insert(at, Labelled { range, label: label.clone() });
                at += 1;
            }
            start = next.map_or(range.end, |next| next.end.max(end));
            at += 1;
        }
    }
}
