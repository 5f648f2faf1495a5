//! The facts of a document.

use crate::sections::Section;
use std::collections::BTreeMap;
use vmatlas_explain::label::{Facts, ImageFacts, Labels, ThreadFacts};
use vmatlas_linux::files::FileTruth;
use vmatlas_linux::{Empty, Frozen};
use vmatlas_maps::{AddressRange, Identity, Maps};

/// The number of the documents' schema.
pub const SCHEMA_VERSION: u32 = 1;

/// The facts of a document beside its rows.
#[derive(Default)]
pub(crate) struct Document {
    pub(crate) pid: Option<u32>,
    pub(crate) tid: Option<u32>,
    pub(crate) comm: String,
    pub(crate) page_size: Option<u64>,
    pub(crate) kernel: Option<String>,
    /// When the rows were read, in milliseconds since 1970.
    pub(crate) time_ms: Option<u64>,
    /// The event of a recording or the line of a log after which the rows were so.
    pub(crate) event: Option<u64>,
    /// The time of that event in nanoseconds from the start.
    pub(crate) time_ns: Option<u64>,
    /// The signal that caused a core dump.
    pub(crate) signal: Option<i32>,
    pub(crate) empty: Option<Empty>,
    pub(crate) changed: Vec<AddressRange>,
    pub(crate) frozen: Option<Frozen>,
    pub(crate) doubts: Vec<u64>,
    /// Of a process in a snapshot of a machine.
    pub(crate) identity: Option<Identity>,
    pub(super) threads: Vec<ThreadFacts>,
    pub(super) images: Vec<ImageFacts>,
    pub(super) rows: Vec<RowFacts>,
    /// Of the rows that have some.
    pub(super) sections: BTreeMap<usize, Vec<Section>>,
    /// In one line.
    pub(super) origins: BTreeMap<usize, String>,
    pub(super) labels: Labels,
}

/// The facts of a row beside its text.
#[derive(Default)]
pub(super) struct RowFacts {
    pub(super) truth: Option<FileTruth>,
    /// Whether device and inode are not known.
    pub(super) is_of_unknown_file: bool,
}

impl Document {
    /// A document of labels.
    #[cfg(feature = "recordings")]
    pub(crate) fn of_labels(labels: Labels) -> Document {
        Document { labels, ..Document::default() }
    }

    pub(crate) fn truth(&self, index: usize) -> Option<&FileTruth> {
        self.rows.get(index)?.truth.as_ref()
    }

    /// Whether the document does not record the device and inode of a row.
    pub(crate) fn is_of_unknown_file(&self, index: usize) -> bool {
        self.rows.get(index).is_some_and(|row| row.is_of_unknown_file)
    }

    /// The largest sections of a row's file.
    pub(crate) fn sections(&self, index: usize) -> &[Section] {
        self.sections.get(&index).map_or(&[], Vec::as_slice)
    }

    /// The origin of a row in one line.
    pub(crate) fn origin(&self, index: usize) -> &str {
        self.origins.get(&index).map_or("", String::as_str)
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn facts(&self, maps: &Maps) -> Facts {
        let mut facts = Facts::default();
        facts.page_size = self.page_size.unwrap_or(0);
        facts.word_size = maps.word_size();
        facts.kernel = self.kernel.as_ref().and_then(|kernel| kernel.parse().ok());
        facts.pid = self.pid;
        facts.threads.clone_from(&self.threads);
        facts.images.clone_from(&self.images);
        facts
    }
}
