//! Compares [`Modules`] with an array that has one cell for each page.

use crate::unwind::{Backing, CodeFile, FileId, Images, Modules};
use std::sync::Arc;
use vmatlas_maps::{AddressRange, Device};

const PAGE: u64 = 4096;
const PAGES: u64 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cell {
    /// The inode and the page in the file.
    file: Option<(u64, u64)>,
    executable: bool,
}

fn range(start: u64, pages: u64) -> AddressRange {
    AddressRange::new((start + 1) * PAGE, (start + 1 + pages) * PAGE)
}

fn check(modules: &Modules, images: &Images, cells: &[Option<Cell>], what: &str) {
    for (page, cell) in (0..).zip(cells) {
        let pc = (page + 1) * PAGE + 5;
        let executable = cell.filter(|cell| cell.executable);
        assert_eq!(modules.is_executable(pc), executable.is_some(), "page {page} after {what}");
        let found =
            modules.find(pc).map(|place| (images.backing(place.file).unwrap().inode, place.offset));
        let expected = executable.and_then(|cell| cell.file);
        let expected = expected.map(|(inode, page)| (inode, page * PAGE + 5));
        assert_eq!(found, expected, "page {page} after {what}");
    }
    assert!(!modules.is_executable(0) && !modules.is_executable(u64::MAX));
}

#[test]
fn as_an_array_of_pages() {
    let backings: Vec<Arc<Backing>> = (1..=3)
        .map(|inode| {
            let name = format!("/{inode}").into_bytes().into();
            Arc::new(Backing { device: Device { major: 8, minor: 1 }, inode, name })
        })
        .collect();
    for seed in 1..200_u64 {
        let mut state = seed;
        let mut random = |end: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % end
        };
        let mut images = Images::default();
        let mut modules = Modules::default();
        let mut cells = [None; PAGES as usize];
        let mut kept: Vec<(Modules, [Option<Cell>; PAGES as usize])> = Vec::new();
        for step in 0..60 {
            let start = random(PAGES);
            let pages = random((PAGES - start).min(8)) + 1;
            let area = start as usize..(start + pages) as usize;
            let executable = random(3) > 0;
            let at = range(start, pages);
            let what = match random(12) {
                0..4 => {
                    let (file, first) = (random(3), random(4));
                    let backing = &backings[file as usize];
                    let offset = first * PAGE;
                    modules.map_file(&mut images, at, offset, backing, executable, || None);
                    for (page, cell) in (first..).zip(&mut cells[area]) {
                        *cell = Some(Cell { file: Some((file + 1, page)), executable });
                    }
                    "mapping a file"
                }
                4 => {
                    modules.map_anonymous(at, executable);
                    cells[area].fill(Some(Cell { file: None, executable }));
                    "mapping memory"
                }
                5 | 6 => {
                    modules.unmap(at);
                    cells[area].fill(None);
                    "unmapping"
                }
                7..10 => {
                    // mprotect(2) fails where nothing is mapped.
                    if cells[area.clone()].contains(&None) {
                        continue;
                    }
                    modules.protect(&mut images, at, executable, |_| None);
                    cells[area].iter_mut().flatten().for_each(|cell| cell.executable = executable);
                    "protecting"
                }
                10 => {
                    let to = random(PAGES);
                    let new_pages = random((PAGES - to).min(8)) + 1;
                    let new = range(to, new_pages);
                    // mremap(2) takes one mapping, and no new range that overlaps the old one.
                    let (a, b) = (start..start + pages, to..to + new_pages);
                    let cut = area.start..area.start + pages.min(new_pages) as usize;
                    let one = cells[area.clone()].windows(2).all(|pair| match (pair[0], pair[1]) {
                        (Some(a), Some(b)) => {
                            let next = a.file.map(|(inode, page)| (inode, page + 1));
                            a.executable == b.executable && next == b.file
                        }
                        _ => false,
                    });
                    if a.start < b.end && b.start < a.end || !one || cells[area.start].is_none() {
                        continue;
                    }
                    modules.remap(at, new, false);
                    let mut moved: Vec<Option<Cell>> = cells[cut].to_vec();
                    while moved.len() < new_pages as usize {
                        let mut last = moved.last().copied().flatten();
                        if let Some((_, page)) = last.as_mut().and_then(|cell| cell.file.as_mut()) {
                            *page += 1;
                        }
                        moved.push(last);
                    }
                    cells[area].fill(None);
                    cells[to as usize..(to + new_pages) as usize].copy_from_slice(&moved);
                    "moving"
                }
                _ => {
                    kept.push((modules.clone(), cells));
                    "forking"
                }
            };
            let what = format!("{what} {at}, step {step} of seed {seed}");
            check(&modules, &images, &cells, &what);
            for (modules, cells) in &kept {
                check(modules, &images, cells, &what);
            }
        }
    }
}

#[test]
fn files_have_one_number_each() {
    let mut images = Images::default();
    let mut modules = [Modules::default(), Modules::default()];
    let backing = |inode, name: &[u8]| {
        Arc::new(Backing { device: Device { major: 0, minor: 9 }, inode, name: name.into() })
    };
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    for (at, modules) in (0..).zip(&mut modules) {
        for (nth, file) in (0..).zip([backing(1, b"/a"), backing(1, b"/b"), backing(2, b"/a")]) {
            let range = range(at * 10 + nth * 2, 1);
            let source = Box::new(program.clone());
            let open = || Some(CodeFile { source, modified: (0, 0) });
            modules.map_file(&mut images, range, 0, &file, true, open);
            let found = modules.find(range.start).unwrap();
            assert_eq!(found.file, FileId(nth as u32));
            assert_eq!(images.backing(found.file), Some(&*file));
        }
    }
    assert_eq!(images.backing(FileId(3)), None);
}
