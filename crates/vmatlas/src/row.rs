//! A row, and facts about it beyond its text.

use crate::atlas::Atlas;
use crate::recorded::{Made, Recorded};
use crate::sections::Section;
use crate::words::values::printable;
use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use vmatlas_explain::label::{Label, Labelled};
use vmatlas_linux::files::FileTruth;
use vmatlas_maps::{Device, Mapping, Sizes, TextFormat};

/// A row of an [`Atlas`]. Costly facts are computed when first requested.
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

    /// The row at an index.
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
    /// The bytes of the path.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a second source confirms the path by the file's device and inode.
    pub fn is_certain(&self) -> bool {
        self.is_certain
    }

    /// The bytes of the path, for callers that keep them.
    pub(crate) fn into_bytes(self) -> Cow<'a, [u8]> {
        self.bytes
    }

    /// The path for people: control characters are escaped.
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
    /// The atlas that holds the row.
    pub fn atlas(&self) -> &'a Atlas {
        self.atlas
    }

    /// Its index among the rows.
    pub fn index(&self) -> usize {
        self.index
    }

    /// The mapping as the source shows it.
    pub fn mapping(&self) -> Mapping<'a> {
        self.mapping
    }

    /// The device; `None` if the mapping has a file and the source does not record its device.
    pub fn device(&self) -> Option<Device> {
        Some(self.mapping.device).filter(|_| !self.is_of_unknown_file())
    }

    /// The inode number; `None` if the mapping has a file and the source does not record its inode.
    pub fn inode(&self) -> Option<u64> {
        Some(self.mapping.inode).filter(|_| !self.is_of_unknown_file())
    }

    /// A core dump records only the names of files, and so does its document.
    fn is_of_unknown_file(&self) -> bool {
        match self.atlas.document() {
            Some(document) => document.is_of_unknown_file(self.index),
            None => self.atlas.core().is_some() && self.mapping.has_file(),
        }
    }

    /// The path of its file.
    pub fn path(&self) -> Option<FilePath<'a>> {
        if let Some(truth) = self.truth() {
            let bytes = Cow::Borrowed(truth.path(self.mapping.name));
            return Some(FilePath { bytes, is_certain: truth.certain });
        }
        Some(FilePath { bytes: self.mapping.file_name()?.path, is_certain: false })
    }

    /// Whether its file has been deleted; `None` if that is uncertain.
    pub fn is_deleted(&self) -> Option<bool> {
        match self.truth() {
            Some(truth) => truth.deleted,
            // The name is from the time at which it was mapped.
            None if self.atlas.recorded().is_some() => None,
            None => self.mapping.file_name()?.deleted,
        }
    }

    /// The verified facts about its file; only for live processes, and as a document has them.
    pub fn truth(&self) -> Option<&'a FileTruth> {
        self.atlas.truth(self.index)
    }

    /// The value of a smaps field, by its name in any case; sizes in bytes.
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

    /// Resident memory that no other process maps, in bytes (`Private_Clean` and `Private_Dirty`).
    pub fn uss(&self) -> Option<u64> {
        self.sizes().uss
    }

    /// The sizes of smaps, read at once.
    pub fn sizes(&self) -> Sizes {
        Sizes::of(self.atlas.maps(), self.index)
    }

    /// Memory in swap space, in bytes (`Swap`).
    pub fn swap(&self) -> Option<u64> {
        self.size_field("Swap")
    }

    /// The purposes of the row or of its parts.
    pub fn labels(&self) -> &'a [Labelled] {
        // The range of a rollup includes other rows.
        if self.mapping.is_rollup() { &[] } else { self.atlas.labels().within(self.mapping.range) }
    }

    /// The purposes of the row in a line: the first different ones of its parts, and the unexplained
    /// share.
    pub fn label_text(&self) -> String {
        if self.mapping.is_rollup() {
            return String::new();
        }
        let with_rest = !self.mapping.shows_its_purpose();
        self.atlas.labels().text_of(self.mapping.range, with_rest)
    }

    /// The purpose of the row; of a row with several parts their texts, with the group of most bytes
    /// and the lowest confidence in it. `None` if most of the row has no purpose.
    pub fn label(&self) -> Option<&'a Label> {
        if self.mapping.is_rollup() {
            return None;
        }
        self.atlas.labels().most_of(self.mapping.range)
    }

    /// The origins of its bytes, each with its number of bytes, the largest first.
    pub fn made(&self) -> impl ExactSizeIterator<Item = (Made<'a>, u64)> + use<'a> {
        let (atlas, range) = (self.atlas, self.mapping.range);
        let made =
            |recorded: &'a Recorded| recorded.made_of_row(self.index, range, atlas.origins());
        atlas.recorded().map(made).unwrap_or_default().into_iter()
    }

    /// The largest sections of its file that lie in it.
    pub fn sections(&self) -> &'a [Section] {
        match self.atlas.document() {
            Some(document) => document.sections(self.index),
            None => self.atlas.sections_by_row().get(self.index).map_or(&[], Vec::as_slice),
        }
    }
}

impl<'a> Deref for Row<'a> {
    type Target = Mapping<'a>;

    fn deref(&self) -> &Mapping<'a> {
        &self.mapping
    }
}

/// The row as the kernel prints it, with control characters escaped.
impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Vec::new();
        let format: TextFormat = self.atlas.maps().format();
        format.write_row(&self.mapping, &mut line);
        line.pop_if(|last| *last == b'\n');
        f.write_str(&printable(&line))
    }
}
