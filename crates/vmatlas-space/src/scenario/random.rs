//! Random scenarios: a seed always yields the same ones.

mod files;
mod memory;
mod rng;
mod sketch;

use super::waits::Waits;
use super::{
    Advice, Comparison, Fact, Length, Operation, PageAddress, Region, Scenario, Span, Step,
    StepKind, VersionCondition,
};
use crate::Prot;
use rng::Rng;
use sketch::{Page, Sketch};
use std::collections::BTreeSet;
use vmatlas_maps::KernelVersion;

/// Generates random scenarios.
///
/// Each has a theme: some families of operations, some permissions and few pages, so that
/// operations often meet at the boundaries of mappings. Most operations find what they need;
/// some fail. No access can block on a userfaultfd.
///
/// ```
/// use std::collections::BTreeSet;
/// use vmatlas_maps::KernelVersion;
/// use vmatlas_space::scenario::Random;
/// let kernel = KernelVersion::new(6, 18, 0);
/// let make = || Random::new(7).scenario(20, &BTreeSet::new(), kernel);
/// assert_eq!(make(), make());
/// assert_eq!(make().steps.len(), 20);
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    rng: Rng,
    seed: u64,
    made: u64,
}

impl Random {
    /// Starts the sequence of scenarios of a seed.
    pub fn new(seed: u64) -> Random {
        Random { rng: Rng(seed), seed, made: 0 }
    }

    /// Generates the next scenario of `steps` operations, for a machine with these facts and this
    /// kernel, which becomes its condition. Its needs are those of its operations.
    ///
    /// The outcomes are not known here: each operation is expected to succeed, and no rows are
    /// expected.
    pub fn scenario(
        &mut self,
        steps: usize,
        facts: &BTreeSet<Fact>,
        kernel: KernelVersion,
    ) -> Scenario {
        self.made += 1;
        let name = format!("random-{}-{}", self.seed, self.made);
        // The length of one scenario must not affect the next.
        let mut rng = Rng(self.rng.number());
        let region = [Region::Plain, Region::Heap, Region::Stack][rng.weighted(&[76, 16, 8])];
        let mut maker = Maker::new(&mut rng, facts, region, steps);
        maker.run();
        let steps: Vec<Step> = maker
            .operations
            .into_iter()
            .zip(1..)
            .map(|(operation, line)| Step { line, kind: StepKind::Operation(operation, Ok(())) })
            .collect();
        let needs: BTreeSet<Fact> = steps.iter().flat_map(Step::needs).collect();
        Scenario {
            name,
            line: 1,
            kernel: vec![VersionCondition {
                comparison: Comparison::Equal,
                version: (kernel.major, kernel.minor),
            }],
            needs: needs.into_iter().collect(),
            region,
            steps,
        }
    }
}

type Family = fn(&mut Maker<'_>);

/// The families of operations, each with its probability in a theme, in percent, and its maximum
/// weight.
const FAMILIES: [(Family, u64, u64); 20] = [
    (|maker| maker.map(), 100, 12),
    (|maker| maker.touch(), 96, 16),
    (|maker| maker.unmap(), 85, 10),
    (|maker| maker.protect(), 75, 14),
    (|maker| maker.remap(), 45, 16),
    (|maker| maker.advise(), 35, 12),
    (|maker| maker.open(), 35, 3),
    (|maker| maker.lock(), 20, 10),
    (|maker| maker.switch_process(), 22, 6),
    (|maker| maker.close_or_truncate(), 12, 3),
    (|maker| maker.path(), 12, 8),
    (|maker| maker.segment(), 12, 10),
    (|maker| maker.userfaultfd(), 14, 10),
    (|maker| maker.name(), 15, 12),
    (|maker| maker.policy(), 12, 12),
    (|maker| maker.allocate_key(), 8, 1),
    (|maker| maker.seal(), 12, 3),
    (|maker| maker.refile(), 8, 8),
    (|maker| maker.lock_all(), 9, 3),
    (|maker| maker.ksm(), 6, 3),
];
/// The families for themes with files, shared memory and keys.
const OPEN: [usize; 3] = [6, 9, 10];
const REFILE: usize = 17;
const KEY: usize = 15;
/// The minimum weights of `map` and `touch`, which every scenario needs.
const ALWAYS: [u64; 2] = [5, 7];

/// Mappings from this page on can grow down: 256 pages below them must stay free.
const FAR: i64 = 320;

/// The focus of a scenario.
#[derive(Clone, Debug)]
struct Theme {
    weights: [u64; FAMILIES.len()],
    brk: u64,
    prot: (Prot, Prot),
    advice: Vec<Advice>,
    /// The percentage of mappings that map files, are shared, or have other flags.
    files: u64,
    shared: u64,
    flags: u64,
    /// The percentage of protections with a key.
    keys: u64,
}

impl Theme {
    fn new(rng: &mut Rng, region: Region) -> Theme {
        let mut weights = [0; FAMILIES.len()];
        for (weight, (_, chance, most)) in weights.iter_mut().zip(FAMILIES) {
            if rng.percent(chance) {
                *weight = 1 + rng.below(most);
            }
        }
        for (weight, least) in weights.iter_mut().zip(ALWAYS) {
            *weight += least;
        }
        let prots = [3, 3, 3, 3, 3, 3, 3, 1, 1, 7, 0, 5].map(Prot::from_bits);
        let first = rng.pick(&prots).unwrap_or_default();
        let others: Vec<Prot> =
            [3, 1, 1, 0, 7, 5].map(Prot::from_bits).into_iter().filter(|p| *p != first).collect();
        let second = rng.pick(&others).unwrap_or_default();
        let advice = Advice::ALL.map(|(advice, _, _)| advice);
        let files = OPEN.iter().any(|family| weights[*family] > 0);
        let shared = weights[REFILE] > 0;
        Theme {
            brk: if region == Region::Heap { 4 + rng.below(16) } else { 0 },
            prot: (first, second),
            advice: (0..3).filter_map(|_| rng.pick(&advice)).collect(),
            files: if files { [30, 70, 95][rng.weighted(&[1, 1, 1])] } else { 0 },
            shared: [0, 5, 30, 80]
                [rng.weighted(if shared { &[0, 0, 1, 1] } else { &[4, 3, 2, 1] })],
            flags: [0, 8, 40][rng.weighted(&[2, 3, 1])],
            keys: if weights[KEY] > 0 { 10 + rng.below(60) } else { 0 },
            weights,
        }
    }
}

/// A scenario under construction.
struct Maker<'a> {
    rng: &'a mut Rng,
    facts: &'a BTreeSet<Fact>,
    theme: Theme,
    sketch: Sketch,
    waits: Waits,
    region: Region,
    limit: usize,
    operations: Vec<Operation>,
    /// The objects of labels; the first is private anonymous memory.
    objects: Vec<files::Object>,
    dirs: Vec<Vec<u8>>,
    labels: u32,
    keys: u32,
    future_marks: u64,
    /// Whether the last span was aligned and had the requested length.
    plain: bool,
}

