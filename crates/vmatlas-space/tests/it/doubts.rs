//! Compares a model that is not told of page faults with one that is: they differ only where the
//! former doubts.

use proptest::prelude::*;
use std::collections::BTreeSet;
use vmatlas_maps::AddressRange;
use vmatlas_space::{AddressSpace, Advice, Faults, KernelProfile, Mmap, Mremap, Prot};

const PAGE: u64 = 4096;
const BASE: u64 = 0x2000_0000;
const PAGES: u64 = 12;

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

fn text(space: &AddressSpace) -> String {
    space.maps().iter().map(|row| format!("{} {}\n", row.range, row.perms)).collect()
}
