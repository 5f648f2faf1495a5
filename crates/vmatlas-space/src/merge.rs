//! The rules by which mappings join (mm/vma.c; mm/mmap.c before 6.12).

use super::vma::{Anon, Vma};
use super::vmas::Position;
use super::{AddressSpace, Faults, VmaFlags};
use crate::Errno;

/// The answer to a rule, which may depend on unreported page faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Unknown,
}

/// The operation that may join mappings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joining {
    /// mmap or a similar call makes a mapping.
    New,
    /// brk(2) or execve adds memory: it may join only the mapping below.
    ExpandOnly,
    /// mremap makes a copy or extends a mapping.
    Remapped,
}

/// A mapping made fewer than this many mappings ago is assumed untouched.
const NEW: u32 = 4;

impl AddressSpace {
    /// Inserts a new VMA into a free place and joins it with its neighbours by the kernel's rules.
    pub(super) fn insert_joined(&mut self, new: Vma, joining: Joining) -> Position {
        let (below, above) = self.joinable(&new, joining);
        let shift = self.profile.page_shift;
        match (below, above) {
            (Some(below), Some(above)) => {
                let upper = self.vmas.remove(above);
                self.vmas.change(below, |vma| {
                    vma.end = upper.end;
                    vma.absorb(&upper);
                    vma.absorb(&new);
                });
                below
            }
            (Some(below), None) => {
                self.vmas.change(below, |vma| {
                    vma.end = new.end;
                    vma.absorb(&new);
                });
                below
            }
            (None, Some(above)) => {
                self.vmas.change(above, |vma| {
                    vma.extend_start(new.start, shift);
                    vma.absorb(&new);
                });
                above
            }
            (None, None) => self.insert(new),
        }
    }

    /// The neighbours that a new mapping joins.
    pub(super) fn joinable(
        &mut self,
        new: &Vma,
        joining: Joining,
    ) -> (Option<Position>, Option<Position>) {
        let below =
            self.vmas.find_below(new.start).filter(|at| self.vmas.get(*at).end == new.start);
        let above = match below {
            Some(at) => self.vmas.next(at),
            None => self.vmas.find(new.start),
        };
        let above = above.filter(|at| self.vmas.get(*at).start == new.end);
        self.choose(new, below, above, joining)
    }

    fn choose(
        &mut self,
        new: &Vma,
        below: Option<Position>,
        above: Option<Position>,
        joining: Joining,
    ) -> (Option<Position>, Option<Position>) {
        if new.flags.intersects(VmaFlags::SPECIAL) {
            return (None, None);
        }
        self.doubt_both(new, below, above);
        if self.profile.hole_tries_next_first && joining == Joining::New {
            let above = above
                .filter(|at| self.vmas.get(*at).policy.is_none())
                .filter(|at| self.joins(new, *at, new.end, true));
            // The mapping below must then also match the one above.
            let mut suited = new.clone();
            if let Some(at) = above {
                let above = self.vmas.get(at);
                (suited.anon, suited.seen) = (above.anon, above.seen);
            }
            let below = below
                .filter(|at| self.vmas.get(*at).policy.is_none())
                .filter(|at| self.joins(&suited, *at, new.start, false));
            return (below, above);
        }
        let below = below.filter(|at| self.joins(new, *at, new.start, false));
        let above = above
            .filter(|_| joining != Joining::ExpandOnly)
            .filter(|at| self.joins(new, *at, new.end, true))
            .filter(|at| below.is_none_or(|below| self.both_may_join(below, *at, new.end)));
        (below, above)
    }

