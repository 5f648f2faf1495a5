//! Limits, errors and old rules of the model that no scenario file covers.

use vmatlas_maps::{AddressRange, Device, KernelVersion};
use vmatlas_space::Errno;
use vmatlas_space::scenario::{Model, Scenario, VersionCondition};
use vmatlas_space::{
    AddressSpace, Advice, File, FileKind, KernelProfile, Mmap, Mremap, Policy, Prot, VmaFlags,
};

const PAGE: u64 = 0x1000;
const AT: u64 = 0x10_0000;
const RW: Prot = Prot::from_bits(3);

fn profile(version: &str) -> KernelProfile {
    KernelProfile::of(version.parse().unwrap())
}

/// An address space of the newest rules, limited to `count` mappings.
fn limited(count: usize) -> AddressSpace {
    let mut profile = profile("7.3");
    profile.max_map_count = count;
    AddressSpace::new(profile)
}

fn at(page: u64) -> u64 {
    AT + page * PAGE
}

fn page(page: u64) -> AddressRange {
    AddressRange::new(at(page), at(page + 1))
}

fn map(space: &mut AddressSpace, page: u64, pages: u64, prot: Prot) -> Result<u64, Errno> {
    space.mmap(&Mmap::anonymous(pages * PAGE, prot).fixed(at(page)))
}

/// Addresses and permissions of all rows, in pages from `AT`.
fn rows(space: &AddressSpace) -> Vec<String> {
    let mut rows = Vec::new();
    space.for_each_row(|row| {
        if row.range.start < 1 << 47 {
            let pages = |address: u64| (address - AT) / PAGE;
            let (start, end) = (pages(row.range.start), pages(row.range.end));
            rows.push(format!("{start}-{end} {}", row.perms));
        }
    });
    rows
}

#[test]
fn mmap_takes_one_mapping_more_than_the_limit() {
    let mut space = limited(2);
    for page in [0, 2, 4] {
        assert_eq!(map(&mut space, page, 1, RW), Ok(at(page)), "{page}");
    }
    assert_eq!(map(&mut space, 6, 1, RW), Err(Errno::ENOMEM));
    // The kernel checks the limit before it detects that the mapping would join.
    assert_eq!(map(&mut space, 1, 1, RW), Err(Errno::ENOMEM));
    space.set_heap(AddressRange::new(at(100), at(100)));
    assert_eq!(space.brk(at(101)), Err(Errno::ENOMEM));
    assert_eq!(space.len(), 3);
}

#[test]
fn at_the_limit_nothing_is_split() {
    let mut space = limited(1);
    map(&mut space, 0, 3, RW).unwrap();
    let whole = ["0-3 rw-p"];
    assert_eq!(space.munmap(page(1)), Err(Errno::ENOMEM));
    assert_eq!(space.mprotect(page(1), Prot::READ), Err(Errno::ENOMEM));
    assert_eq!(space.mlock(page(1), false), Err(Errno::ENOMEM));
    assert_eq!(space.mseal(page(1)), Err(Errno::ENOMEM));
    assert_eq!(space.mbind(page(1), Some(Policy::Local)), Err(Errno::ENOMEM));
    let uffd = space.userfaultfd();
    assert_eq!(space.uffd_register(uffd, page(1), false), Err(Errno::ENOMEM));
    // Only madvise reports the limit as a temporary error.
    assert_eq!(space.madvise(page(1), Advice::Dontfork), Err(Errno::EAGAIN));
    assert_eq!(rows(&space), whole);
    // Neither shortening nor advice without flags needs another mapping.
    assert_eq!(space.madvise(page(1), Advice::Dontneed), Ok(()));
    assert_eq!(space.munmap(page(2)), Ok(()));
    assert_eq!(rows(&space), ["0-2 rw-p"]);
}

#[test]
fn a_first_split_stays_where_the_second_exceeds_the_limit() {
    let mut space = limited(2);
    map(&mut space, 0, 3, RW).unwrap();
    assert_eq!(space.mprotect(page(1), Prot::READ), Err(Errno::ENOMEM));
    assert_eq!(rows(&space), ["0-1 rw-p", "1-3 rw-p"]);
}

#[test]
fn mremap_keeps_some_mappings_in_reserve() {
    for (limit, moved) in [(4, Err(Errno::ENOMEM)), (20, Ok(at(8)))] {
        let mut space = limited(limit);
        map(&mut space, 0, 3, RW).unwrap();
        let request = Mremap::new(page(1), PAGE).maymove().to(at(8));
        assert_eq!(space.mremap(&request), moved, "{limit}");
    }
}

#[test]
fn offsets_and_addresses_at_their_ends() {
    let mut space = AddressSpace::new(profile("7.3"));
    let file = File::new(b"/f", Device::new(0, 1), 1);
    let last = !(PAGE - 1);
    let one = Mmap::anonymous(PAGE, Prot::READ).fixed(AT);
    let at_offset = |offset| one.clone().of_file(&file, offset);
    assert_eq!(space.mmap(&at_offset(last)), Ok(AT));
    assert_eq!(space.mmap(&at_offset(1)), Err(Errno::EINVAL));
    // With pages of one byte, the page number overflows 64 bits.
    let mut tiny = profile("7.3");
    tiny.page_shift = 0;
    let mut space = AddressSpace::new(tiny);
    let mut request = at_offset(u64::MAX);
    request.length = 2;
    assert_eq!(space.mmap(&request), Err(Errno::EOVERFLOW));
    // The privilege of root is not modelled: the lowest addresses are refused.
    let mut space = AddressSpace::new(profile("7.3"));
    let low = Mmap::anonymous(PAGE, RW).fixed(PAGE);
    assert_eq!(space.mmap(&low), Err(Errno::EPERM));
    let whole = Mmap::anonymous(space.profile().task_size, RW);
    assert_eq!(space.mmap(&whole), Err(Errno::ENOMEM));
}

