//! Who made each byte of an address space.

use super::call::CallKind;
use crate::mapping::AddressRange;
use std::collections::BTreeMap;

/// What made some bytes of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The number of the event, counted from 1; 0 where there is none.
    pub event: u64,
    /// When it was, in nanoseconds from the start of the recording.
    pub time_ns: u64,
    /// The thread that did it: an index into [`Definitions::tasks`](super::Definitions::tasks).
    pub task: u32,
    /// Its call stack, see [`Definitions::frames_of`](super::Definitions::frames_of); 0 where it
    /// is not known.
    pub stack: u32,
    /// What it did.
    pub maker: Maker,
    /// Whether the bytes came by fork(2) from the process that made them.
    pub inherited: bool,
}

/// What can make a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Maker {
    /// A system call of the process.
    Call(CallKind),
    /// The kernel, in execve(2).
    Exec,
    /// It was there before the recording began.
    Before,
    /// The kernel shows it, and no event tells of it.
    Unseen,
    /// Who touched a page first; of pages only, see [`Space::touched`](super::Space::touched).
    Touch,
}

impl Origin {
    /// Of bytes that no event tells of.
    pub const UNSEEN: Origin =
        Origin { event: 0, time_ns: 0, task: 0, stack: 0, maker: Maker::Unseen, inherited: false };

    /// How it is known, in the word of `blame --json`.
    pub fn how(&self) -> &'static str {
        match self.maker {
            Maker::Unseen => "unseen",
            Maker::Before => "before-recording",
            _ if self.inherited => "inherited",
            Maker::Exec => "exec",
            Maker::Call(_) | Maker::Touch => "recorded",
        }
    }
}

/// The origins of an address space, by address. Kept beside the VMAs, because the kernel joins
/// mappings of different origin to one.
///
/// Every byte has at most one origin; those that no event tells of have none.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<u64, Piece>);

#[derive(Clone, Copy, Debug)]
struct Piece {
    end: u64,
    origin: Origin,
}

impl Origins {
    /// The origin of the byte at `address`.
    pub fn get(&self, address: u64) -> Option<Origin> {
        let (_, piece) = self.0.range(..=address).next_back()?;
        (address < piece.end).then_some(piece.origin)
    }

    /// The pieces that overlap `range`, cut to it, in the order of addresses.
    pub fn within(&self, range: AddressRange) -> impl Iterator<Item = (AddressRange, Origin)> {
        let first = self.0.range(..=range.start).next_back().map_or(range.start, |(at, _)| *at);
        let end = range.end.max(first);
        self.0.range(first..end).filter_map(move |(start, piece)| {
            let cut = AddressRange::new((*start).max(range.start), piece.end.min(range.end));
            (cut.start < cut.end).then_some((cut, piece.origin))
        })
    }

    /// All pieces.
    pub fn iter(&self) -> impl Iterator<Item = (AddressRange, Origin)> {
        self.0.iter().map(|(start, piece)| (AddressRange::new(*start, piece.end), piece.origin))
    }

    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no byte has an origin.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All bytes of `range` are of this origin now.
    pub fn set(&mut self, range: AddressRange, origin: Origin) {
        if range.size() == 0 {
            return;
        }
        self.remove(range);
        self.0.insert(range.start, Piece { end: range.end, origin });
    }

    /// A page of `range` was touched. It goes on where a page before it was touched by the same
    /// stack, so that a loop over memory makes one piece.
    pub(crate) fn touch(&mut self, range: AddressRange, origin: Origin) {
        if let Some((_, before)) = self.0.range_mut(..range.start).next_back()
            && before.end == range.start
            && (before.origin.stack, before.origin.task) == (origin.stack, origin.task)
            && before.origin.inherited == origin.inherited
        {
            let start = range.start;
            before.end = range.end;
            // What else was known of the page is no more.
            let over = self.0.range(start..range.end).next().map(|(at, piece)| (*at, *piece));
            if let Some((at, piece)) = over {
                self.0.remove(&at);
                if piece.end > range.end {
                    self.0.insert(range.end, piece);
                }
            }
            return;
        }
        self.set(range, origin);
    }

    /// The bytes of `range` are gone.
    pub fn remove(&mut self, range: AddressRange) {
        if range.size() == 0 {
            return;
        }
        // Nearly always nothing is there, or one piece with the same ends.
        let Some((&start, &piece)) = self.0.range(..range.end).next_back() else { return };
        if piece.end <= range.start {
            return;
        }
        if start == range.start && piece.end == range.end {
            self.0.remove(&start);
            return;
        }
        self.cut(range.start);
        self.cut(range.end);
        let inside: Vec<u64> = self.0.range(range.start..range.end).map(|(at, _)| *at).collect();
        for start in inside {
            self.0.remove(&start);
        }
    }

