//! Interned byte strings, identified by number.

/// Interned byte strings; number 0 is the empty string.
///
/// Equal strings have the same number and place, as a rule: a hash finds the last string with it, so
/// a string is stored again if another with the same hash came in between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    /// The end of each string; it starts at the end of the one before.
    ends: Vec<usize>,
    /// The number of the last string with each hash, or 0. The length is a power of two, or 0.
    slots: Vec<u32>,
}

/// The number of slots with the first string, and at most.
const SLOTS: std::ops::RangeInclusive<usize> = 16..=1 << 14;

impl Names {
    /// The number of `name`, which is stored if it is new.
    pub(crate) fn id(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if self.slots.len() < (2 * self.ends.len()).clamp(*SLOTS.start(), *SLOTS.end()) {
            self.grow();
        }
        let slot = self.slot(name);
        let last = self.slots[slot];
        if self.get(last) == name {
            return last;
        }
        self.bytes.extend_from_slice(name);
        self.ends.push(self.bytes.len());
        self.slots[slot] = self.ends.len() as u32;
        self.slots[slot]
    }

    fn slot(&self, name: &[u8]) -> usize {
        hash(name) as usize & (self.slots.len() - 1)
    }

    fn grow(&mut self) {
        self.slots = vec![0; (4 * self.slots.len()).clamp(*SLOTS.start(), *SLOTS.end())];
        for id in 1..=self.ends.len() as u32 {
            let slot = self.slot(self.get(id));
            self.slots[slot] = id;
        }
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

    /// The numbers of a string, of which rows far from each other have several.
    pub(crate) fn ids(&self, name: &[u8]) -> Vec<u32> {
        let is_whole = |at: &usize| {
            let index = self.ends.partition_point(|end| end <= at);
            let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
            (start == *at && self.ends.get(index) == Some(&(at + name.len()))).then_some(index)
        };
        let found = memchr::memmem::find_iter(&self.bytes, name);
        found.filter_map(|at| is_whole(&at)).map(|index| index as u32 + 1).collect()
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
}

/// A quick hash. Whoever finds strings with the same one gains only that they are stored again.
fn hash(name: &[u8]) -> u64 {
    let words = name.chunks(8).map(|word| {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        u64::from_le_bytes(bytes)
    });
    words.fold(name.len() as u64, |hash, word| {
        let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    })
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn equal_strings_are_stored_once() {
        let mut names = Names::default();
        let all: Vec<String> = (0..3000).map(|number| format!("/usr/lib/lib{number}.so")).collect();
        let first: Vec<u32> = all.iter().map(|name| names.id(name.as_bytes())).collect();
        let bytes = names.bytes();
        let again: Vec<u32> = all.iter().map(|name| names.id(name.as_bytes())).collect();
        for (name, (first, again)) in all.iter().zip(first.iter().zip(&again)) {
            assert_eq!([names.get(*first), names.get(*again)], [name.as_bytes(); 2]);
        }
        // Some share a slot with others.
        assert!(names.bytes() < bytes * 3 / 2, "{} {bytes}", names.bytes());
        assert_eq!((names.id(b""), names.get(0), names.get(u32::MAX)), (0, &b""[..], &b""[..]));
    }
}