#[test]
fn the_break_joins_nothing_below_where_it_began() {
    for (version, expected) in [("5.10", 1), ("6.1", 2), ("7.3", 2)] {
        let mut space = AddressSpace::new(profile(version));
        map(&mut space, 0, 1, RW).unwrap();
        space.set_heap(AddressRange::new(at(1), at(1)));
        space.brk(at(2)).unwrap();
        assert_eq!(space.len(), expected, "{version}");
    }
}

#[test]
fn what_is_called_heap() {
    // The break is at pages 2 to 4. Each rule decides which mapping is the heap.
    let heap = |version: &str, page, pages| {
        let mut space = AddressSpace::new(profile(version));
        space.set_heap(AddressRange::new(at(2), at(4)));
        map(&mut space, page, pages, RW).unwrap();
        space.maps().iter().any(|row| row.name == b"[heap]")
    };
    for (version, covers, touches, within) in [
        ("2.6.38", true, false, false),
        ("2.6.39", true, true, true),
        ("6.6", true, true, true),
        ("6.7", true, false, true),
    ] {
        assert_eq!(heap(version, 2, 2), covers, "{version}");
        assert_eq!(heap(version, 1, 1), touches, "{version}");
        assert_eq!(heap(version, 4, 1), touches, "{version}");
        assert_eq!(heap(version, 3, 1), within, "{version}");
    }
}

#[test]
fn the_guard_page_is_hidden_from_2_6_36_to_4_11() {
    for (version, hidden) in [("2.6.35", 0), ("2.6.36", 1), ("4.11", 1), ("4.12", 0)] {
        let mut space = AddressSpace::new(profile(version));
        space.map_stack(AddressRange::new(at(8), at(16))).unwrap();
        assert_eq!(rows(&space), [format!("{}-16 rw-p", 8 + hidden)], "{version}");
    }
}

#[test]
fn how_the_vsyscall_page_is_shown() {
    let last = |version| {
        let text = AddressSpace::new(profile(version)).render();
        String::from_utf8(text).unwrap()
    };
    let row = |perms| format!("ffffffffff600000-ffffffffff601000 {perms} 00000000 00:00 0");
    assert!(last("5.2").starts_with(&row("r-xp")), "{}", last("5.2"));
    assert!(last("5.3").starts_with(&row("--xp")), "{}", last("5.3"));
}

#[test]
fn guards_leave_a_flag_since_6_19() {
    for (version, sticky) in [("6.18", false), ("6.19", true)] {
        let mut space = AddressSpace::new(profile(version));
        map(&mut space, 0, 2, RW).unwrap();
        space.madvise(page(0), Advice::GuardInstall).unwrap();
        space.madvise(page(0), Advice::GuardRemove).unwrap();
        let flags = space.flags(at(1)).unwrap();
        assert_eq!(flags.contains(VmaFlags::MAYBE_GUARD), sticky, "{version}");
        // A mapping that joins it gets the flag too; the flag prevents no join.
        map(&mut space, 2, 1, RW).unwrap();
        assert_eq!(space.len(), 1, "{version}");
    }
}

#[test]
fn guards_in_files_and_the_reverse_map() {
    // Two releases of one series differ, which scenarios cannot express.
    for (version, rows_expected) in [("6.18.15", 2), ("6.18.44", 1)] {
        let mut space = AddressSpace::new(profile(version));
        let file = File::of(FileKind::Tmpfs, b"/f", Device::new(0, 1), 1);
        let nth = |n| Mmap::anonymous(PAGE, RW).of_file(&file, n * PAGE).fixed(at(n));
        space.mmap(&nth(0)).unwrap();
        space.madvise(page(0), Advice::GuardInstall).unwrap();
        space.mmap(&nth(2)).unwrap();
        space.write(page(2)).unwrap();
        space.mmap(&nth(1)).unwrap();
        assert_eq!(space.len(), rows_expected, "{version}");
    }
}

/// Versions older than all on which scenario files were run.
const OLDER: [&str; 8] = ["3.0", "3.10", "4.4", "4.11", "4.12", "4.16", "4.17", "5.4"];
/// Versions in between, to which only some scenarios apply.
const BETWEEN: [&str; 5] = ["6.10", "6.11", "6.13", "6.14", "6.15"];

#[test]
fn scenarios_of_kernels_that_were_not_run_hold_on_the_model() {
    let file = include_bytes!("../../../../testdata/scenarios/q-older.scn");
    let scenarios = Scenario::parse_file(file).unwrap();
    for scenario in &scenarios {
        let mut run = 0;
        for version in OLDER.into_iter().chain(BETWEEN) {
            let version: KernelVersion = version.parse().unwrap();
            let running = (version.major, version.minor);
            if !scenario.kernel.iter().all(|only: &VersionCondition| only.holds(running)) {
                continue;
            }
            run += 1;
            let mut model = Model::new(KernelProfile::of(version), scenario.region);
            let differs = scenario.differs_on(&mut model);
            assert_eq!(differs, None, "{} on {version}", scenario.name);
        }
        assert!(run > 0, "{}", scenario.name);
    }
}
