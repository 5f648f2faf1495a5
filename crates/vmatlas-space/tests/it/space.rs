//! Compares the model of an address space with simpler models.

use proptest::prelude::*;
use vmatlas_maps::{AddressRange, Device, Mapping, Maps, Perms};
use vmatlas_space::Errno;
use vmatlas_space::{
    AddressSpace, Advice, CallRange, Faults, File, KernelProfile, Mmap, Mremap, Prot,
};

const PAGE: u64 = 4096;
const BASE: u64 = 0x10_0000_0000;
const PROTS: [Prot; 3] = [Prot::NONE, Prot::READ, Prot::EXEC];

fn space() -> AddressSpace {
    let mut profile = KernelProfile::of("6.18".parse().unwrap());
    profile.max_map_count = usize::MAX;
    AddressSpace::new(profile)
}

/// The runs of equal pages of an array, which equal the rows of untouched memory.
fn runs(pages: &[Option<usize>]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64, usize)> = Vec::new();
    for (page, prot) in pages.iter().enumerate() {
        let (start, Some(prot)) = (page as u64, *prot) else { continue };
        match runs.last_mut() {
            Some((_, end, last)) if *end == start && *last == prot => *end += 1,
            _ => runs.push((start, start + 1, prot)),
        }
    }
    runs.into_iter().map(|(start, end, _)| (start, end)).collect()
}

fn shown(space: &AddressSpace) -> Vec<(u64, u64)> {
    let page = |address: u64| (address - BASE) / PAGE;
    let maps = space.maps();
    let rows = maps.iter().filter(|row| row.name != b"[vsyscall]");
    rows.map(|row| (page(row.range.start), page(row.range.end))).collect()
}

/// Thousands of mappings, so that leaves and branches of the container split and vanish.
#[test]
fn untouched_memory_is_an_array_of_pages() {
    const PAGES: usize = 30_000;
    let mut state: u64 = 7;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    let mut space = space();
    let mut pages = vec![None; PAGES];
    for round in 0..60_000 {
        let (from, prot) = (random(PAGES - 12), random(PROTS.len()));
        let to = from + 1 + random(if round % 100 == 0 { PAGES - from } else { 3 });
        let range = AddressRange::new(BASE + from as u64 * PAGE, BASE + to as u64 * PAGE);
        match random(if round < 30_000 { 4 } else { 8 }) {
            0 | 1 => {
                space.mmap(&Mmap::anonymous(range.size(), PROTS[prot]).fixed(range.start)).unwrap();
                pages[from..to].fill(Some(prot));
            }
            2 => {
                let mapped = pages[from..to].iter().position(Option::is_none).unwrap_or(to - from);
                let expected = if mapped == to - from { Ok(()) } else { Err(Errno::ENOMEM) };
                assert_eq!(space.mprotect(range, PROTS[prot]), expected);
                pages[from..from + mapped].fill(Some(prot));
            }
            _ => {
                space.munmap(range).unwrap();
                pages[from..to].fill(None);
            }
        }
        if round % 500 == 0 {
            space.check(true).unwrap();
            assert_eq!(shown(&space), runs(&pages), "round {round}");
            let page = random(PAGES);
            let run = runs(&pages).into_iter().find(|run| (run.0..run.1).contains(&(page as u64)));
            let found = space.find(BASE + page as u64 * PAGE);
            let range =
                run.map(|(start, end)| AddressRange::new(BASE + start * PAGE, BASE + end * PAGE));
            assert_eq!(found, range);
        }
    }
    space.munmap(AddressRange::new(BASE, BASE + PAGES as u64 * PAGE)).unwrap();
    assert!(space.is_empty());
}

/// Unknown boundaries are reported as doubts, and rows of a kernel resolve them.
#[test]
fn doubts_are_settled_by_rows() {
    let mut space = space();
    space.set_faults(Faults::Unreported);
    let writable = Prot::READ | Prot::WRITE;
    for page in [0, 2] {
        space.mmap(&Mmap::anonymous(PAGE, writable).fixed(BASE + page * PAGE)).unwrap();
    }
    // Whether the three join depends on whether both sides were written.
    space.mmap(&Mmap::anonymous(PAGE, writable).fixed(BASE + PAGE)).unwrap();
    assert_eq!(space.doubts().collect::<Vec<_>>(), [BASE + 2 * PAGE]);
    let all = AddressRange::new(BASE, BASE + 3 * PAGE);
    assert_eq!(shown(&space), [(0, 3)], "what was just made is most likely untouched");
    let two = Maps::parse(
        b"1000000000-1000002000 rw-p 00000000 00:00 0 \n\
          1000002000-1000003000 rw-p 00000000 00:00 0 \n",
    )
    .unwrap();
    let learned = space.observe(all, two.iter());
    assert_eq!((learned.settled, learned.corrected), (1, 0));
    assert_eq!(shown(&space), [(0, 2), (2, 3)]);
    assert_eq!(space.doubts().count(), 0);
    // A row that no doubt explains is a correction.
    let other = Maps::parse(b"1000000000-1000002000 r--p 00000000 00:00 0 \n").unwrap();
    let learned = space.observe(all, other.iter());
    assert!(learned.corrected > 0);
    assert_eq!(shown(&space), [(0, 2)]);
    let same = space.maps();
    let again = space.observe(all, same.iter());
    assert_eq!((again.settled, again.corrected), (0, 0));
}

