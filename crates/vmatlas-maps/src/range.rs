//! Ranges of addresses.

use std::fmt;
use std::ops::Deref;

/// A half-open range of addresses of a process: `start <= x && x < end`, and `end` is never below
/// `start`.
///
/// The fields are read-only.
///
/// ```
/// use vmatlas_maps::AddressRange;
/// let page = AddressRange::new(0x1000, 0x2000);
/// assert_eq!((page.start, page.end, page.size()), (0x1000, 0x2000, 0x1000));
/// assert_eq!(page.intersect(&AddressRange::new(0x1800, 0x4000)).unwrap().size(), 0x800);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct AddressRange(#[cfg_attr(feature = "serde", serde(deserialize_with = "bounds"))] Bounds);

/// The fields of an [`AddressRange`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename = "AddressRange"))]
#[non_exhaustive]
pub struct Bounds {
    /// First address, in bytes.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::address"))]
    pub start: u64,
    /// First address after the range, in bytes.
    #[cfg_attr(feature = "serde", serde(with = "crate::encoding::address"))]
    pub end: u64,
}

impl AddressRange {
    /// The range `start..end`; the empty range at `start` if `end` lies below it.
    ///
    /// ```
    /// use vmatlas_maps::AddressRange;
    /// assert_eq!(AddressRange::new(0x2000, 0x1000), AddressRange::new(0x2000, 0x2000));
    /// ```
    #[inline]
    pub const fn new(start: u64, end: u64) -> Self {
        AddressRange(Bounds { start, end: if end < start { start } else { end } })
    }

    /// The range `start..end`; `None` if `end` lies below `start`.
    #[inline]
    pub const fn try_new(start: u64, end: u64) -> Option<Self> {
        if end < start { None } else { Some(AddressRange(Bounds { start, end })) }
    }

    /// The range of `size` bytes at `start`; `None` if it would end above the last address.
    ///
    /// ```
    /// use vmatlas_maps::AddressRange;
    /// assert_eq!(AddressRange::sized(0x1000, 0x1000), Some(AddressRange::new(0x1000, 0x2000)));
    /// assert_eq!(AddressRange::sized(u64::MAX, 2), None);
    /// ```
    #[inline]
    pub const fn sized(start: u64, size: u64) -> Option<Self> {
        match start.checked_add(size) {
            Some(end) => Some(AddressRange(Bounds { start, end })),
            None => None,
        }
    }

    /// The range with the same start that ends at `end`; empty if `end` lies below the start.
    #[inline]
    #[must_use]
    pub const fn with_end(self, end: u64) -> Self {
        AddressRange::new(self.0.start, end)
    }

    /// Sorts ranges, and joins those that overlap or touch.
    ///
    /// ```
    /// use vmatlas_maps::AddressRange;
    /// let ranges = [(5, 6), (1, 3), (2, 4), (6, 7)].map(|(start, end)| AddressRange::new(start, end));
    /// let joined = AddressRange::joined(ranges.to_vec());
    /// assert_eq!(joined, [AddressRange::new(1, 4), AddressRange::new(5, 7)]);
    /// ```
    pub fn joined(mut ranges: Vec<AddressRange>) -> Vec<AddressRange> {
        ranges.sort_unstable();
        let mut all: Vec<AddressRange> = Vec::new();
        for range in ranges {
            match all.last_mut().filter(|last| range.start <= last.end) {
                Some(last) => *last = last.with_end(last.end.max(range.end)),
                None => all.push(range),
            }
        }
        all
    }

    /// Length in bytes.
    #[inline]
    pub const fn size(&self) -> u64 {
        self.0.end - self.0.start
    }

    /// Whether the range is empty.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.start == self.0.end
    }

    /// Whether `address` lies in the range.
    #[inline]
    pub const fn contains(&self, address: u64) -> bool {
        self.0.start <= address && address < self.0.end
    }

    /// Whether the two ranges share an address.
    #[inline]
    pub const fn overlaps(&self, other: &AddressRange) -> bool {
        self.0.start < other.0.end && other.0.start < self.0.end
    }

    /// The addresses in both ranges; `None` if there are none.
    ///
    /// ```
    /// use vmatlas_maps::AddressRange;
    /// let row = AddressRange::new(0x1000, 0x5000);
    /// let cut = row.intersect(&AddressRange::new(0x4000, 0x9000));
    /// assert_eq!(cut, Some(AddressRange::new(0x4000, 0x5000)));
    /// assert_eq!(row.intersect(&AddressRange::new(0x5000, 0x9000)), None);
    /// ```
    #[inline]
    pub const fn intersect(&self, other: &AddressRange) -> Option<AddressRange> {
        let (a, b) = (&self.0, &other.0);
        let start = if a.start > b.start { a.start } else { b.start };
        let end = if a.end < b.end { a.end } else { b.end };
        if start < end { Some(AddressRange(Bounds { start, end })) } else { None }
    }
}

/// Rejects a range whose end lies below its start.
#[cfg(feature = "serde")]
fn bounds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Bounds, D::Error> {
    let bounds = <Bounds as serde::Deserialize>::deserialize(from)?;
    if bounds.end < bounds.start {
        return Err(serde::de::Error::custom("the end of a range lies below its start"));
    }
    Ok(bounds)
}

/// Provides the fields `start` and `end`.
impl Deref for AddressRange {
    type Target = Bounds;

    #[inline]
    fn deref(&self) -> &Bounds {
        &self.0
    }
}

impl fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { start, end } = self.0;
        f.debug_struct("AddressRange").field("start", &start).field("end", &end).finish()
    }
}

/// Formats the range as `maps` does: `7f00-7f01`, each address at least eight digits.
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:08x}", self.start, self.end)
    }
}
