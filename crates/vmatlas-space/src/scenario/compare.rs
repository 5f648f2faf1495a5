//! Compares the rows of a kernel or the model with those that a scenario expects.

use super::{Backing, Name, ScenarioRow};
use std::collections::BTreeMap;
use vmatlas_maps::{Device, Perms};

/// A row of a region as a kernel shows it: device and inode identify objects, not labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelRow {
    /// The first page.
    pub from: i64,
    /// The first page after it.
    pub to: i64,
    /// The permissions.
    pub perms: Perms,
    /// The offset in pages.
    pub offset: u64,
    /// The device; `00:00` without an object.
    pub device: Device,
    /// The inode; 0 without an object, or for a System V segment with number 0.
    pub inode: u64,
    /// The name as in scenarios: without the scenario's directory, `#INODE` for a file without a
    /// name.
    pub name: Vec<u8>,
}

/// The identity of an object: device and inode.
pub type Identity = (Device, u64);

impl KernelRow {
    /// The identity of the mapped object, if any.
    pub fn identity(&self) -> Option<Identity> {
        let identity = (self.device, self.inode);
        (identity != Identity::default()).then_some(identity)
    }

    /// Whether the row matches `expected`, ignoring the label.
    fn shows(&self, expected: &ScenarioRow) -> bool {
        let same = (self.from, self.to, self.perms) == (expected.from, expected.to, expected.perms);
        same && match &expected.backing {
            Backing::None(name) => self.identity().is_none() && self.name == *name,
            Backing::Object { offset, shown, .. } => {
                self.identity().is_some() && self.offset == *offset && self.name == *shown
            }
        }
    }
}

/// The object of each label, learned from one snapshot after another.
#[derive(Clone, Debug, Default)]
pub struct Labels(BTreeMap<Name, Identity>);

impl Labels {
    /// The label of an object.
    pub fn of(&self, identity: Identity) -> Option<&Name> {
        self.0.iter().find(|(_, known)| **known == identity).map(|(label, _)| label)
    }
}

/// The first difference between shown and expected rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// This row, counted from 0, differs, is missing or is surplus.
    #[error("row {0} is not the one expected")]
    Row(usize),
    /// This row, counted from 0, shows an object other than the one its label stands for, or one
    /// that has another label.
    #[error("row {0} shows another object than its label says")]
    Label(usize),
}

/// Compares shown rows with expected ones: equal labels must stand for equal device and inode,
/// different labels for different ones.
///
/// A label is learned, and kept as long as each snapshot shows it: the kernel may reuse the
/// inode number for another object later.
///
/// # Errors
/// The first difference. The labels are then unchanged.
pub fn compare(
    expected: &[ScenarioRow],
    shown: &[KernelRow],
    labels: &mut Labels,
) -> Result<(), Difference> {
    let mut now: BTreeMap<&Name, Identity> = BTreeMap::new();
    for (index, row) in expected.iter().enumerate() {
        let shown = shown.get(index).filter(|shown| shown.shows(row));
        let shown = shown.ok_or(Difference::Row(index))?;
        let (Backing::Object { label, .. }, Some(identity)) = (&row.backing, shown.identity())
        else {
            continue;
        };
        let before = labels.0.get(label).or(now.get(label));
        let taken = now.iter().any(|(other, known)| *known == identity && *other != label);
        if before.is_some_and(|before| *before != identity) || taken {
            return Err(Difference::Label(index));
        }
        now.insert(label, identity);
    }
    if shown.len() > expected.len() {
        return Err(Difference::Row(expected.len()));
    }
    labels.0 = now.into_iter().map(|(label, identity)| (label.clone(), identity)).collect();
    Ok(())
}

