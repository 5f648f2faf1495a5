//! Compares a model that is not told of page faults with one that is: they differ only where the
//! former doubts.

use proptest::prelude::*;
use std::collections::BTreeSet;
use vmatlas_maps::AddressRange;
use vmatlas_maps::KernelVersion;
use vmatlas_space::scenario::{Fact, Model, Operation, Random, Region, Scenario, StepKind};
use vmatlas_space::{AddressSpace, Advice, Faults, KernelProfile, Mmap, Mremap, Prot};

const PAGE: u64 = 4096;
const BASE: u64 = 0x2000_0000;
const PAGES: u64 = 12;
/// For each kernel.
const SCENARIOS: usize = 300;

/// An operation on pages: the first, and how many.
#[derive(Clone, Copy, Debug)]
enum Op {
    Map(u64, u64, Prot),
    Unmap(u64, u64),
    Protect(u64, u64, Prot),
    /// Without huge pages.
    Advise(u64, u64),
    Move(u64, u64, u64),
    Write(u64),
    /// Goes on in a forked child.
    Fork,
}

fn op() -> impl Strategy<Value = Op> {
    let prot = prop_oneof![
        3 => Just(Prot::READ | Prot::WRITE),
        1 => Just(Prot::READ),
        1 => Just(Prot::NONE),
    ];
    let (page, pages) = (0..PAGES - 3, 1..4_u64);
    prop_oneof![
        3 => (page.clone(), pages.clone(), prot.clone()).prop_map(|(a, n, p)| Op::Map(a, n, p)),
        1 => (page.clone(), pages.clone()).prop_map(|(a, n)| Op::Unmap(a, n)),
        1 => (page.clone(), pages.clone()).prop_map(|(a, n)| Op::Advise(a, n)),
        2 => (page.clone(), pages.clone(), prot).prop_map(|(a, n, p)| Op::Protect(a, n, p)),
        2 => (page.clone(), pages, page).prop_map(|(a, n, to)| Op::Move(a, n, to)),
        3 => (0..PAGES).prop_map(Op::Write),
        1 => Just(Op::Fork),
    ]
}

/// Whether the call succeeds.
fn apply(space: &mut AddressSpace, op: Op) -> bool {
    let at = |page: u64| BASE + page * PAGE;
    let range = |page: u64, pages: u64| AddressRange::new(at(page), at(page + pages));
    match op {
        Op::Map(page, pages, prot) => {
            let map = Mmap::anonymous(pages * PAGE, prot).fixed(at(page));
            space.mmap(&map).is_ok()
        }
        Op::Unmap(page, pages) => space.munmap(range(page, pages)).is_ok(),
        Op::Protect(page, pages, prot) => space.mprotect(range(page, pages), prot).is_ok(),
        Op::Advise(page, pages) => space.madvise(range(page, pages), Advice::Nohugepage).is_ok(),
        Op::Move(page, pages, to) => {
            let mut request = Mremap::new(range(page, pages), pages * PAGE).maymove();
            request.to = Some(at(to));
            space.mremap(&request).is_ok()
        }
        Op::Write(page) => space.write(range(page, 1)).is_ok(),
        Op::Fork => {
            *space = space.fork();
            true
        }
    }
}

