//! The VMAs of an address space in the order of their addresses.
//!
//! A tree of three levels: VMAs in leaves, leaves in branches, branches in one list. A leaf holds
//! up to 64 and a branch up to 256, so two million VMAs make some 200 branches, and a search is
//! three short binary searches. Most processes have one to forty leaves.

use super::vma::Vma;

const LEAF: usize = 64;
const BRANCH: usize = 256;

/// The container. VMAs never overlap; the callers see to that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vmas {
    branches: Vec<Branch>,
    len: usize,
}

/// Some leaves; never empty.
#[derive(Clone, Debug)]
struct Branch {
    leaves: Vec<Leaf>,
}

/// Some VMAs; never empty.
#[derive(Clone, Debug)]
struct Leaf {
    /// Where the last VMA ends, so that a search need not look into the VMAs.
    end: u64,
    vmas: Vec<Vma>,
}

/// Where a VMA stands; good until VMAs are inserted or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    branch: usize,
    leaf: usize,
    index: usize,
}

impl Branch {
    fn end(&self) -> u64 {
        self.leaves[self.leaves.len() - 1].end
    }
}

impl Leaf {
    fn of(vmas: Vec<Vma>) -> Leaf {
        let mut leaf = Leaf { end: 0, vmas };
        leaf.update();
        leaf
    }

    fn update(&mut self) {
        self.end = self.vmas.last().map_or(0, |vma| vma.end);
    }
}

impl Vmas {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first VMA that ends above `address`: the one that covers it, or the next.
    pub(crate) fn find(&self, address: u64) -> Option<Position> {
        let branch = self.branches.partition_point(|branch| branch.end() <= address);
        let leaves = &self.branches.get(branch)?.leaves;
        let leaf = leaves.partition_point(|leaf| leaf.end <= address);
        let index = leaves[leaf].vmas.partition_point(|vma| vma.end <= address);
        Some(Position { branch, leaf, index })
    }

    pub(crate) fn get(&self, at: Position) -> &Vma {
        &self.branches[at.branch].leaves[at.leaf].vmas[at.index]
    }

    /// Changes a VMA. Its addresses may change as long as the order stays.
    pub(crate) fn change<T>(&mut self, at: Position, change: impl FnOnce(&mut Vma) -> T) -> T {
        let leaf = &mut self.branches[at.branch].leaves[at.leaf];
        let result = change(&mut leaf.vmas[at.index]);
        leaf.update();
        result
    }

    pub(crate) fn last(&self) -> Option<Position> {
        let branch = self.branches.len().checked_sub(1)?;
        let leaf = self.branches[branch].leaves.len() - 1;
        Some(Position { branch, leaf, index: self.branches[branch].leaves[leaf].vmas.len() - 1 })
    }

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
    pub(crate) fn find_below(&self, address: u64) -> Option<Position> {
        match self.find(address) {
            Some(at) if self.get(at).start < address => Some(at),
            Some(at) => self.previous(at),
            None => self.last(),
        }
    }

    /// Puts a VMA where it belongs, which must be free.
    pub(crate) fn insert(&mut self, vma: Vma) {
        self.len += 1;
        let Position { branch, leaf, index } = match self.find(vma.start) {
            Some(at) => at,
            None => match self.last() {
                Some(at) => Position { index: at.index + 1, ..at },
                None => {
                    self.branches.push(Branch { leaves: vec![Leaf::of(vec![vma])] });
                    return;
                }
            },
        };
        let leaves = &mut self.branches[branch].leaves;
        leaves[leaf].vmas.insert(index, vma);
        leaves[leaf].update();
        if leaves[leaf].vmas.len() <= LEAF {
            return;
        }
        // Text is read upwards: a leaf that grew at its end stays full.
        let at = if index == LEAF { LEAF - 4 } else { LEAF / 2 };
        let mut upper = Vec::with_capacity(LEAF + 1);
        upper.extend(leaves[leaf].vmas.drain(at..));
        leaves[leaf].update();
        leaves.insert(leaf + 1, Leaf::of(upper));
        if leaves.len() > BRANCH {
            let upper = leaves.split_off(BRANCH / 2);
            self.branches.insert(branch + 1, Branch { leaves: upper });
        }
    }

    pub(crate) fn remove(&mut self, at: Position) -> Vma {
        self.len -= 1;
        let leaves = &mut self.branches[at.branch].leaves;
        let vma = leaves[at.leaf].vmas.remove(at.index);
        if leaves[at.leaf].vmas.is_empty() {
            leaves.remove(at.leaf);
            if leaves.is_empty() {
                self.branches.remove(at.branch);
            }
        } else {
            leaves[at.leaf].update();
        }
        vma
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vma> + Clone {
        self.branches.iter().flat_map(|branch| &branch.leaves).flat_map(|leaf| &leaf.vmas)
    }

    /// The VMAs that have an address in `start..end`, in order.
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