impl<'a> Maker<'a> {
    fn new(rng: &'a mut Rng, facts: &'a BTreeSet<Fact>, region: Region, limit: usize) -> Self {
        let size = rng.between(12, 40);
        let (low, high) = match region {
            Region::Plain | Region::Heap => (0, size),
            // The upper half of the stack is left to the running program.
            Region::Stack => (1032 - size, 1032),
        };
        let end = if region == Region::Stack { high } else { FAR + 40 };
        let mut sketch = Sketch::new(low, high, end);
        if region == Region::Stack {
            let prot = Prot::READ | Prot::WRITE;
            let (object, shared, shift, growsdown, marks) = (0, false, 0, true, 0);
            sketch.fill(1024, 8, Page { prot, object, shared, shift, growsdown, marks });
        }
        Maker {
            theme: Theme::new(rng, region),
            rng,
            facts,
            sketch,
            waits: Waits::new(region),
            region,
            limit,
            operations: Vec::new(),
            objects: vec![files::Object::default()],
            dirs: Vec::new(),
            labels: 0,
            keys: 0,
            future_marks: 0,
            plain: true,
        }
    }

    fn run(&mut self) {
        let personality = self.rng.percent(3).then(|| self.rng.below(self.limit as u64) as usize);
        let weights: Vec<u64> = self.theme.weights.into_iter().chain([self.theme.brk]).collect();
        if self.theme.files > 0 {
            self.open();
        }
        for _ in 0..self.rng.between(1, 4) {
            if self.region == Region::Heap { self.brk() } else { self.map() }
        }
        // Some choices yield no operation, but `map` always does.
        let mut turns = self.limit.saturating_mul(8);
        while self.operations.len() < self.limit {
            turns = turns.saturating_sub(1);
            let empty = self.sketch.process().pages.is_empty() && self.rng.percent(90);
            match FAMILIES.get(self.rng.weighted(&weights)) {
                _ if turns == 0 || empty => self.map(),
                _ if personality == Some(self.operations.len()) => {
                    self.push(Operation::ReadImpliesExec);
                }
                Some((family, ..)) => family(self),
                None => self.brk(),
            }
        }
        self.operations.truncate(self.limit);
    }

    /// Adds the next operation, unless it could block forever.
    fn push(&mut self, operation: Operation) {
        if !self.waits.step(&operation, true) {
            self.operations.push(operation);
        }
    }

    fn has(&self, fact: Fact) -> bool {
        self.facts.contains(&fact)
    }

    /// An unused name.
    fn label(&mut self, letter: &str) -> String {
        self.labels += 1;
        format!("{letter}{}", self.labels)
    }

    /// A span of these pages, sometimes slightly off.
    fn span(&mut self, from: i64, pages: i64) -> Span {
        let mut span = Span::pages(from, pages.unsigned_abs());
        self.plain = !self.rng.percent(3);
        if !self.plain {
            let bytes = 4096 * pages.unsigned_abs();
            match self.rng.below(5) {
                0 | 1 => span.at = PageAddress { page: from, bytes: 1 },
                2 => span.length = Length::Pages(0),
                3 => span.length = Length::Bytes(bytes.saturating_sub(1)),
                _ => span.length = Length::Bytes(bytes + 1),
            }
        }
        span
    }

    fn ksm(&mut self) {
        if self.has(Fact::KsmPrctl) {
            let on = self.rng.percent(60);
            self.push(Operation::Ksm(on));
        }
    }
}