    /// Changes the part `start..end` of a VMA, which then joins its neighbours or is split off.
    /// Returns the end of the VMA that contains it afterwards.
    ///
    /// # Errors
    /// ENOMEM if a split would exceed `max_map_count`, EINVAL if it would cut a huge page; the
    /// first split stays.
    pub(super) fn modify(
        &mut self,
        at: Position,
        start: u64,
        end: u64,
        change: impl Fn(&mut Vma),
    ) -> Result<u64, Errno> {
        let shift = self.profile.page_shift;
        let middle = self.vmas.get(at);
        let (left, right) = (start == middle.start, end == middle.end);
        let removes = left && right;
        let joinable = (left || right)
            && !(removes && self.profile.close_hook_may_grow && middle.has_close_hook());
        if joinable {
            let mut new = middle.part(start, end, shift);
            change(&mut new);
            if !new.flags.intersects(VmaFlags::SPECIAL) {
                let below = self.vmas.previous(at).filter(|_| left);
                let above = self.vmas.next(at).filter(|_| right);
                let below = below.filter(|at| self.vmas.get(*at).end == start);
                let above = above.filter(|at| self.vmas.get(*at).start == end);
                self.doubt_both(&new, below, above);
                let below = below.filter(|at| self.joins(&new, *at, start, false));
                let above = above
                    .filter(|at| self.joins(&new, *at, end, true))
                    .filter(|at| below.is_none_or(|below| self.both_may_join(below, *at, end)));
                if below.is_some() || above.is_some() {
                    return Ok(self.join_existing(at, below, above, &new));
                }
            }
        }
        self.split_out(at, start, end, change)
    }

    /// Splits a part off a VMA and changes it, without joining it.
    pub(super) fn split_out(
        &mut self,
        at: Position,
        start: u64,
        end: u64,
        change: impl Fn(&mut Vma),
    ) -> Result<u64, Errno> {
        let vma = self.vmas.get(at);
        let (left, right) = (start == vma.start, end == vma.end);
        let mut at = at;
        if !left {
            if self.at_map_limit() {
                return Err(Errno::ENOMEM);
            }
            if !self.may_split(self.vmas.get(at), start) {
                return Err(Errno::EINVAL);
            }
            at = self.split(at, start);
        }
        if !right {
            if self.at_map_limit() {
                return Err(Errno::ENOMEM);
            }
            if !self.may_split(self.vmas.get(at), end) {
                return Err(Errno::EINVAL);
            }
            let upper = self.split(at, end);
            at = self.vmas.previous(upper).expect("the lower part");
        }
        self.vmas.change(at, change);
        Ok(end)
    }

    /// Moves `new`, a part of the VMA at `middle`, into one or both of its neighbours; returns the
    /// end of the VMA that then contains it.
    fn join_existing(
        &mut self,
        middle: Position,
        below: Option<Position>,
        above: Option<Position>,
        new: &Vma,
    ) -> u64 {
        let shift = self.profile.page_shift;
        let whole = self.vmas.get(middle);
        let removes = whole.start == new.start && whole.end == new.end;
        match (below, above) {
            (Some(below), Some(above)) => {
                let upper = self.vmas.remove(above);
                self.vmas.remove(middle);
                self.vmas.change(below, |vma| {
                    vma.end = upper.end;
                    vma.absorb(&upper);
                    vma.absorb(new);
                });
                upper.end
            }
            (Some(below), None) => {
                if removes {
                    self.vmas.remove(middle);
                } else {
                    self.vmas.change(middle, |vma| vma.trim_start(new.end, shift));
                }
                self.vmas.change(below, |vma| {
                    vma.end = new.end;
                    vma.absorb(new);
                });
                new.end
            }
            (None, Some(above)) => {
                let end = self.vmas.change(above, |vma| {
                    vma.extend_start(new.start, shift);
                    vma.absorb(new);
                    vma.end
                });
                if removes {
                    self.vmas.remove(middle);
                } else {
                    self.vmas.change(middle, |vma| vma.end = new.start);
                }
                end
            }
            (None, None) => new.end,
        }
    }

    /// Whether `new` joins the neighbour at `at`; they share the address `boundary`.
    fn joins(&mut self, new: &Vma, at: Position, boundary: u64, above: bool) -> bool {
        let old = self.vmas.get(at);
        let (lower, upper) = if above { (new, old) } else { (old, new) };
        // Writable memory was most likely written before it was moved or forked.
        let is_forked =
            |vma: &Vma| matches!(vma.anon, Anon::Forked(_) | Anon::Some { forked: true, .. });
        let likely = self.is_next(lower, upper)
            && !(lower.flags ^ upper.flags).contains(VmaFlags::ACCOUNT)
            && (lower.anon == upper.anon || !is_forked(lower) && !is_forked(upper));
        let answer = self.alike(new, old, above);
        let seen = match answer {
            Answer::Unknown => self.alike_as_seen(new, old, above),
            known => known,
        };
        self.settle(answer, boundary, seen.or(likely))
    }

