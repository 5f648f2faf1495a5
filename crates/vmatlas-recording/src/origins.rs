//! The origin of each byte of an address space.

use super::call::CallKind;
use super::id::{EventNumber, StackId, TaskId};
use vmatlas_maps::AddressRange;

/// The event that mapped a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The number of the event, counted from 1; 0 if there is none.
    pub event: EventNumber,
    /// The time of the event in nanoseconds from the start of the recording.
    pub time_ns: u64,
    /// The thread that mapped it, see [`Definitions::task`](super::Definitions::task).
    pub task: TaskId,
    /// Its call stack, see [`Definitions::frames_of`](super::Definitions::frames_of).
    pub stack: StackId,
    /// The kind of call or event.
    pub maker: Maker,
    /// Whether fork(2) copied the bytes from the process that mapped them.
    pub inherited: bool,
}

/// The kinds of origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Maker {
    /// A system call of the process.
    Call(CallKind),
    /// The kernel, in execve(2).
    Exec,
    /// The mapping existed before the recording began.
    Before,
    /// The kernel shows the mapping, but no event explains it.
    Unseen,
    /// The first access to a page; only in
    /// [`RecordedSpace::touched`](super::RecordedSpace::touched).
    Touch,
}

impl Origin {
    /// The origin of bytes that no event explains.
    pub const UNSEEN: Origin = Origin {
        event: EventNumber::NONE,
        time_ns: 0,
        task: TaskId::NONE,
        stack: StackId::NONE,
        maker: Maker::Unseen,
        inherited: false,
    };

    /// The source of the origin, as the word in `blame --json`.
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

/// The origins of an address space, by address. They are separate from the VMAs because the kernel
/// joins mappings of different origin.
///
/// Every byte has at most one origin; bytes that no event explains have none.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The end of each chunk.
    ends: Vec<u64>,
    /// Pieces in address order, which do not overlap, in chunks that are never empty. Nearly every
    /// event inserts or removes a piece, which then moves only the rest of one chunk.
    chunks: Vec<Vec<Piece>>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Piece {
    start: u64,
    end: u64,
    origin: Origin,
}

/// The maximum number of pieces in a chunk.
const MAX_PIECES: usize = 32;

/// The position of a piece, or its insertion point.
#[derive(Clone, Copy)]
struct Position {
    chunk: usize,
    index: usize,
}

impl Origins {
    /// The origin of the byte at `address`.
    pub fn get(&self, address: u64) -> Option<Origin> {
        let piece = self.piece(self.find(address))?;
        (piece.start <= address).then_some(piece.origin)
    }

    /// The pieces that overlap `range`, cut to it, in the order of addresses.
    pub fn within(&self, range: AddressRange) -> impl Iterator<Item = (AddressRange, Origin)> {
        let Position { chunk, index } = self.find(range.start);
        let rest = self.chunks.get(chunk).map(|pieces| &pieces[index..]).unwrap_or_default();
        let others = self.chunks.get(chunk + 1..).unwrap_or_default();
        let pieces = rest.iter().chain(others.iter().flatten());
        pieces.take_while(move |piece| piece.start < range.end).filter_map(move |piece| {
            let cut = AddressRange::new(piece.start, piece.end).intersect(&range)?;
            Some((cut, piece.origin))
        })
    }

    /// All pieces, in address order.
    pub fn iter(&self) -> impl Iterator<Item = (AddressRange, Origin)> {
        let pieces = self.chunks.iter().flatten();
        pieces.map(|piece| (AddressRange::new(piece.start, piece.end), piece.origin))
    }

    /// The number of pieces.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no byte has an origin.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the origin of all bytes of `range`.
    pub fn set(&mut self, range: AddressRange, origin: Origin) {
        if range.size() > 0 {
            let at = self.clear(range);
            self.insert(at, Piece { start: range.start, end: range.end, origin });
        }
    }

    /// Records the first access to a page of `range`. Extends the piece before it if that has the
    /// same stack, so that a loop over memory makes one piece.
    pub(crate) fn touch(&mut self, range: AddressRange, origin: Origin) {
        let before = range.start.checked_sub(1).and_then(|last| self.piece(self.find(last)));
        let goes_on = before.filter(|before| {
            before.end == range.start
                && (before.origin.stack, before.origin.task) == (origin.stack, origin.task)
                && before.origin.inherited == origin.inherited
        });
        if let Some(&Piece { start, origin, .. }) = goes_on {
            return self.set(AddressRange::new(start, range.end), origin);
        }
        self.set(range, origin);
    }

    /// Removes the origins of `range`.
    pub fn remove(&mut self, range: AddressRange) {
        if range.size() > 0 {
            self.clear(range);
        }
    }

    /// Moves the origins of `from` to the address `to`, replacing those there. `keep` also leaves
    /// them at the old place (`MREMAP_DONTUNMAP`).
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

