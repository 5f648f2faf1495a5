//! The differences between two maps.

use crate::kind::Kind;
use crate::mapping::{Device, Mapping};
use crate::maps::Maps;
use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

/// The difference between two maps. Mappings are matched by identity, not by address, so two runs
/// of a program under address space layout randomization can be compared.
///
/// A mapping's identity is its file and offset, or its name. Memory without a name is identified
/// by the named mapping before it and its position after that one. Within one process the
/// address is compared first.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Diff<'a> {
    /// Rows that only the second map has.
    pub added: Vec<Mapping<'a>>,
    /// Rows that only the first map has.
    pub removed: Vec<Mapping<'a>>,
    /// Rows in both maps that differ in more than the address.
    pub changed: Vec<Change<'a>>,
    /// Pairs `(from, to)` of rows that differ only in the address, or in a field that one of the
    /// maps does not record.
    pub moved: Vec<(Mapping<'a>, Mapping<'a>)>,
}

/// A mapping that is in both maps but differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change<'a> {
    /// The row of the first map.
    pub from: Mapping<'a>,
    /// The row of the second map.
    pub to: Mapping<'a>,
    /// The fields that differ: `size`, `perms`, `offset`, `device`, `inode`, `name`.
    pub what: Vec<&'static str>,
}

/// The fields that must match for two rows to be the same mapping; later [`PASSES`] compare fewer.
#[derive(PartialEq, Eq, Hash)]
struct Key<'k> {
    kind: &'static str,
    name: &'k [u8],
    anchor: Option<&'k [u8]>,
    offset: Option<u64>,
    start: Option<u64>,
    end: Option<u64>,
    size: Option<u64>,
    perms: Option<[u8; 4]>,
}

struct Row<'a> {
    row: Mapping<'a>,
    kind: &'static str,
    name: Cow<'a, [u8]>,
    /// The name of the nearest named row at lower addresses, for rows without a name.
    anchor: Cow<'a, [u8]>,
}

type Pass = for<'k> fn(&'k Row<'_>) -> Option<Key<'k>>;

/// Ordered from certain matches to likely ones.
const PASSES: [Pass; 9] = [
    |r| {
        let range = r.row.range;
        let key = Key {
            start: Some(range.start),
            end: Some(range.end),
            perms: Some(r.row.perms.0),
            ..r.key()
        };
        Some(Key { offset: Some(r.row.offset), ..key })
    },
    |r| Some(Key { start: Some(r.row.range.start), offset: Some(r.row.offset), ..r.key() }),
    |r| Some(Key { end: Some(r.row.range.end), ..r.key() }),
    |r| Some(Key { size: Some(r.row.range.size()), perms: Some(r.row.perms.0), ..r.placed() }),
    |r| Some(Key { perms: Some(r.row.perms.0), ..r.placed() }),
    |r| Some(r.placed()),
    |r| Some(Key { anchor: Some(&r.anchor), perms: Some(r.row.perms.0), ..r.key() }),
    |r| Some(Key { anchor: Some(&r.anchor), ..r.key() }),
    |r| {
        let nameless =
            Key { size: Some(r.row.range.size()), perms: Some(r.row.perms.0), ..r.key() };
        r.name.is_empty().then_some(nameless)
    },
];

impl Row<'_> {
    fn key(&self) -> Key<'_> {
        Key {
            kind: self.kind,
            name: &self.name,
            anchor: None,
            offset: None,
            start: None,
            end: None,
            size: None,
            perms: None,
        }
    }

    /// The position in a file, or after a named row.
    fn placed(&self) -> Key<'_> {
        Key { anchor: Some(&self.anchor), offset: Some(self.row.offset), ..self.key() }
    }
}

fn rows(maps: &Maps) -> Vec<Row<'_>> {
    let mut anchor = Cow::Borrowed(b"".as_slice());
    maps.iter()
        .map(|row| {
            let kind = row.kind();
            let name = match kind {
                // The number in the name changes with each run.
                Kind::Socket | Kind::ThreadStack { .. } => Cow::Borrowed(b"".as_slice()),
                _ => row.file_name().map_or(Cow::Borrowed(row.name), |file| file.path),
            };
            if !name.is_empty() {
                anchor = name.clone();
            }
            let anchor =
                if name.is_empty() { anchor.clone() } else { Cow::Borrowed(b"".as_slice()) };
            Row { row, kind: kind.word(), name, anchor }
        })
        .collect()
}

