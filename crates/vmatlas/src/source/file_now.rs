//! Files of today that a source was of.

use vmatlas_linux::SharedElf;

/// A file of a core or of a recording.
pub(crate) struct FileNow {
    /// The file of today, which has the build id that the source has; or why there is none.
    pub(crate) elf: std::result::Result<SharedElf, String>,
    /// What to subtract from an address of the process to get one of the file, where it is known.
    pub(crate) bias: Option<u64>,
    /// The build id in the source.
    pub(crate) build_id: Option<Vec<u8>>,
}
