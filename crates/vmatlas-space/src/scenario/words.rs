//! The keywords of scenario files for the values of the model.

use super::{Access, Advice, Comparison, Fact, Region, VersionCondition};

/// The first words of operations.
pub(super) const OPERATIONS: [&str; 47] = [
    "map",
    "unmap",
    "protect",
    "remap",
    "refile",
    "advise",
    "lock",
    "unlock",
    "mlockall",
    "munlockall",
    "seal",
    "name",
    "pkey",
    "policy",
    "uffd",
    "register",
    "unregister",
    "brk",
    "ksm",
    "personality",
    "vdso",
    "read",
    "write",
    "file",
    "tmpfile",
    "memfd",
    "secretmem",
    "device",
    "open",
    "dup",
    "close",
    "truncate",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "shm",
    "attach",
    "detach",
    "fork",
    "parent",
    "child",
    "expect",
    "end",
    "needs",
    "kernel",
];

impl Fact {
    /// Each fact with its word in scenarios.
    pub const ALL: [(Fact, &'static str); 17] = [
        (Fact::Thp, "thp"),
        (Fact::Ksm, "ksm"),
        (Fact::KsmPrctl, "ksm-prctl"),
        (Fact::Pkeys, "pkeys"),
        (Fact::Uffd, "uffd"),
        (Fact::AnonNames, "anon-names"),
        (Fact::Mseal, "mseal"),
        (Fact::Numa, "numa"),
        (Fact::Guard, "guard"),
        (Fact::Droppable, "droppable"),
        (Fact::Secretmem, "secretmem"),
        (Fact::Sysv, "sysv"),
        (Fact::Tmpfile, "tmpfile"),
        (Fact::Hugetlb, "hugetlb"),
        (Fact::Noreserve, "noreserve"),
        (Fact::MapVdso, "map-vdso"),
        (Fact::Root, "root"),
    ];

    /// The word in scenarios.
    pub fn word(self) -> &'static str {
        word_of(&Fact::ALL, self)
    }
}

pub(super) const REGIONS: [(Region, &str); 3] =
    [(Region::Plain, "plain"), (Region::Heap, "heap"), (Region::Stack, "stack")];

pub(super) const COMPARISONS: [(Comparison, &str); 5] = [
    (Comparison::Less, "<"),
    (Comparison::LessOrEqual, "<="),
    (Comparison::Equal, "="),
    (Comparison::GreaterOrEqual, ">="),
    (Comparison::Greater, ">"),
];

pub(super) const ACCESSES: [(Access, &str); 3] =
    [(Access::ReadWrite, "rw"), (Access::ReadOnly, "ro"), (Access::WriteOnly, "wo")];

impl Advice {
    /// The word in scenarios.
    pub fn word(self) -> &'static str {
        let known = Advice::ALL.iter().find(|(advice, _, _)| *advice == self);
        known.map_or("", |(_, word, _)| word)
    }
}

/// The word of a value in its table.
pub(super) fn word_of<T: Copy + PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(known, _)| *known == value).map_or("", |(_, word)| word)
}

/// The value of a word in a table.
pub(super) fn value_of<T: Copy>(table: &[(T, &'static str)], word: &str) -> Option<T> {
    table.iter().find(|(_, known)| *known == word).map(|(value, _)| *value)
}

impl VersionCondition {
    /// Whether a kernel of this version (major and minor number) meets the condition.
    pub fn holds(&self, version: (u16, u16)) -> bool {
        match self.comparison {
            Comparison::Less => version < self.version,
            Comparison::LessOrEqual => version <= self.version,
            Comparison::Equal => version == self.version,
            Comparison::GreaterOrEqual => version >= self.version,
            Comparison::Greater => version > self.version,
        }
    }
}

/// The known word that differs from `word` in at most two letters.
pub(super) fn nearest(
    word: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    // A word that long is not a typing error.
    if word.len() > 24 {
        return None;
    }
    let close = known.map(|known| (distance(word.as_bytes(), known.as_bytes()), known));
    close.filter(|(n, known)| *n <= 2 && *n < known.len()).min_by_key(|(n, _)| *n).map(|(_, k)| k)
}

/// The edit distance: the insertions, removals and changes of letters from `a` to `b`.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
