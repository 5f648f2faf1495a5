//! Random operations on mappings.

use super::sketch::{Page, Run};
use super::{FAR, Maker};
use crate::Prot;
use crate::scenario::{
    Advice, Fact, Length, Map, Operation, PageAddress, Policy, Region, Sharing, Span,
};

/// `PROT_READ|PROT_WRITE`.
const READ_WRITE: Prot = Prot::from_bits(3);

impl Maker<'_> {
    pub(super) fn map(&mut self) {
        let most = if self.rng.percent(20) { 12 } else { 4 };
        let pages = self.rng.between(1, most);
        let (from, pages) = match self.rng.weighted(&[70, 15, 8]) {
            0 => self.sketch.vacant(self.rng, pages),
            1 => self.sketch.mapped(self.rng),
            _ => self.sketch.anywhere(self.rng),
        };
        let prot = self.prot();
        let mut map = Map::new(self.span(from, pages.min(12)), prot);
        let mut page = Page {
            prot,
            object: 0,
            shared: false,
            shift: 0,
            growsdown: false,
            marks: self.future_marks,
        };
        self.map_file(&mut map, &mut page, from, pages);
        map.noreplace = self.rng.percent(self.theme.flags / 2 + 2);
        if self.rng.percent(self.theme.flags) {
            self.map_flags(&mut map, &mut page);
        }
        if map.huge {
            return self.push(Operation::Map(map));
        }
        let mut from = from;
        if map.growsdown && self.region == Region::Plain && self.rng.percent(60) {
            let far = FAR + self.rng.between(0, 8);
            page.shift += if page.object == 0 { 0 } else { from - far };
            from = far;
            map.span = self.span(from, pages);
        }
        let replaces =
            !map.noreplace || (from..from + pages).all(|at| self.sketch.page(at).is_none());
        self.push(Operation::Map(map));
        if replaces && self.plain {
            self.sketch.clear(from, pages);
            self.sketch.fill(from, pages, page);
        }
    }

    fn map_flags(&mut self, map: &mut Map, page: &mut Page) {
        match self.rng.weighted(&[25, 12, 20, 12, 10, 12, 3]) {
            0 => {
                map.noreserve = self.has(Fact::Noreserve);
                page.marks ^= u64::from(map.noreserve) << 32;
            }
            1 => map.stack = self.has(Fact::Thp),
            2 => {
                map.growsdown = true;
                page.growsdown = true;
            }
            3 => map.populate = true,
            4 => {
                map.locked = true;
                page.marks ^= 1 << 33;
            }
            5 if map.sharing == Sharing::Private && self.has(Fact::Droppable) => {
                map.sharing = Sharing::Droppable;
                page.marks ^= 1 << 34;
            }
            _ if self.has(Fact::Hugetlb) => {
                // 2 MiB on x86 and others; huge pages do not fit the small regions.
                map.huge = true;
                map.span = Span::pages(2048, 512);
            }
            _ => {}
        }
    }

    pub(super) fn unmap(&mut self) {
        let (from, pages) = self.sketch.mapped(self.rng);
        let span = self.span(from, pages);
        self.push(Operation::Unmap(span));
        if self.plain {
            self.sketch.clear(from, pages);
        }
    }

    pub(super) fn protect(&mut self) {
        let (from, pages) = self.sketch.mapped(self.rng);
        let span = self.span(from, pages);
        let mut prot = self.prot();
        let key = self.rng.percent(self.theme.keys).then(|| self.key()).flatten();
        // Setting the current protection changes nothing, unless the key is new.
        if key.is_none() && self.sketch.page(from).is_some_and(|page| page.prot == prot) {
            prot = self.prot();
        }
        let growsdown = self.rng.percent(3);
        let mark =
            key.as_ref().map(|key| u64::from(key.ends_with(['1', '3', '5', '7', '9'])) << 35);
        self.push(Operation::Protect { span, prot, pkey: key, growsdown });
        if self.plain {
            self.sketch.change(from, pages, |page| {
                page.prot = prot;
                page.marks = mark.map_or(page.marks, |mark| page.marks & !(1 << 35) | mark);
            });
        }
    }

    /// A key of the process; allocates one if it has none.
    fn key(&mut self) -> Option<String> {
        if !self.has(Fact::Pkeys) {
            return None;
        }
        if self.sketch.process().keys.is_empty() || self.rng.percent(10) {
            self.allocate_key();
        }
        let default = self.rng.percent(25).then(|| "default".to_owned());
        default.or_else(|| {
            let keys = self.sketch.process().keys.clone();
            self.rng.pick(&keys)
        })
    }

    pub(super) fn allocate_key(&mut self) {
        // A process can allocate fifteen; later steps cannot use a key whose allocation failed.
        if self.has(Fact::Pkeys) && self.keys < 4 {
            self.keys += 1;
            let key = self.label("K");
            self.push(Operation::Pkey(key.clone()));
            self.sketch.process().keys.push(key);
        }
    }

    /// Loads or stores, which can give memory a reverse map.
    pub(super) fn touch(&mut self) {
        let runs = self.sketch.runs();
        let growing: Vec<Run> = runs.iter().copied().filter(|run| run.page.growsdown).collect();
        let write = self.rng.percent(72);
        // Mostly an allowed access, so that memory is really touched.
        let bit = if write { Prot::WRITE } else { Prot::READ };
        let good: Vec<Run> =
            runs.iter().copied().filter(|run| run.page.prot.contains(bit)).collect();
        let run = self.rng.percent(85).then(|| self.rng.pick(&good)).flatten();
        let (from, pages) = match (self.rng.pick(&growing), run.or_else(|| self.rng.pick(&runs))) {
            (Some(run), _) if self.rng.percent(25) => {
                let from = run.from - self.rng.between(1, 6);
                (from.max(self.sketch.low - 16).max(0), 1)
            }
            (_, Some(run)) if self.rng.percent(95) => {
                let (from, pages) = self.sketch.within_run(self.rng, run);
                (from, if self.rng.percent(55) { 1 } else { pages })
            }
            _ => self.sketch.anywhere(self.rng),
        };
        let at = PageAddress { page: from, bytes: 0 };
        let pages = pages.unsigned_abs();
        self.push(if write {
            Operation::Write { at, pages }
        } else {
            Operation::Read { at, pages }
        });
        // The mapping that grew continues the one above.
        let above = runs.iter().find(|run| run.from > from);
        if let Some(run) =
            above.filter(|run| run.page.growsdown && self.sketch.page(from).is_none())
        {
            self.sketch.fill(from, run.from - from, run.page);
        }
    }

    pub(super) fn remap(&mut self) {
        let runs = self.sketch.runs();
        let Some(run) = self.rng.pick(&runs) else { return self.map() };
        let (mut from, mut pages) = self.sketch.within_run(self.rng, run);
        let (mut to, mut len, mut dontunmap, mut maymove) = (None, None, false, false);
        match self.rng.weighted(&[26, 12, 10, 10, 10, 10, 14, 14, 3, 6]) {
            // Move, also onto other mappings.
            0 => to = Some(self.sketch.vacant(self.rng, pages).0),
            1 => to = Some(self.sketch.anywhere(self.rng).0),
            // Move to its previous or a likely place.
            2 => {
                let other = self.rng.pick(&runs).unwrap_or(run);
                to = Some(other.to + from - run.from);
            }
            // Grow in place.
            3 => {
                (from, pages) =
                    (run.to - pages.min(run.to - run.from), pages.min(run.to - run.from));
                len = Some(pages + self.rng.between(1, 4));
            }
            // Shrink in place, sometimes to nothing.
            4 if self.rng.percent(10) => len = Some(0),
            4 => len = Some(self.rng.between(1, pages)),
            // Move with another length.
            5 => {
                len = Some(self.rng.between(1, pages + 3));
                to = Some(self.sketch.vacant(self.rng, pages + 3).0);
            }
            6 => {
                dontunmap = true;
                to = Some(self.sketch.vacant(self.rng, pages).0);
                len = self.rng.percent(10).then_some(pages + 1);
            }
            // Move across mappings and holes.
            7 => {
                (from, pages) = self.sketch.mapped(self.rng);
                to = (self.rng.percent(80)).then(|| self.sketch.high + self.rng.between(0, 6));
                dontunmap = self.rng.percent(15);
                len = to.is_none().then_some(pages + self.rng.between(-1, 1).max(1 - pages));
            }
            // Resize, with or without permission to move.
            8 => {
                maymove = self.rng.percent(80);
                len = Some(pages + self.rng.between(-1, 3));
            }
            // Move nothing: copy shared memory.
            _ => {
                let shared: Vec<Run> = runs.iter().copied().filter(|run| run.page.shared).collect();
                let source = self.rng.pick(&shared).unwrap_or(run);
                (from, _) = self.sketch.within_run(self.rng, source);
                pages = 0;
                len = Some(self.rng.between(1, 3));
                to = self.rng.percent(85).then(|| self.sketch.vacant(self.rng, 2).0);
                maymove = to.is_none() && self.rng.percent(50);
            }
        }
        let new = len.unwrap_or(pages).clamp(0, 16);
        // A place beyond the shown region would show nothing.
        let to = to.map(|to| to.min(self.sketch.end - new.max(1)).max(self.sketch.low));
        let span = self.span(from, pages);
        let new_length = len.map(|_| Length::Pages(new.unsigned_abs()));
        let place = to.map(|page| PageAddress { page, bytes: 0 });
        self.push(Operation::Remap { span, to: place, new_length, dontunmap, maymove });
        if !self.plain && pages > 0 {
            return;
        }
        self.remapped(from, pages, to, new, dontunmap || pages == 0);
    }

    /// Updates the sketch with the probable result of a move or resize.
    fn remapped(&mut self, from: i64, pages: i64, to: Option<i64>, new: i64, keep: bool) {
        match to {
            Some(to) if new > 0 && (to + new <= from || from + pages <= to) => {
                self.sketch.relocate(from, pages, to, new, keep);
            }
            Some(_) => {}
            None if new < pages => self.sketch.clear(from + new, pages - new),
            None => {
                let end = from + pages;
                let free = (end..from + new).all(|at| self.sketch.page(at).is_none());
                if let Some(page) = self.sketch.page(end - 1).filter(|_| free) {
                    self.sketch.fill(end, from + new - end, page);
                }
            }
        }
    }

    pub(super) fn refile(&mut self) {
        let runs = self.sketch.runs();
        let shared: Vec<Run> = runs.iter().copied().filter(|run| run.page.shared).collect();
        let choice = if self.rng.percent(90) { self.rng.pick(&shared) } else { None };
        let Some(run) = choice.or_else(|| self.rng.pick(&runs)) else { return self.map() };
        let (from, pages) = self.sketch.within_run(self.rng, run);
        let span = self.span(from, pages);
        let page = self.rng.below(8);
        self.push(Operation::Refile { span, page });
        let shift = page as i64 - from; // small numbers
        if run.page.shared && self.plain {
            self.sketch.change(from, pages, |page| page.shift = shift);
        }
    }

    pub(super) fn advise(&mut self) {
        let known: Vec<Advice> = Advice::ALL
            .iter()
            .map(|(advice, _, _)| *advice)
            .filter(|advice| advice.needs().is_none_or(|fact| self.has(fact)))
            .collect();
        let favourite = self.rng.percent(75).then(|| self.rng.pick(&self.theme.advice)).flatten();
        let favourite = favourite.filter(|advice| known.contains(advice));
        let Some(advice) = favourite.or_else(|| self.rng.pick(&known)) else { return };
        let (from, pages) = self.sketch.mapped(self.rng);
        let span = self.span(from, pages);
        self.push(Operation::Advise(span, advice));
        // Advice that sets an attribute and advice that clears it share a bit.
        let (clear, set) = match advice {
            Advice::Normal => (3, 0),
            Advice::Random => (3, 1),
            Advice::Sequential => (3, 2),
            Advice::Dontfork => (0, 4),
            Advice::Dofork => (4, 0),
            Advice::Mergeable => (0, 8),
            Advice::Unmergeable => (8, 0),
            Advice::Hugepage => (48, 16),
            Advice::Nohugepage => (48, 32),
            Advice::Dontdump => (0, 64),
            Advice::Dodump => (64, 0),
            Advice::Wipeonfork => (0, 128),
            Advice::Keeponfork => (128, 0),
            _ => return,
        };
        self.sketch.change(from, pages, |page| page.marks = page.marks & !clear | set);
    }

    pub(super) fn lock(&mut self) {
        let (from, pages) = self.sketch.mapped(self.rng);
        let span = self.span(from, pages);
        if self.rng.percent(40) {
            self.push(Operation::Unlock(span));
            self.sketch.change(from, pages, |page| page.marks &= !(3 << 33));
        } else {
            let onfault = self.rng.percent(35);
            self.push(Operation::Lock { span, onfault });
            let mark = 1 << 33 | u64::from(onfault) << 34;
            self.sketch.change(from, pages, |page| page.marks |= mark);
        }
    }

    pub(super) fn lock_all(&mut self) {
        if self.rng.percent(35) {
            self.push(Operation::UnlockAll);
            self.future_marks = 0;
            return;
        }
        let (current, future, onfault) =
            (self.rng.percent(50), self.rng.percent(60), self.rng.percent(30));
        self.push(Operation::LockAll { current, future, onfault });
        self.future_marks = u64::from(future) << 33;
    }

    pub(super) fn seal(&mut self) {
        if self.has(Fact::Mseal) {
            let (from, pages) = self.sketch.mapped(self.rng);
            let span = self.span(from, pages.min(4));
            self.push(Operation::Seal(span));
            self.sketch.change(from, pages.min(4), |page| page.marks |= 1 << 36);
        }
    }

    pub(super) fn name(&mut self) {
        if self.has(Fact::AnonNames) {
            let names: [Option<&[u8]>; 8] = [
                Some(b"x"),
                Some(b"x"),
                Some(b"x"),
                Some(b"y"),
                Some(b"two words"),
                Some(b"(deleted)"),
                Some(b"bad]"),
                None,
            ];
            let (from, pages) = self.sketch.mapped(self.rng);
            let span = self.span(from, pages);
            let choice = self.rng.below(8) as usize;
            let name = names.get(choice).copied().flatten().map(<[u8]>::to_vec);
            self.push(Operation::Name { span, name });
            let mark = if choice < 3 { 1 } else { choice as u64 % 7 };
            self.sketch
                .change(from, pages, |page| page.marks = page.marks & !(7 << 40) | mark << 40);
        }
    }

    pub(super) fn policy(&mut self) {
        if self.has(Fact::Numa) {
            let (from, pages) = self.sketch.mapped(self.rng);
            let span = self.span(from, pages);
            // Use the one node that every machine has.
            let policy = match self.rng.below(6) {
                0 | 1 => Policy::Default,
                2 => Policy::Local,
                3 => Policy::Bind(vec![0]),
                4 => Policy::Preferred(0),
                _ => Policy::Interleave(vec![0]),
            };
            let mark = match policy {
                Policy::Default => 0,
                Policy::Local => 1,
                Policy::Bind(_) => 2,
                Policy::Preferred(_) => 3,
                Policy::Interleave(_) => 4,
            };
            self.push(Operation::Policy(span, policy));
            self.sketch
                .change(from, pages, |page| page.marks = page.marks & !(7 << 44) | mark << 44);
        }
    }

    pub(super) fn brk(&mut self) {
        if self.region != Region::Heap {
            return self.map();
        }
        let brk = self.sketch.process().brk;
        let pages = if brk > 0 && self.rng.percent(35) {
            -self.rng.between(1, brk.min(4))
        } else {
            self.rng.between(1, 4)
        };
        self.push(Operation::Brk(pages));
        let free = (brk..brk + pages).all(|at| self.sketch.page(at).is_none());
        if pages < 0 {
            self.sketch.clear(brk + pages, -pages);
        } else if free {
            let marks = self.future_marks;
            let page = Page {
                prot: READ_WRITE,
                object: 0,
                shared: false,
                shift: 0,
                growsdown: false,
                marks,
            };
            self.sketch.fill(brk, pages, page);
        }
        // A refused move leaves the break, which still stays near its assumed place.
        if pages < 0 || free {
            self.sketch.process().brk += pages;
        }
    }

    fn prot(&mut self) -> Prot {
        let all = [READ_WRITE, Prot::READ, Prot::NONE, Prot::from_bits(7), Prot::EXEC, Prot::WRITE];
        match self.rng.weighted(&[60, 25, 15]) {
            0 => self.theme.prot.0,
            1 => self.theme.prot.1,
            _ => self.rng.pick(&all).unwrap_or(READ_WRITE),
        }
    }
}