    /// Records a doubt about both neighbours if there is one about either: which of them a mapping
    /// joins decides whether it may join the other.
    fn doubt_both(&mut self, new: &Vma, below: Option<Position>, above: Option<Position>) {
        let (Some(below), Some(above)) = (below, above) else { return };
        if self.faults == Faults::Reported {
            return;
        }
        let answers = [
            self.alike(new, self.vmas.get(below), false),
            self.alike(new, self.vmas.get(above), true),
        ];
        if !answers.contains(&Answer::No) && answers.contains(&Answer::Unknown) {
            self.doubts.extend([new.start, new.end]);
        }
    }

    /// Whether a mapping that joins both of its neighbours may join them to one.
    fn both_may_join(&mut self, below: Position, above: Position, boundary: u64) -> bool {
        let (lower, upper) = (self.vmas.get(below), self.vmas.get(above));
        if upper.has_close_hook() {
            return false;
        }
        let one = |lower, upper| match (lower, upper) {
            (Anon::None, _) | (_, Anon::None) => Answer::Yes,
            (Anon::Some { id: a, .. }, Anon::Some { id: b, .. }) => Answer::of(a == b),
            _ => Answer::Unknown,
        };
        let answer = one(lower.anon, upper.anon);
        // The pieces of a mapping whose part was changed and changed back, such as the pages of JIT
        // compilers, share a reverse map or have none. Two mappings between which a third one fills
        // the hole were usually both written, unless they are new.
        let new = |anon| match anon {
            Anon::Unknown(id) => self.next_anon.checked_sub(id).is_some_and(|age| age < NEW),
            _ => false,
        };
        let likely = lower.anon == upper.anon || new(lower.anon) && new(upper.anon);
        let seen = match self.faults {
            Faults::Seen => one(lower.seen, upper.seen),
            Faults::Reported | Faults::Unreported => Answer::Unknown,
        };
        self.settle(answer, boundary, seen.or(likely))
    }

    /// Resolves an unknown answer to the likelier one and records the doubt.
    fn settle(&mut self, answer: Answer, boundary: u64, likely: bool) -> bool {
        if matches!(answer, Answer::Unknown) {
            self.doubts.insert(boundary);
        }
        answer.or(likely)
    }

    /// Whether two neighbours would join if one of them were made now.
    pub(super) fn must_join(&self, lower: &Vma, upper: &Vma) -> bool {
        let special = (lower.flags | upper.flags).intersects(VmaFlags::SPECIAL);
        let hooked = lower.has_close_hook() || upper.has_close_hook();
        !special && !hooked && self.alike(upper, lower, false) == Answer::Yes
    }

    /// Whether two neighbours agree in everything that the kernel compares.
    fn alike(&self, new: &Vma, old: &Vma, above: bool) -> Answer {
        let profile = &*self.profile;
        let shift = profile.page_shift;
        let ignored =
            if profile.sticky_guard_flag { VmaFlags::MAYBE_GUARD } else { VmaFlags::NONE };
        let (lower, upper) = if above { (new, old) } else { (old, new) };
        let pages = (lower.end - lower.start) >> shift;
        let moved = matches!(new.anon, Anon::Moved(_)) || matches!(old.anon, Anon::Moved(_));
        let uncounted = self.may_be_uncounted(new) || self.may_be_uncounted(old);
        let ignored = ignored.with_if(VmaFlags::ACCOUNT, uncounted);
        let equal = (new.flags ^ old.flags).without(ignored) == VmaFlags::NONE
            && new.same_file(old)
            && new.policy == old.policy
            && new.uffd == old.uffd
            && new.name == old.name
            && new.pkey == old.pkey
            && new.special == old.special
            && (self.is_next(lower, upper) || moved && new.anonymous())
            && (profile.close_hook_may_grow || !old.has_close_hook());
        if !equal {
            return Answer::No;
        }
        let copies = new.flags & (VmaFlags::SHARED | VmaFlags::MAYWRITE) == VmaFlags::MAYWRITE;
        if profile.compares_anon_offset
            && new.file.is_some()
            && copies
            && !moved
            && lower.anon_offset.wrapping_add(pages) != upper.anon_offset
        {
            return Answer::No;
        }
        if moved || uncounted {
            return Answer::Unknown;
        }
        self.anons_join(new.anon, old.anon)
    }