impl<'a> Diff<'a> {
    /// Compares two maps in time linear in the number of rows.
    ///
    /// ```
    /// use vmatlas_maps::{Diff, Maps};
    /// let first = Maps::parse(b"1000-2000 rw-p 0 0:0 0 [heap]\n9000-a000 r--p 0 1:2 7 /x\n").unwrap();
    /// let second = Maps::parse(b"3000-6000 rw-p 0 0:0 0 [heap]\n8000-9000 r--p 0 1:2 7 /x\n").unwrap();
    /// let diff = Diff::compare(&first, &second);
    /// assert_eq!(diff.changed[0].what, ["size"]);
    /// assert_eq!(diff.moved.len(), 1);
    /// ```
    pub fn compare(first: &'a Maps, second: &'a Maps) -> Diff<'a> {
        let (a, b) = (rows(first), rows(second));
        let mut partner: Vec<Option<usize>> = vec![None; a.len()];
        let mut taken = vec![false; b.len()];
        for pass in PASSES {
            let mut free: HashMap<Key<'_>, VecDeque<usize>> = HashMap::new();
            for (j, row) in b.iter().enumerate().filter(|(j, _)| !taken[*j]) {
                if let Some(key) = pass(row) {
                    free.entry(key).or_default().push_back(j);
                }
            }
            for (row, partner) in
                a.iter().zip(&mut partner).filter(|(_, partner)| partner.is_none())
            {
                *partner =
                    pass(row).and_then(|key| free.get_mut(&key)).and_then(VecDeque::pop_front);
                partner.iter().for_each(|&j| taken[j] = true);
            }
        }
        let mut diff = Diff::default();
        for (row, partner) in a.iter().zip(partner) {
            match partner {
                None => diff.removed.push(row.row),
                Some(j) => diff.sort_in(row.row, b[j].row),
            }
        }
        diff.added =
            b.iter().zip(taken).filter(|(_, taken)| !taken).map(|(row, _)| row.row).collect();
        diff
    }

    fn sort_in(&mut self, from: Mapping<'a>, to: Mapping<'a>) {
        let perms = from.perms.0.iter().zip(to.perms.0);
        let perms = perms.filter(|&(&a, b)| a != b && a != b'?' && b != b'?');
        // A core dump records neither device nor inode.
        let recorded = |row: &Mapping<'_>| row.inode != 0 || row.device != Device::default();
        let recorded = !from.has_file() || recorded(&from) && recorded(&to);
        let what: Vec<&'static str> = [
            ("size", from.range.size() != to.range.size()),
            ("perms", perms.count() > 0),
            ("offset", from.offset != to.offset),
            ("device", recorded && from.device != to.device),
            ("inode", recorded && from.inode != to.inode),
            ("name", from.name != to.name),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
        .collect();
        // The kernel gives an object without a file a new inode and number each time it is made.
        let counted = |what: &&str| match from.kind() {
            Kind::File | Kind::Device => true,
            Kind::Socket | Kind::ThreadStack { .. } => *what != "inode" && *what != "name",
            _ => *what != "inode",
        };
        if what.iter().any(counted) {
            self.changed.push(Change { from, to, what });
        } else if from != to {
            self.moved.push((from, to));
        }
    }

    /// Whether the two maps differ in addresses only.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// Applies the difference to the first map and returns the second, ordered by address.
    pub fn apply(&self, first: &Maps) -> Maps {
        let mut next: HashMap<Mapping<'_>, VecDeque<Option<Mapping<'_>>>> = HashMap::new();
        let changed = self.changed.iter().map(|change| (change.from, Some(change.to)));
        let moved = self.moved.iter().map(|&(from, to)| (from, Some(to)));
        for (from, to) in self.removed.iter().map(|&row| (row, None)).chain(changed).chain(moved) {
            next.entry(from).or_default().push_back(to);
        }
        let kept =
            first.iter().filter_map(|row| match next.get_mut(&row).and_then(VecDeque::pop_front) {
                Some(to) => to,
                None => Some(row),
            });
        let mut rows: Vec<Mapping<'_>> = kept.chain(self.added.iter().copied()).collect();
        rows.sort_by_key(|row| (row.range.start, row.range.end));
        rows.into_iter().collect()
    }
}
