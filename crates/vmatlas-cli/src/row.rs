//! Rows of a target as commands and output look at them.

use crate::output::words;
use crate::target::Target;
use std::borrow::Cow;
use vmatlas::label::{Label, Labelled};
use vmatlas::{Device, FilterRow, Mapping};
use vmatlas_linux::files::FileTruth;

/// How many frames say in a line where a mapping was made.
const FRAMES: usize = 2;

/// How many labels of a row's parts are told in a line.
const PARTS: usize = 3;

/// A row and what is known of it beside its text.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) target: &'a Target,
    pub(crate) index: usize,
    pub(crate) mapping: Mapping<'a>,
    pub(crate) truth: Option<&'a FileTruth>,
}

impl<'a> Row<'a> {
    pub(crate) fn of(target: &'a Target, index: usize) -> Option<Row<'a>> {
        let mapping = target.maps.get(index)?;
        let truth = target.live.as_ref().and_then(|live| live.truths.get(index));
        Some(Row { target, index, mapping, truth })
    }

    /// The device; `None` where there is one and it is not known.
    pub(crate) fn device(&self) -> Option<Device> {
        Some(self.mapping.device).filter(|_| !self.is_of_unknown_file())
    }

    /// The inode number, likewise.
    pub(crate) fn inode(&self) -> Option<u64> {
        Some(self.mapping.inode).filter(|_| !self.is_of_unknown_file())
    }

    /// A core has the names of files and nothing else of them.
    fn is_of_unknown_file(&self) -> bool {
        self.target.core.is_some() && self.mapping.has_file()
    }

    /// The path of a file.
    pub(crate) fn path(&self) -> Option<Cow<'a, [u8]>> {
        let proven = self.truth.map(|truth| Cow::Borrowed(truth.path.as_slice()));
        proven.or_else(|| self.mapping.file_name().map(|file| file.path))
    }

    /// Whether the file's name is gone.
    pub(crate) fn deleted(&self) -> Option<bool> {
        match self.truth {
            Some(truth) => truth.deleted,
            None => self.mapping.file_name()?.deleted,
        }
    }

    /// A size of smaps by its name in lower case, in bytes.
    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        let mut fields = self.target.maps.fields(self.index);
        fields.find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))?.value.number()
    }

    /// Who made it, in a line; of several who made the most.
    pub(crate) fn origin(&self) -> String {
        let Some(recorded) = &self.target.recorded else { return String::new() };
        let origins = recorded.origins.get(self.index).map_or(&[][..], Vec::as_slice);
        let Some((first, _)) = origins.first() else { return String::new() };
        let line = recorded.origin_line(first, FRAMES);
        match origins.len() {
            1 => line,
            more => format!("{line}, and {} more", more - 1),
        }
    }

    /// What it or parts of it are for.
    pub(crate) fn labels(&self) -> &'a [Labelled] {
        self.target.labels.within(self.mapping.range)
    }

    /// What most of it is for.
    pub(crate) fn label(&self) -> Option<&'a Label> {
        self.target.labels.most_of(self.mapping.range)
    }

    /// What it is for, in a line; of several parts some are told, and how much nothing explains.
    pub(crate) fn label_text(&self) -> String {
        let mut texts: Vec<&str> = Vec::new();
        let mut rest = self.mapping.range.size();
        for Labelled { range, label } in self.labels() {
            rest = rest.saturating_sub(range.size());
            if texts.len() <= PARTS && !texts.contains(&label.text.as_str()) {
                texts.push(&label.text);
            }
        }
        let mut text = texts[..texts.len().min(PARTS)].join("; ");
        if texts.len() > PARTS {
            text.push_str(&format!("; {} parts in all", self.labels().len()));
        }
        if !texts.is_empty() && rest > 0 && !self.mapping.tells_its_purpose() {
            text.push_str(&format!("; {} unexplained", words::size(rest)));
        }
        text
    }

    /// The largest sections of its file that lie in the row.
    pub(crate) fn sections(&self) -> &'a str {
        self.target.sections.get(self.index).map_or("", String::as_str)
    }
}

impl FilterRow for Row<'_> {
    fn mapping(&self) -> Mapping<'_> {
        self.mapping
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.size(name)
    }

    fn label(&self) -> Cow<'_, str> {
        Cow::Owned(self.label_text())
    }
}
