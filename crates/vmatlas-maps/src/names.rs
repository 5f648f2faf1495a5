//! Interned byte strings, identified by number.

/// Interned byte strings; number 0 is the empty string.
///
/// A string that equals one of the last `RECENT` is not stored again. Rows of one file share
/// their name this way: a kernel prints them together, with unnamed rows between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names<const RECENT: u32> {
    bytes: Vec<u8>,
    /// The end of each string; it starts at the end of the one before.
    ends: Vec<usize>,
}

impl<const RECENT: u32> Names<RECENT> {
    /// The number of `name`, which is stored if it is new.
    pub(crate) fn id(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let starts = self.ends.iter().rev().skip(1).copied().chain([0]);
        let mut end = self.bytes.len();
        for (id, start) in (1..=self.count()).rev().zip(starts).take(RECENT as usize) {
            if self.bytes[start..end] == *name {
                return id;
            }
            end = start;
        }
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
        self.count()
    }

    /// The string with that number; empty if there is none.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> &[u8] {
        let Some(index) = (id as usize).checked_sub(1) else { return b"" };
        let start = index.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before));
        match (start, self.ends.get(index)) {
            (Some(&start), Some(&end)) => self.bytes.get(start..end).unwrap_or_default(),
            _ => b"",
        }
    }

    /// All strings that are stored.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            name
        })
    }

    /// All strings one after the other.
    pub(crate) fn all(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of bytes stored.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn count(&self) -> u32 {
        self.ends.len() as u32
    }
}