/// The rows as a scenario writes them, with the learned labels. An object without a label gets
/// `?` and its inode.
pub fn labelled(shown: &[KernelRow], labels: &Labels) -> Vec<ScenarioRow> {
    let backing = |row: &KernelRow| match row.identity() {
        None => Backing::None(row.name.clone()),
        Some(identity) => Backing::Object {
            offset: row.offset,
            label: labels.of(identity).cloned().unwrap_or_else(|| format!("?{}", row.inode)),
            shown: row.name.clone(),
        },
    };
    let row = |row: &KernelRow| ScenarioRow {
        from: row.from,
        to: row.to,
        perms: row.perms,
        backing: backing(row),
    };
    shown.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows from `(from, to, inode)`; inode 0 means no object.
    fn shown(rows: &[(i64, i64, u64)]) -> Vec<KernelRow> {
        let row = |&(from, to, inode): &(i64, i64, u64)| KernelRow {
            from,
            to,
            perms: Perms(*b"rw-p"),
            offset: 0,
            device: Device::default(),
            inode,
            name: Vec::new(),
        };
        rows.iter().map(row).collect()
    }

    fn expected(rows: &[(i64, i64, &str)]) -> Vec<ScenarioRow> {
        let backing = |label: &str| match label {
            "" => Backing::None(Vec::new()),
            label => Backing::Object { offset: 0, label: label.into(), shown: Vec::new() },
        };
        let row = |&(from, to, label): &(i64, i64, &str)| ScenarioRow {
            from,
            to,
            perms: Perms(*b"rw-p"),
            backing: backing(label),
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn labels_mean_one_object_each() {
        let mut labels = Labels::default();
        let mut check = |rows: &[(i64, i64, &str)], kernel: &[(i64, i64, u64)]| {
            compare(&expected(rows), &shown(kernel), &mut labels)
        };
        assert_eq!(check(&[(0, 1, ""), (1, 2, "A")], &[(0, 1, 0), (1, 2, 7)]), Ok(()));
        assert_eq!(check(&[(1, 2, "A")], &[(1, 2, 8)]), Err(Difference::Label(0)));
        assert_eq!(check(&[(1, 2, "A"), (2, 3, "B")], &[(1, 2, 7), (2, 3, 8)]), Ok(()));
        let same = [(1, 2, 7), (2, 3, 7)];
        assert_eq!(check(&[(1, 2, "A"), (2, 3, "B")], &same), Err(Difference::Label(1)));
        assert_eq!(check(&[(1, 2, "B")], &[(1, 2, 8)]), Ok(()));
        // A is gone: another object may have its inode number now.
        assert_eq!(check(&[(1, 2, "C")], &[(1, 2, 7)]), Ok(()));
        assert_eq!(check(&[(1, 2, "A")], &[(1, 2, 9)]), Ok(()));
    }

    #[test]
    fn the_first_difference_is_reported() {
        let check = |rows: &[(i64, i64, &str)], kernel: &[(i64, i64, u64)]| {
            compare(&expected(rows), &shown(kernel), &mut Labels::default())
        };
        assert_eq!(check(&[(0, 1, "")], &[(0, 2, 0)]), Err(Difference::Row(0)));
        assert_eq!(check(&[(0, 1, "")], &[(0, 1, 3)]), Err(Difference::Row(0)));
        assert_eq!(check(&[(0, 1, "")], &[]), Err(Difference::Row(0)));
        assert_eq!(check(&[], &[(0, 1, 0)]), Err(Difference::Row(0)));
        assert_eq!(check(&[(0, 1, "")], &[(0, 1, 0), (1, 2, 0)]), Err(Difference::Row(1)));
    }

    #[test]
    fn shown_rows_are_labelled_as_learned() {
        let mut labels = Labels::default();
        compare(&expected(&[(0, 1, "A")]), &shown(&[(0, 1, 7)]), &mut labels).unwrap();
        let rows = labelled(&shown(&[(0, 1, 7), (1, 2, 8), (2, 3, 0)]), &labels);
        assert_eq!(rows, expected(&[(0, 1, "A"), (1, 2, "?8"), (2, 3, "")]));
    }
}