    /// Sets the stack of the pieces of `range` that an event made.
    pub(crate) fn set_stack(&mut self, range: AddressRange, event: EventNumber, stack: StackId) {
        if range.size() == 0 {
            return;
        }
        let Position { chunk, .. } = self.find(range.start);
        let chunks = self.chunks.get_mut(chunk..).unwrap_or_default();
        let pieces = chunks.iter_mut().flatten().take_while(|piece| piece.start < range.end);
        let of_event =
            pieces.filter(|piece| range.start <= piece.start && piece.origin.event == event);
        of_event.for_each(|piece| piece.origin.stack = stack);
    }

    /// Sets the origin of all bytes of `range` that have none.
    pub(crate) fn fill(&mut self, range: AddressRange, origin: Origin) {
        let pieces: Vec<AddressRange> = self.within(range).map(|(piece, _)| piece).collect();
        let mut from = range.start;
        for piece in pieces {
            self.set(AddressRange::new(from, piece.start), origin);
            from = piece.end;
        }
        self.set(AddressRange::new(from, range.end.max(from)), origin);
    }

    /// Removes the origins in `range` that lie outside these rows.
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

    /// The origins in a forked child.
    #[must_use]
    pub fn fork(&self) -> Origins {
        let mut child = self.clone();
        let pieces = child.chunks.iter_mut().flatten();
        pieces.for_each(|piece| piece.origin.inherited = true);
        child
    }

    /// The first piece that ends above `address`.
    #[inline]
    fn find(&self, address: u64) -> Position {
        let chunk = self.ends.partition_point(|end| *end <= address);
        let pieces = self.chunks.get(chunk).map(Vec::as_slice).unwrap_or_default();
        Position { chunk, index: pieces.partition_point(|piece| piece.end <= address) }
    }

    #[inline]
    fn piece(&self, at: Position) -> Option<&Piece> {
        self.chunks.get(at.chunk)?.get(at.index)
    }

    /// Removes all pieces of a nonempty range; returns the insertion point.
    fn clear(&mut self, range: AddressRange) -> Position {
        let mut at = self.find(range.start);
        while let Some(piece) = self.chunks.get_mut(at.chunk).and_then(|c| c.get_mut(at.index)) {
            if piece.start >= range.end {
                break;
            }
            match (piece.start < range.start, piece.end > range.end) {
                (true, true) => {
                    let upper = Piece { start: range.end, ..*piece };
                    piece.end = range.start;
                    self.update_end(at.chunk);
                    at.index += 1;
                    return self.insert(at, upper);
                }
                (true, false) => {
                    piece.end = range.start;
                    self.update_end(at.chunk);
                    at.index += 1;
                }
                (false, true) => {
                    piece.start = range.end;
                    break;
                }
                (false, false) => {
                    self.len -= 1;
                    self.chunks[at.chunk].remove(at.index);
                    self.update_end(at.chunk);
                }
            }
            // The position after the last piece of a chunk is the start of the next one.
            if self.chunks.get(at.chunk).is_some_and(|pieces| pieces.len() == at.index) {
                at = Position { chunk: at.chunk + 1, index: 0 };
            }
        }
        at
    }

    /// Inserts a piece; returns its position.
    fn insert(&mut self, at: Position, piece: Piece) -> Position {
        let mut at = at;
        self.len += 1;
        if at.chunk == self.chunks.len() {
            let Some(last) = self.chunks.last() else {
                self.chunks.push(vec![piece]);
                self.ends.push(piece.end);
                return at;
            };
            at = Position { chunk: at.chunk - 1, index: last.len() };
        }
        if self.chunks[at.chunk].len() == MAX_PIECES {
            let upper = self.chunks[at.chunk].split_off(MAX_PIECES / 2);
            self.chunks.insert(at.chunk + 1, upper);
            self.ends.insert(at.chunk, 0);
            self.update_end(at.chunk);
            if at.index > MAX_PIECES / 2 {
                at = Position { chunk: at.chunk + 1, index: at.index - MAX_PIECES / 2 };
            }
        }
        self.chunks[at.chunk].insert(at.index, piece);
        self.update_end(at.chunk);
        at
    }

    /// Updates `ends[chunk]` after its pieces changed; removes the chunk if it is now empty.
    #[inline]
    fn update_end(&mut self, chunk: usize) {
        match self.chunks[chunk].last() {
            Some(last) => self.ends[chunk] = last.end,
            None => {
                self.chunks.remove(chunk);
                self.ends.remove(chunk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(event: u64) -> Origin {
        Origin { event: EventNumber::new(event), ..Origin::UNSEEN }
    }

    /// A naive version: the origin of each page.
    fn pages(origins: &Origins) -> Vec<Option<u64>> {
        (0..64).map(|page| origins.get(page * 0x1000).map(|origin| origin.event.get())).collect()
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
                // The kernel rejects overlapping moves.
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
