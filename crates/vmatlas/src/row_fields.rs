//! Fields of a row beyond its text, for filters and columns.

use crate::row::{FilePath, Row};
use crate::words::rows as words;
use std::borrow::Cow;
use vmatlas_maps::{Device, FieldRow, Identity, Mapping, Sizes};

impl FieldRow for Row<'_> {
    fn mapping(&self) -> Mapping<'_> {
        Row::mapping(self)
    }

    fn smaps(&self, name: &str) -> Option<u64> {
        self.size_field(name)
    }

    fn sizes(&self) -> Sizes {
        Row::sizes(self)
    }

    fn device(&self) -> Option<Device> {
        Row::device(self)
    }

    fn inode(&self) -> Option<u64> {
        Row::inode(self)
    }

    fn path(&self) -> Option<Cow<'_, [u8]>> {
        Row::path(self).map(FilePath::into_bytes)
    }

    fn deleted(&self) -> Option<bool> {
        self.is_deleted()
    }

    fn state(&self) -> &str {
        self.truth().map_or("", |truth| truth.now.note())
    }

    fn sections(&self) -> Cow<'_, str> {
        Cow::Owned(words::sections(Row::sections(self)))
    }

    fn label(&self) -> Cow<'_, str> {
        Cow::Owned(words::labels(self))
    }

    fn confidence(&self) -> &str {
        Row::label(self).map_or("", |label| label.confidence.word())
    }

    fn because(&self) -> &str {
        Row::label(self).map_or("", |label| &label.because)
    }

    fn identity(&self) -> Option<&Identity> {
        Some(self.atlas().identity())
    }

    fn origin(&self) -> Cow<'_, str> {
        #[cfg(feature = "recordings")]
        return Cow::Owned(crate::words::origins(self));
        #[cfg(not(feature = "recordings"))]
        Cow::Borrowed(self.atlas().document().map_or("", |document| document.origin(self.index())))
    }
}
