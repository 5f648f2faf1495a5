//! Which calls of a number count.

use vmatlas_space::Advice;

/// Which calls of a number count, by the low 32 bits of one argument. That is all that the kernel
/// looks at in those arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counts {
    /// All of them.
    Always,
    /// The argument with this index is in one of these ranges, both ends included.
    In(u8, &'static [(u32, u32)]),
    /// The argument with this index is another number.
    Not(u8, u32),
    /// The argument with this index is an [`Advice`] that changes mappings.
    Advice(u8),
}

impl Counts {
    /// The index of the argument that decides; `None` if none does.
    pub fn argument(self) -> Option<u8> {
        match self {
            Counts::Always => None,
            Counts::In(index, _) | Counts::Not(index, _) | Counts::Advice(index) => Some(index),
        }
    }

    /// Whether a call with these arguments can change mappings, or does what else the call is in
    /// the table for.
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

    /// Whether a call with these arguments drops or fills pages, though it changes no mapping. That
    /// counts where page faults are recorded: dropped pages are touched anew, and filled ones were
    /// written without a fault.
    pub fn moves_pages(self, args: &[u64; 6]) -> bool {
        match self {
            Counts::Advice(index) => args
                .get(usize::from(index))
                .and_then(|&arg| Advice::from_number((arg as u32).into()))
                .is_some_and(|advice| advice.drops_pages() || advice == Advice::PopulateWrite),
            _ => false,
        }
    }

    /// The numbers for which it [`holds`](Counts::holds) as ranges with both ends included, in
    /// ascending order; empty for the other variants than [`In`](Counts::In) and
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
