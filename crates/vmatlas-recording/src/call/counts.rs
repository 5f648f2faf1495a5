//! The condition under which a call of a given number is recorded.

use vmatlas_space::Advice;

/// The condition under which a call of a given number is recorded, on the low 32 bits of one
/// argument. The kernel reads no other bits of those arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counts {
    /// Every call is recorded.
    Always,
    /// The argument with this index is in one of these ranges, both ends included.
    In(u8, &'static [(u32, u32)]),
    /// The argument with this index differs from this number.
    Not(u8, u32),
    /// The argument with this index is an [`Advice`] that changes mappings.
    Advice(u8),
}

impl Counts {
    /// The index of the tested argument; `None` if there is none.
    pub fn argument(self) -> Option<u8> {
        match self {
            Counts::Always => None,
            Counts::In(index, _) | Counts::Not(index, _) | Counts::Advice(index) => Some(index),
        }
    }

    /// Whether a call with these arguments can change mappings, or has the other effect for which
    /// the call is in the table.
    pub fn holds(self, args: &[u64; 6]) -> bool {
        let low = |index: u8| args.get(usize::from(index)).map_or(0, |&arg| arg as u32);
        match self {
            Counts::Always => true,
            Counts::In(index, ranges) => {
                ranges.iter().any(|&(first, last)| first <= low(index) && low(index) <= last)
            }
            Counts::Not(index, number) => low(index) != number,
            Counts::Advice(index) => {
                Advice::from_number(low(index).into()).is_some_and(Advice::changes_mappings)
            }
        }
    }

    /// Whether a call with these arguments drops or fills pages without changing a mapping.
    /// Recordings with page faults need such calls: dropped pages fault again, and filled pages
    /// were written without a fault.
    pub fn moves_pages(self, args: &[u64; 6]) -> bool {
        match self {
            Counts::Advice(index) => args
                .get(usize::from(index))
                .and_then(|&arg| Advice::from_number((arg as u32).into()))
                .is_some_and(|advice| advice.drops_pages() || advice == Advice::PopulateWrite),
            _ => false,
        }
    }

    /// The argument values for which it [`holds`](Counts::holds), as ranges with both ends
    /// included, in ascending order; empty for variants other than [`In`](Counts::In) and
    /// [`Advice`](Counts::Advice).
    pub fn ranges(self) -> Vec<(u32, u32)> {
        match self {
            Counts::In(_, ranges) => ranges.to_vec(),
            Counts::Advice(_) => {
                let mut ranges: Vec<(u32, u32)> = Vec::new();
                let changing = Advice::ALL.iter().filter(|(advice, ..)| advice.changes_mappings());
                for number in changing.filter_map(|(.., number)| u32::try_from(*number).ok()) {
                    match ranges.last_mut() {
                        Some((_, last)) if *last + 1 == number => *last = number,
                        _ => ranges.push((number, number)),
                    }
                }
                ranges
            }
            Counts::Always | Counts::Not(..) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advices_that_change_mappings_as_ranges() {
        assert_eq!(Counts::Advice(2).ranges(), [(0, 2), (10, 19), (102, 103)]);
        for number in 0..200 {
            let args = [0, 0, number, 0, 0, 0];
            let number = number as u32;
            let ranges = Counts::Advice(2).ranges();
            let within = ranges.iter().any(|&(first, last)| first <= number && number <= last);
            assert_eq!(Counts::Advice(2).holds(&args), within, "{number}");
        }
    }

    #[test]
    fn only_the_low_half_of_an_argument_decides() {
        let ranges = Counts::In(1, &[(5, 7)]);
        assert!(ranges.holds(&[0, 0xffff_ffff_0000_0006, 0, 0, 0, 0]));
        assert!(!ranges.holds(&[6, 8, 6, 6, 6, 6]));
        assert!(!Counts::Not(0, u32::MAX).holds(&[u64::MAX, 0, 0, 0, 0, 0]));
        let dontneed = [0, 0, 0x1_0000_0004, 0, 0, 0];
        assert!(!Counts::Advice(2).holds(&dontneed) && Counts::Advice(2).moves_pages(&dontneed));
    }
}
