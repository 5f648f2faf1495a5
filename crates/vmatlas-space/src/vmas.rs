//! The VMAs of an address space in address order.
//!
//! A tree of three levels: VMAs in leaves, leaves in branches, branches in one list. A leaf holds
//! up to 16 VMAs and a branch up to 128 leaves, so two million VMAs need about 1400 branches. The
//! ends of leaves and branches are kept in arrays, so that a search reads one leaf only. Leaves
//! are small because an insertion or removal moves the VMAs after it in the leaf.

use super::vma::Vma;

const LEAF: usize = 16;
const BRANCH: usize = 128;
/// The spare capacity of a leaf, kept small to bound the memory of large address spaces.
const SPARE: usize = 3;

/// The container. The callers ensure that VMAs never overlap.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vmas {
    /// The end of each branch.
    ends: Vec<u64>,
    branches: Vec<Branch>,
    len: usize,
}

/// A list of leaves; never empty.
#[derive(Clone, Debug)]
struct Branch {
    /// The end of each leaf.
    ends: Vec<u64>,
    leaves: Vec<Leaf>,
}

/// A list of VMAs; never empty.
#[derive(Clone, Debug)]
struct Leaf {
    /// The end of each VMA; `u64::MAX` after the last, which no VMA reaches.
    ends: [u64; LEAF],
    vmas: Vec<Vma>,
}

impl Leaf {
    fn of(vmas: Vec<Vma>) -> Leaf {
        let mut leaf = Leaf { ends: [u64::MAX; LEAF], vmas };
        leaf.update_from(0);
        leaf
    }

    /// Updates the ends of the VMAs from `index` on.
    #[inline]
    fn update_from(&mut self, index: usize) {
        let ends = self.vmas[index..].iter().map(|vma| vma.end);
        let places = &mut self.ends[index..];
        let padded = ends.chain(std::iter::repeat(u64::MAX));
        places.iter_mut().zip(padded).for_each(|(place, end)| *place = end);
    }

    fn end(&self) -> u64 {
        self.vmas.last().map_or(0, |vma| vma.end)
    }
}

/// The position of a VMA; valid until a VMA before it is inserted or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    branch: usize,
    leaf: usize,
    index: usize,
}

impl Vmas {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first VMA that ends above `address`: the one that covers it, or the next.
    #[inline]
    pub(crate) fn find(&self, address: u64) -> Option<Position> {
        let branch = self.ends.partition_point(|end| *end <= address);
        let Branch { ends, leaves } = self.branches.get(branch)?;
        let leaf = ends.partition_point(|end| *end <= address);
        // A count has no branches to mispredict.
        let index = leaves[leaf].ends.iter().filter(|end| **end <= address).count();
        Some(Position { branch, leaf, index })
    }

    #[inline]
    pub(crate) fn get(&self, at: Position) -> &Vma {
        &self.branches[at.branch].leaves[at.leaf].vmas[at.index]
    }

    /// Changes a VMA. Its addresses may change if the order stays the same.
    #[inline]
    pub(crate) fn change<T>(&mut self, at: Position, change: impl FnOnce(&mut Vma) -> T) -> T {
        let leaf = &mut self.branches[at.branch].leaves[at.leaf];
        let vma = &mut leaf.vmas[at.index];
        let result = change(vma);
        if leaf.ends[at.index] != vma.end {
            leaf.ends[at.index] = vma.end;
            self.update_end(at);
        }
        result
    }

    /// Updates the ends kept for a leaf after it changed.
    #[inline]
    fn update_end(&mut self, at: Position) {
        let Branch { ends, leaves } = &mut self.branches[at.branch];
        ends[at.leaf] = leaves[at.leaf].end();
        if let Some(last) = ends.last() {
            self.ends[at.branch] = *last;
        }
    }

    fn last(&self) -> Option<Position> {
        let branch = self.branches.len().checked_sub(1)?;
        let leaf = self.branches[branch].leaves.len() - 1;
        Some(Position { branch, leaf, index: self.branches[branch].leaves[leaf].vmas.len() - 1 })
    }

    #[inline]
    pub(crate) fn next(&self, at: Position) -> Option<Position> {
        let Position { branch, leaf, index } = at;
        let leaves = &self.branches[branch].leaves;
        if index + 1 < leaves[leaf].vmas.len() {
            Some(Position { branch, leaf, index: index + 1 })
        } else if leaf + 1 < leaves.len() {
            Some(Position { branch, leaf: leaf + 1, index: 0 })
        } else if branch + 1 < self.branches.len() {
            Some(Position { branch: branch + 1, leaf: 0, index: 0 })
        } else {
            None
        }
    }

