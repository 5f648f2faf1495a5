//! What the text of maps says without keeping its rows.

use crate::error::Error;
use crate::process::Process;
use memchr::memchr_iter;
use rustix::io::Errno;
use vmatlas_maps::{MAX_LINE, Mapping, parse_row};

/// Counts over the rows of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Brief {
    /// The rows.
    pub rows: u64,
    /// The bytes that they cover.
    pub size: u64,
    /// Rows that may be written and executed.
    pub writable_code: u64,
    /// Rows of code whose file was deleted or replaced, as far as the text can say.
    pub deleted_code: u64,
}

/// The bytes that are read at once. The kernel returns at most a page of whole rows, or one longer
/// row.
const BUFFER: usize = 64 << 10;

impl Brief {
    /// Counts a row.
    pub fn add(&mut self, row: &Mapping<'_>) {
        self.rows += 1;
        self.size = self.size.saturating_add(row.range.size());
        if row.perms.execute() {
            self.writable_code += u64::from(row.perms.write());
            self.deleted_code += u64::from(row.inode != 0 && row.name.ends_with(b" (deleted)"));
        }
    }

    /// Counts the rows in whole lines of text, and returns the length of those lines.
    fn add_lines(&mut self, text: &[u8]) -> usize {
        let mut start = 0;
        for end in memchr_iter(b'\n', text) {
            if let Ok(row) = parse_row(&text[start..end]) {
                self.add(&row);
            }
            start = end + 1;
        }
        start
    }
}

impl Process {
    /// Counts its rows (`maps`) and keeps none of them.
    ///
    /// # Errors
    /// The same as [`read`](Process::read).
    pub fn brief(&self) -> Result<Brief, Error> {
        let file = self.open_file("maps")?;
        let mut brief = Brief::default();
        let mut buffer = vec![0; BUFFER];
        let mut kept = 0;
        loop {
            if kept == buffer.len() {
                // The kernel prints no longer line; a copy of /proc may hold anything.
                kept = if kept > MAX_LINE { 0 } else { kept };
                buffer.resize((2 * kept).max(BUFFER), 0);
            }
            match rustix::io::read(&file, &mut buffer[kept..]) {
                Ok(0) | Err(Errno::SRCH) => break,
                Ok(more) => {
                    let text = kept + more;
                    let used = brief.add_lines(&buffer[..text]);
                    buffer.copy_within(used..text, 0);
                    kept = text - used;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.error("maps", errno)),
            }
        }
        Ok(brief)
    }
}
