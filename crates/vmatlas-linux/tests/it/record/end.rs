//! The address space of a process at its end, and the part that follows from the events alone.

use std::collections::{BTreeSet, HashSet};
use vmatlas_maps::{AddressRange, Kind, Mapping, Maps};
use vmatlas_recording::{Maker, Origin, Process, RecordedSpace};
use vmatlas_space::VmaFlags;

/// A process of a recording just before its last thread ended.
pub(crate) struct End {
    pub(crate) process: Process,
    pub(crate) space: RecordedSpace,
    /// The address space from the events alone, without the kernel's corrections.
    pub(crate) uncorrected: RecordedSpace,
}

/// The number of rows, and of those that another list has too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share {
    pub(crate) rows: usize,
    pub(crate) same: usize,
}

impl Share {
    pub(crate) fn of(rows: &Maps, others: &Maps) -> Share {
        let same = rows.iter().filter(|row| has(others, *row)).count();
        Share { rows: rows.len(), same }
    }

    pub(crate) fn add(&mut self, other: Share) {
        self.rows += other.rows;
        self.same += other.same;
    }

    pub(crate) fn percent(self) -> f64 {
        self.same as f64 * 100.0 / self.rows.max(1) as f64
    }
}

/// The parts of rows inside a range.
pub(super) fn cut(rows: &Maps, range: AddressRange) -> Vec<String> {
    let rows = rows.iter().filter(|row| row.range.overlaps(&range)).map(|row| {
        let (start, end) = (row.range.start, row.range.end);
        let cut = AddressRange::new(start.max(range.start), end.min(range.end));
        let offset = if row.inode == 0 { 0 } else { row.offset + cut.start - start };
        shown(Mapping { range: cut, offset, ..row })
    });
    rows.collect()
}

fn shown(row: Mapping<'_>) -> String {
    let name = String::from_utf8_lossy(row.name);
    format!("{} {} {:08x} {} {} {name}", row.range, row.perms, row.offset, row.device, row.inode)
}

fn has(rows: &Maps, row: Mapping<'_>) -> bool {
    let found = rows.find(row.range.start).mapping.and_then(|at| rows.get(at));
    found == Some(row)
}

impl End {
    pub(crate) fn rows(&self) -> Maps {
        self.space.memory.maps()
    }

    /// The number of rows that follow from the events alone.
    pub(crate) fn share(&self) -> Share {
        Share::of(&self.rows(), &self.uncorrected.memory.maps())
    }

    /// The rows from the events alone that differ (+), and the kernel's instead (-).
    pub(crate) fn differences(&self) -> String {
        let (corrected, uncorrected) = (self.rows(), self.uncorrected.memory.maps());
        let mut text = String::new();
        for (sign, rows, others) in
            [('+', &corrected, &uncorrected), ('-', &uncorrected, &corrected)]
        {
            for row in rows.iter().filter(|row| !has(others, *row)) {
                text.push_str(&format!("{sign} {}\n", shown(row)));
            }
        }
        text
    }

    /// The differences of the rows from the events alone, except those that system calls cannot
    /// determine: whether two possibly untouched mappings merged, and how far a stack grew.
    pub(crate) fn unexplained(&self) -> Vec<String> {
        let (corrected, uncorrected) = (self.rows(), self.uncorrected.memory.maps());
        let doubts: HashSet<u64> = self.uncorrected.memory.doubts().collect();
        let ends = |rows: &Maps| -> BTreeSet<u64> {
            let grew = |at: u64| {
                let flags = self.space.memory.flags(at);
                flags.is_some_and(|flags| flags.contains(VmaFlags::GROWSDOWN))
            };
            let rows = rows.iter().filter(|row| !grew(row.range.end - 1));
            rows.flat_map(|row| [row.range.start, row.range.end]).collect()
        };
        let (corrected_ends, uncorrected_ends) = (ends(&corrected), ends(&uncorrected));
        let mut unexplained: Vec<String> = corrected_ends
            .symmetric_difference(&uncorrected_ends)
            .filter(|end| !doubts.contains(*end))
            .map(|end| format!("a row ends or begins at {end:x} in one of them"))
            .collect();
        for at in corrected_ends.union(&uncorrected_ends) {
            // The row that contains the byte at this address.
            let byte = |rows: &Maps| {
                let row = rows.find(*at).mapping.and_then(|index| rows.get(index))?;
                let offset = if row.inode == 0 { 0 } else { row.offset + at - row.range.start };
                Some((row.perms, row.device, row.inode, offset, row.name.to_vec()))
            };
            if byte(&corrected) != byte(&uncorrected) {
                unexplained.push(format!("{at:x} is shown otherwise"));
            }
        }
        unexplained
    }

    /// Asserts that every mapped byte has one origin, reported by an event, and that no other byte
    /// has any.
    #[track_caller]
    pub(crate) fn check_origins(&self) {
        let rows = self.rows();
        let mut wrong = String::new();
        for row in rows.iter().filter(|row| row.kind() != Kind::Vsyscall) {
            let mut from = row.range.start;
            for (piece, origin) in self.origins_of(row.range) {
                assert_eq!(piece.start, from, "pieces without a gap");
                from = piece.end;
                if matches!(origin.maker, Maker::Unseen | Maker::Before) {
                    wrong.push_str(&format!("{piece} of {} {:?}\n", row.range, origin.maker));
                }
            }
            assert_eq!(from, row.range.end, "pieces to the end");
        }
        for (piece, origin) in self.space.origins.iter() {
            let mapped: u64 = rows
                .iter()
                .filter(|row| row.range.overlaps(&piece))
                .map(|row| row.range.end.min(piece.end) - row.range.start.max(piece.start))
                .sum();
            if mapped != piece.size() {
                wrong.push_str(&format!("{piece} is not mapped, but of {:?}\n", origin.maker));
            }
        }
        let text = String::from_utf8_lossy(&self.space.memory.render()).into_owned();
        assert!(wrong.is_empty(), "process {}:\n{wrong}{text}", self.process.pid);
    }

    pub(crate) fn origins_of(&self, range: AddressRange) -> Vec<(AddressRange, Origin)> {
        self.space.origins_of(range)
    }
}