    #[inline]
    pub(crate) fn previous(&self, at: Position) -> Option<Position> {
        let Position { branch, leaf, index } = at;
        if index > 0 {
            return Some(Position { branch, leaf, index: index - 1 });
        }
        let (branch, leaf) = match (branch, leaf) {
            (0, 0) => return None,
            (_, 0) => (branch - 1, self.branches[branch - 1].leaves.len() - 1),
            _ => (branch, leaf - 1),
        };
        Some(Position { branch, leaf, index: self.branches[branch].leaves[leaf].vmas.len() - 1 })
    }

    /// The last VMA that starts below `address`.
    #[inline]
    pub(crate) fn find_below(&self, address: u64) -> Option<Position> {
        match self.find(address) {
            Some(at) if self.get(at).start < address => Some(at),
            Some(at) => self.previous(at),
            None => self.last(),
        }
    }

    /// Inserts a VMA at its place, which must be free.
    pub(crate) fn insert(&mut self, vma: Vma) -> Position {
        match self.find(vma.start) {
            Some(at) => self.insert_at(at, vma),
            None => match self.last() {
                Some(at) => self.insert_at(Position { index: at.index + 1, ..at }, vma),
                None => {
                    self.len = 1;
                    self.ends.push(vma.end);
                    let ends = vec![vma.end];
                    self.branches.push(Branch { ends, leaves: vec![Leaf::of(vec![vma])] });
                    Position { branch: 0, leaf: 0, index: 0 }
                }
            },
        }
    }

    /// Inserts a VMA after another.
    pub(crate) fn insert_after(&mut self, at: Position, vma: Vma) -> Position {
        self.insert_at(Position { index: at.index + 1, ..at }, vma)
    }

    /// Inserts a VMA into a leaf; returns its position.
    fn insert_at(&mut self, at: Position, vma: Vma) -> Position {
        let mut at = at;
        if self.branches[at.branch].leaves[at.leaf].vmas.len() == LEAF {
            at = self.split_leaf(at);
        }
        self.len += 1;
        let leaf = &mut self.branches[at.branch].leaves[at.leaf];
        if leaf.vmas.len() == leaf.vmas.capacity() {
            leaf.vmas.reserve_exact(SPARE);
        }
        leaf.vmas.insert(at.index, vma);
        leaf.update_from(at.index);
        self.update_end(at);
        at
    }

    /// Splits a full leaf; returns the position at which the VMA for `at` is inserted.
    fn split_leaf(&mut self, at: Position) -> Position {
        let Branch { ends, leaves } = &mut self.branches[at.branch];
        // Rows are inserted in ascending order: a leaf that grows at its end stays full.
        let cut = if at.index == LEAF { LEAF - 1 } else { LEAF / 2 };
        let lower = &mut leaves[at.leaf];
        let mut upper = Vec::with_capacity(LEAF - cut + SPARE);
        upper.extend(lower.vmas.drain(cut..));
        lower.vmas.shrink_to(cut + SPARE);
        lower.update_from(cut);
        ends.insert(at.leaf, lower.end());
        leaves.insert(at.leaf + 1, Leaf::of(upper));
        let mut found = match at.index.checked_sub(cut) {
            Some(index) => Position { leaf: at.leaf + 1, index, ..at },
            None => at,
        };
        if leaves.len() > BRANCH {
            let half = BRANCH / 2;
            let (upper, upper_ends) = (leaves.split_off(half), ends.split_off(half));
            let end = ends[half - 1];
            self.ends.insert(at.branch, end);
            self.branches.insert(at.branch + 1, Branch { ends: upper_ends, leaves: upper });
            if let Some(leaf) = found.leaf.checked_sub(half) {
                found = Position { branch: at.branch + 1, leaf, ..found };
            }
        }
        found
    }

    pub(crate) fn remove(&mut self, at: Position) -> Vma {
        self.len -= 1;
        let Branch { ends, leaves } = &mut self.branches[at.branch];
        let leaf = &mut leaves[at.leaf];
        let vma = leaf.vmas.remove(at.index);
        if !leaf.vmas.is_empty() {
            leaf.update_from(at.index);
            self.update_end(at);
            return vma;
        }
        leaves.remove(at.leaf);
        ends.remove(at.leaf);
        match ends.last() {
            Some(last) => self.ends[at.branch] = *last,
            None => {
                self.branches.remove(at.branch);
                self.ends.remove(at.branch);
            }
        }
        vma
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vma> + Clone {
        self.branches.iter().flat_map(|branch| &branch.leaves).flat_map(|leaf| &leaf.vmas)
    }

    /// The VMAs that overlap `start..end`, in order.
    #[inline]
    pub(crate) fn within(&self, start: u64, end: u64) -> impl Iterator<Item = &Vma> {
        let mut at = self.find(start);
        std::iter::from_fn(move || {
            let here = at?;
            let vma = self.get(here);
            if vma.start >= end {
                return None;
            }
            at = self.next(here);
            Some(vma)
        })
    }
}