fn boundaries(space: &AddressSpace) -> BTreeSet<u64> {
    space.maps().iter().flat_map(|row| [row.range.start, row.range.end]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_differs_is_doubted(
        version in prop::sample::select(&["5.10", "6.1", "6.6", "6.12", "6.18", "7.3"][..]),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut profile = KernelProfile::of(version.parse().unwrap());
        profile.max_map_count = usize::MAX;
        let mut kernel = AddressSpace::new(profile.clone());
        let mut model = AddressSpace::new(profile);
        model.set_faults(Faults::Unreported);
        for op in ops {
            let before: Vec<u64> = model.doubts().collect();
            let done = apply(&mut kernel, op);
            if !matches!(op, Op::Write(_)) && apply(&mut model, op) != done {
                // Up to 6.16 a range of two mappings cannot be moved.
                let Op::Move(page, pages, _) = op else { panic!("{op:?}: {done}") };
                let moved = BASE + page * PAGE..=BASE + (page + pages) * PAGE;
                prop_assert!(
                    before.iter().any(|doubt| moved.contains(doubt)),
                    "{op:?}: {done}, {before:x?}\n{}",
                    text(&kernel)
                );
                break;
            }
            let differ = &boundaries(&kernel) ^ &boundaries(&model);
            let doubts: BTreeSet<u64> = model.doubts().collect();
            prop_assert!(
                differ.is_subset(&doubts),
                "after {op:?}: {differ:x?} differ, {doubts:x?} are doubted\nkernel\n{}\nmodel\n{}",
                text(&kernel),
                text(&model)
            );
        }
    }
}

/// The same for random scenarios of all operations, also where some faults are seen. A model that
/// sees all of them is exact.
#[test]
fn scenarios_differ_only_where_it_is_doubted() {
    for version in ["5.10", "6.1", "6.6", "6.12", "6.18", "7.3"] {
        let kernel: KernelVersion = version.parse().unwrap();
        let profile = KernelProfile::of(kernel);
        let facts = Fact::of(&profile);
        let mut random = Random::new(7);
        for number in 0..SCENARIOS {
            let scenario = random.scenario(80, &facts, kernel);
            let seen = [Seen::None, Seen::Some, Seen::All][number % 3];
            // Growing mappings grow by page faults.
            if scenario.region == Region::Stack || undoubted(&scenario, &profile, seen).is_none() {
                continue;
            }
            let least = scenario.shrink(2000, |less| undoubted(less, &profile, seen).is_some());
            panic!("{version}: {}\n{least}", undoubted(&least, &profile, seen).unwrap());
        }
    }
}

/// The writes that the model is told of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    None,
    /// Those in the lines of the scenario with even numbers.
    Some,
    All,
}

/// A difference that is not doubted, between a model that is told of all page faults and one that
/// is told of some.
fn undoubted(scenario: &Scenario, profile: &KernelProfile, seen: Seen) -> Option<String> {
    let mut kernel = Model::new(profile.clone(), scenario.region);
    let faults = if seen == Seen::None { Faults::Unreported } else { Faults::Seen };
    let mut model = kernel.clone().with_faults(faults);
    for step in &scenario.steps {
        let StepKind::Operation(operation, _) = &step.kind else { continue };
        if let Operation::Map(map) = operation
            && map.growsdown
        {
            return None;
        }
        let done = kernel.apply(operation);
        let is_told = match operation {
            Operation::Read { .. } => false,
            Operation::Write { .. } => match seen {
                Seen::None => false,
                Seen::Some => step.line % 2 == 0,
                Seen::All => true,
            },
            _ => true,
        };
        if is_told {
            let doubts = model.space().doubts().count();
            let same = model.apply(operation) == done;
            // What fails, and what was done before, may depend on what has joined.
            if doubts > 0 && seen != Seen::All && (!same || done.is_err()) {
                return None;
            }
            if !same {
                return Some(format!("{operation:?}: {done:?}"));
            }
        }
        let differ = &boundaries(kernel.space()) ^ &boundaries(model.space());
        let doubts: BTreeSet<u64> = model.space().doubts().collect();
        if !differ.is_subset(&doubts) || seen == Seen::All && !differ.is_empty() {
            return Some(format!(
                "{seen:?}: after {operation:?}: {differ:x?} differ, {doubts:x?} are doubted\nkernel\n{}\n\
                 model\n{}",
                text(kernel.space()),
                text(model.space())
            ));
        }
    }
    None
}

fn text(space: &AddressSpace) -> String {
    space.maps().iter().map(|row| format!("{} {}\n", row.range, row.perms)).collect()
}