    /// The bytes of `from` are at `to` now, where something else may have been. `keep` leaves
    /// their old place with them (`MREMAP_DONTUNMAP`).
    pub fn relocate(&mut self, from: AddressRange, to: u64, keep: bool) {
        let pieces: Vec<(AddressRange, Origin)> = self.within(from).collect();
        if !keep {
            self.remove(from);
        }
        let new = |address: u64| address.wrapping_sub(from.start).wrapping_add(to);
        self.remove(AddressRange::new(to, to.saturating_add(from.size())));
        for (range, origin) in pieces {
            self.set(AddressRange::new(new(range.start), new(range.end)), origin);
        }
    }

    /// The stack of an event has become known, and it made bytes of `range`.
    pub(crate) fn set_stack(&mut self, range: AddressRange, event: u64, stack: u32) {
        if range.size() == 0 {
            return;
        }
        let pieces = self.0.range_mut(range.start..range.end);
        let of_event = pieces.map(|(_, piece)| &mut piece.origin).filter(|o| o.event == event);
        of_event.for_each(|origin| origin.stack = stack);
    }

    /// All bytes of `range` without an origin are of this one.
    pub(crate) fn fill(&mut self, range: AddressRange, origin: Origin) {
        let pieces: Vec<AddressRange> = self.within(range).map(|(piece, _)| piece).collect();
        let mut from = range.start;
        for piece in pieces {
            self.set(AddressRange::new(from, piece.start), origin);
            from = piece.end;
        }
        self.set(AddressRange::new(from, range.end.max(from)), origin);
    }

    /// The bytes of `range` that lie in none of these rows are gone.
    pub(crate) fn keep(&mut self, range: AddressRange, rows: impl Iterator<Item = AddressRange>) {
        let mut from = range.start;
        for row in rows {
            if row.start > from {
                self.remove(AddressRange::new(from, row.start.min(range.end)));
            }
            from = from.max(row.end);
        }
        self.remove(AddressRange::new(from, range.end.max(from)));
    }

    /// The origins of a forked child.
    #[must_use]
    pub fn fork(&self) -> Origins {
        let mut child = self.clone();
        child.0.values_mut().for_each(|piece| piece.origin.inherited = true);
        child
    }

    /// Makes a piece begin at `address`, if one covers it.
    fn cut(&mut self, address: u64) {
        let Some((start, piece)) = self.0.range_mut(..address).next_back() else { return };
        if piece.end > address && *start < address {
            let upper = *piece;
            piece.end = address;
            self.0.insert(address, upper);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(event: u64) -> Origin {
        Origin { event, ..Origin::UNSEEN }
    }

    /// Origins by page, the naive way.
    fn pages(origins: &Origins) -> Vec<Option<u64>> {
        (0..64).map(|page| origins.get(page * 0x1000).map(|origin| origin.event)).collect()
    }

    #[test]
    fn every_byte_has_the_origin_that_a_list_of_pages_says() {
        let mut origins = Origins::default();
        let mut naive = vec![None; 64];
        let mut seed = 1_u64;
        for event in 1..4000 {
            let mut random = |below: usize| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 33) as usize % below
            };
            let (from, size) = (random(32), 1 + random(16));
            let to = random(48);
            let range = AddressRange::new(from as u64 * 0x1000, (from + size) as u64 * 0x1000);
            match random(4) {
                0 | 1 => {
                    origins.set(range, origin(event));
                    naive[from..from + size].fill(Some(event));
                }
                2 => {
                    origins.remove(range);
                    naive[from..from + size].fill(None);
                }
                // The kernel moves nothing onto itself.
                _ if to + size <= from || from + size <= to => {
                    let keep = random(2) == 0;
                    origins.relocate(range, to as u64 * 0x1000, keep);
                    let moved = naive[from..from + size].to_vec();
                    if !keep {
                        naive[from..from + size].fill(None);
                    }
                    naive[to..to + size].copy_from_slice(&moved);
                }
                _ => {}
            }
            assert_eq!(pages(&origins), naive, "after event {event}");
            let covered: u64 = origins.within(range).map(|(range, _)| range.size()).sum();
            let counted = naive[from..from + size].iter().flatten().count();
            assert_eq!(covered, counted as u64 * 0x1000, "within, after event {event}");
        }
    }
}
