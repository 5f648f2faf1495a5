//! Rows stored for the next call.

use super::space::escaped;
use vmatlas_maps::Mapping;

/// A row of a new mapping.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    row: Mapping<'static>,
    name: Vec<u8>,
}

impl Shown {
    /// From a row with unescaped line feeds.
    pub(super) fn of(row: &Mapping<'_>) -> Shown {
        let mut buffer = Vec::new();
        let row = escaped(row, &mut buffer);
        let name = row.name.to_vec();
        let Mapping { range, perms, offset, device, inode, .. } = row;
        Shown { row: Mapping { range, perms, offset, device, inode, name: b"" }, name }
    }

    pub(super) fn row(&self) -> Mapping<'_> {
        Mapping { name: &self.name, ..self.row }
    }
}
