//! Today's files of a source.

use vmatlas_linux::SharedElf;

/// A file of a core or of a recording.
pub(crate) struct FileNow {
    /// Today's file with the build ID that the source records; or the reason why there is none.
    pub(crate) elf: std::result::Result<SharedElf, String>,
    /// The number to subtract from an address of the process to get an address of the file, if
    /// known.
    pub(crate) bias: Option<u64>,
    /// The build ID that the source records.
    pub(crate) build_id: Option<Vec<u8>>,
}