#[test]
fn pieces_of_one_mapping_are_taken_to_join_again() {
    let mut space = space();
    space.set_faults(Faults::Unreported);
    let writable = Prot::READ | Prot::WRITE;
    space.mmap(&Mmap::anonymous(3 * PAGE, writable).fixed(BASE)).unwrap();
    // JIT compilers change their pages this way.
    let second = AddressRange::new(BASE + PAGE, BASE + 2 * PAGE);
    space.mprotect(second, Prot::READ | Prot::EXEC).unwrap();
    assert_eq!(space.len(), 3);
    space.mprotect(second, writable).unwrap();
    assert_eq!(shown(&space), [(0, 3)]);
}

proptest! {
    /// The model takes over any rows that it can, and keeps its invariants.
    #[test]
    fn any_rows_are_observed(
        rows in prop::collection::vec((0..40u64, 0..40u64, 0..3usize, 0..3u64), 0..12),
        odd in any::<u64>(),
    ) {
        let mut space = space();
        space.mmap(&Mmap::anonymous(20 * PAGE, PROTS[1]).fixed(BASE)).unwrap();
        let perms = [*b"rw-p", *b"r--p", *b"r-xs"];
        let rows: Vec<Mapping<'_>> = rows
            .iter()
            .map(|(start, end, kind, inode)| Mapping {
                range: AddressRange::new(BASE + start * PAGE, (BASE + end * PAGE) ^ (odd & odd >> 9 & 1)),
                perms: Perms(perms[*kind]),
                offset: inode * PAGE,
                device: Device::new(0, *inode as u32),
                inode: *inode,
                name: if *inode == 0 { b"" } else { b"/x" },
            })
            .collect();
        let range = AddressRange::new(BASE, BASE + 30 * PAGE);
        space.observe(range, rows.iter().copied());
        prop_assert_eq!(space.check(false), Ok(()));
        let mut profile = KernelProfile::of("5.10".parse().unwrap());
        profile.max_map_count = 10;
        prop_assert_eq!(AddressSpace::from_rows(profile, rows).check(false), Ok(()));
    }
}

#[test]
fn rows_make_an_address_space_that_shows_them() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/captures");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.contains("x86_64") || path.extension().is_none_or(|e| e != "maps") {
            continue;
        }
        let text = std::fs::read(&path).unwrap();
        let maps = Maps::parse(&text).unwrap();
        let mut profile = KernelProfile::of("6.18".parse().unwrap());
        profile.vsyscall = vmatlas_space::Vsyscall::None;
        let space = AddressSpace::from_rows(profile, maps.iter());
        let rows: Vec<_> = maps.iter().filter(|row| row.name != b"[vsyscall]").collect();
        let model = space.maps();
        for (row, modelled) in rows.iter().zip(model.iter()) {
            assert_eq!(*row, modelled, "{name}");
        }
        assert_eq!(rows.len(), model.len(), "{name}");
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn names_follow_renamed_and_removed_files() {
    let mut space = space();
    let file = File::new(b"/tmp/a", Device::new(0xfe, 0), 7);
    space.mmap(&Mmap::anonymous(PAGE, Prot::READ).of_file(&file, 0).fixed(BASE)).unwrap();
    file.rename(b"/tmp/b\nc");
    assert!(space.render().windows(9).any(|bytes| bytes == br"/tmp/b\01"));
    file.unlink();
    let row = space.query(BASE, false).unwrap();
    assert_eq!(row.name, b"/tmp/b\nc (deleted)", "the query does not escape");
    assert_eq!((row.device, row.inode), (Device::new(0xfe, 0), 7));
    assert_eq!(space.query(0, true).unwrap(), row);
    assert_eq!(space.query(0, false), None);
}

proptest! {
    /// No request makes the model panic or violates its invariants.
    #[test]
    fn any_request_is_answered(
        requests in prop::collection::vec((0..9u8, any::<u64>(), any::<u64>(), any::<u64>(), any::<u8>()), 1..40)
    ) {
        let mut space = space();
        for (what, a, b, c, flags) in requests {
            // Half of them near each other, half anywhere.
            let near = flags & 1 == 0;
            let address = if near { BASE + a % 64 * PAGE } else { a };
            let length = if near { b % 16 * PAGE } else { b };
            let range = CallRange { address, length };
            let prot = Prot::from_bits(u64::from(flags >> 1));
            let _ = match what {
                0 | 1 => {
                    let mut request = Mmap::anonymous(length, prot).fixed(address);
                    request.growsdown = flags & 16 != 0;
                    request.locked = flags & 32 != 0;
                    request.noreplace = flags & 64 != 0;
                    space.mmap(&request).map(|_| ())
                }
                2 => space.munmap(range),
                3 => space.mprotect(range, prot),
                4 => {
                    let new_length = if near { c % 16 * PAGE } else { c };
                    let mut request = Mremap::new(range, new_length);
                    request.maymove = flags & 16 != 0;
                    let to = if near { BASE + c % 64 * PAGE } else { c };
                    request.to = (flags & 32 != 0).then_some(to);
                    request.dontunmap = flags & 64 != 0;
                    space.mremap(&request).map(|_| ())
                }
                5 => space.madvise(range, Advice::ALL[c as usize % Advice::ALL.len()].0),
                6 => space.mlock(range, flags & 1 != 0),
                7 => space.write(CallRange { address, length: c % 8 * PAGE }).map_err(|_| Errno::EFAULT),
                _ => space.brk(address),
            };
            prop_assert_eq!(space.check(false), Ok(()));
        }
    }
}
