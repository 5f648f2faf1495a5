//! A row, and what is known of it beside its text.

use crate::atlas::Atlas;
use crate::recorded::Made;
use crate::sections::Section;
use crate::words::values::printable;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use vmatlas_explain::label::{Label, Labelled};
use vmatlas_linux::files::FileTruth;
use vmatlas_maps::{Device, Mapping, TextFormat};

/// A row of an [`Atlas`]. What is costly is computed when it is first asked for.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    pub(crate) atlas: &'a Atlas,
    pub(crate) index: usize,
    pub(crate) mapping: Mapping<'a>,
}

impl Atlas {
    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> + DoubleEndedIterator + Clone {
        let row = |(index, mapping)| Row { atlas: self, index, mapping };
        self.maps().iter().enumerate().map(row)
    }

    /// The row of that index.
    pub fn row(&self, index: usize) -> Option<Row<'_>> {
        Some(Row { atlas: self, index, mapping: self.maps().get(index)? })
    }
}

/// The path of a row's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePath<'a> {
    bytes: Cow<'a, [u8]>,
    is_certain: bool,
}

impl<'a> FilePath<'a> {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a second source agrees: the file's device and inode.
    pub fn is_certain(&self) -> bool {
        self.is_certain
    }

    /// Its bytes, for who keeps them.
    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        self.bytes
    }

    /// For people: control characters are escaped.
    pub fn display(&self) -> String {
        printable(&self.bytes)
    }
}

impl Deref for FilePath<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'a> Row<'a> {
    /// The atlas that it is of.
    pub fn atlas(&self) -> &'a Atlas {
        self.atlas
    }

    /// Its place among the rows.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The row as the source has it.
    pub fn mapping(&self) -> Mapping<'a> {
        self.mapping
    }

    /// The device; `None` where the row has one that the source does not tell.
    pub fn device(&self) -> Option<Device> {
        Some(self.mapping.device).filter(|_| !self.is_of_unknown_file())
    }

    /// The inode number; `None` where the row has one that the source does not tell.
    pub fn inode(&self) -> Option<u64> {
        Some(self.mapping.inode).filter(|_| !self.is_of_unknown_file())
    }

    /// A core has the names of files and nothing else of them.
    fn is_of_unknown_file(&self) -> bool {
        self.atlas.core().is_some() && self.mapping.has_file()
    }

    /// The path of its file.
    pub fn path(&self) -> Option<FilePath<'a>> {
        if let Some(truth) = self.truth() {
            let bytes = Cow::Borrowed(truth.path.as_slice());
            return Some(FilePath { bytes, is_certain: truth.certain });
        }
        Some(FilePath { bytes: self.mapping.file_name()?.path, is_certain: false })
    }

    /// Whether its file has no name any more; `None` where that is not certain.
    pub fn is_deleted(&self) -> Option<bool> {
        match self.truth() {
            Some(truth) => truth.deleted,
            None => self.mapping.file_name()?.deleted,
        }
    }

    /// What a second source says of its file; of live processes only.
    pub fn truth(&self) -> Option<&'a FileTruth> {
        self.atlas.truth(self.index)
    }

    /// A field of smaps by its name in any case; sizes in bytes.
    pub fn size_field(&self, name: &str) -> Option<u64> {
        let mut fields = self.atlas.maps().fields(self.index);
        fields.find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?.value.number()
    }

    /// Resident memory in bytes (`Rss`).
    pub fn rss(&self) -> Option<u64> {
        self.size_field("Rss")
    }

    /// The proportional share of resident memory in bytes (`Pss`).
    pub fn pss(&self) -> Option<u64> {
        self.size_field("Pss")
    }

    /// Resident memory that nobody else maps, in bytes (`Private_Clean` and `Private_Dirty`).
    pub fn uss(&self) -> Option<u64> {
        Some(self.size_field("Private_Clean")?.saturating_add(self.size_field("Private_Dirty")?))
    }

    /// Memory in swap space, in bytes (`Swap`).
    pub fn swap(&self) -> Option<u64> {
        self.size_field("Swap")
    }

    /// What it or parts of it are for.
    pub fn labels(&self) -> &'a [Labelled] {
        self.atlas.labels().within(self.mapping.range)
    }

    /// What most of it is for.
    pub fn label(&self) -> Option<&'a Label> {
        self.atlas.labels().most_of(self.mapping.range)
    }

    /// Who made its bytes, each with how many, those with the most first.
    pub fn made(&self) -> impl ExactSizeIterator<Item = (Made<'a>, u64)> + use<'a> {
        let (atlas, range) = (self.atlas, self.mapping.range);
        let made = |recorded| {
            let origins = atlas.origins();
            let rows = origins.rows.get(self.index).map_or(&[][..], Vec::as_slice);
            rows.iter().map(move |&(origin, bytes)| {
                (Made { range, origin, recorded, stacks: &origins.stacks }, bytes)
            })
        };
        let all: Vec<(Made<'a>, u64)> = atlas.recorded().into_iter().flat_map(made).collect();
        all.into_iter()
    }

    /// The largest sections of its file that lie in it.
    pub fn sections(&self) -> &'a [Section] {
        self.atlas.sections_by_row().get(self.index).map_or(&[], Vec::as_slice)
    }
}

impl<'a> Deref for Row<'a> {
    type Target = Mapping<'a>;

    fn deref(&self) -> &Mapping<'a> {
        &self.mapping
    }
}

/// The line of the kernel, with control characters escaped.
impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Vec::new();
        let format: TextFormat = self.atlas.maps().format();
        format.write_row(&self.mapping, &mut line);
        line.pop_if(|last| *last == b'\n');
        f.write_str(&printable(&line))
    }
}