    /// Whether two neighbours would agree if only the reported faults had happened. `Unknown` if
    /// the caller does not report those it sees.
    fn alike_as_seen(&self, new: &Vma, old: &Vma, above: bool) -> Answer {
        if self.faults != Faults::Seen {
            return Answer::Unknown;
        }
        let as_seen = |vma: &Vma| {
            let mut vma = vma.clone();
            vma.anon = vma.seen;
            vma
        };
        self.alike(&as_seen(new), &as_seen(old), above)
    }

    /// Whether a new neighbour joins an old one as far as their reverse maps decide about it.
    fn anons_join(&self, new: Anon, old: Anon) -> Answer {
        let profile = &*self.profile;
        match (new, old) {
            (Anon::None, Anon::None) => Answer::Yes,
            (Anon::Some { id: a, .. }, Anon::Some { id: b, .. }) => Answer::of(a == b),
            (Anon::None, Anon::Some { forked, .. }) => Answer::of(!forked),
            (Anon::Some { forked, .. }, Anon::None) => {
                Answer::of(profile.faulted_joins_unfaulted && !forked)
            }
            (Anon::None, Anon::Unknown(_)) => Answer::Yes,
            (Anon::Unknown(_), Anon::None) if profile.faulted_joins_unfaulted => Answer::Yes,
            _ => Answer::Unknown,
        }
    }

    /// Whether memory that became read-only may have lost `VM_ACCOUNT`, which depends on whether it
    /// was written before (`mprotect_fixup`, mm/mprotect.c).
    fn may_be_uncounted(&self, vma: &Vma) -> bool {
        self.profile.decommit_unaccounts
            && vma.anonymous()
            && matches!(vma.anon, Anon::Unknown(_) | Anon::Forked(_) | Anon::Moved(_))
            && !vma.flags.contains(VmaFlags::WRITE)
            && (vma.flags.contains(VmaFlags::ACCOUNT) || self.faults == Faults::Seen)
    }

    /// Whether the page numbers of a neighbour go on.
    fn is_next(&self, lower: &Vma, upper: &Vma) -> bool {
        let pages = (lower.end - lower.start) >> self.profile.page_shift;
        lower.offset.wrapping_add(pages) == upper.offset
    }
}

impl Answer {
    fn of(yes: bool) -> Answer {
        if yes { Answer::Yes } else { Answer::No }
    }

    /// The answer, or the likely one.
    fn or(self, likely: bool) -> bool {
        match self {
            Answer::Yes => true,
            Answer::No => false,
            Answer::Unknown => likely,
        }
    }
}

impl Vma {
    /// Takes over from a joined VMA the reverse map, if it has none itself, and sticky flags. What is
    /// not known of one of the two is not known of both.
    fn absorb(&mut self, other: &Vma) {
        self.anon = match (self.anon, other.anon) {
            (Anon::None, other) => other,
            (moved @ Anon::Moved(_), _) | (_, moved @ Anon::Moved(_)) => moved,
            (forked @ Anon::Forked(_), _) | (_, forked @ Anon::Forked(_)) => forked,
            (Anon::Unknown(number), Anon::Some { forked: true, .. })
            | (Anon::Some { forked: true, .. }, Anon::Unknown(number)) => Anon::Forked(number),
            (unknown @ Anon::Unknown(_), _) | (_, unknown @ Anon::Unknown(_)) => unknown,
            (own, _) => own,
        };
        self.seen = match (self.seen, other.seen) {
            (Anon::None, other) => other,
            (own @ Anon::Some { .. }, Anon::None | Anon::Some { .. }) => own,
            _ => Anon::Unknown(0),
        };
        self.flags |= other.flags & VmaFlags::MAYBE_GUARD;
    }
}
