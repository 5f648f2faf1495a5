//! Lines of a text that is read in chunks.

/// A line whose end has not been read yet, with bounded memory for any input.
///
/// ```
/// use vmatlas_maps::PartialLine;
/// let mut line = PartialLine::default();
/// assert!(line.push(b"1000-", 8) && line.push(b"200", 8));
/// assert_eq!(line.get(), Some(&b"1000-200"[..]));
/// assert!(!line.push(b"0", 8));
/// assert_eq!(line.get(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct PartialLine {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl PartialLine {
    /// Whether the line has no byte yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && !self.is_too_long
    }

    /// Appends bytes. A line that becomes longer than `max` bytes is dropped: `false` is returned
    /// once, and the rest of the line is skipped.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8], max: usize) -> bool {
        if self.is_too_long {
            return true;
        }
        if self.bytes.len() + bytes.len() <= max {
            self.bytes.extend_from_slice(bytes);
            return true;
        }
        *self = PartialLine { bytes: Vec::new(), is_too_long: true };
        false
    }

    /// The bytes of the line; `None` if it was too long.
    pub fn get(&self) -> Option<&[u8]> {
        (!self.is_too_long).then_some(self.bytes.as_slice())
    }

    /// Begins the next line.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.is_too_long = false;
    }
}
