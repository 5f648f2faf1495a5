//! Whether a number that was seen at several times grows steadily.
//!
//! A slope alone is not enough: memory that grew once, or while a program started, has one as well.
//! Growth is steady if it goes on in the later half of the time: the thirds of that half rise evenly,
//! more values rise than fall (Mann–Kendall), and no fall undoes half of a rise. Its rate is the median
//! slope of all pairs of that half (Theil–Sen), which outliers do not move.

/// The fewest values that show a trend.
pub const FEWEST: usize = 8;
/// The fewest values of the later half.
const FEWEST_LATER: usize = 6;
/// The normal score of Mann–Kendall's test that chance seldom reaches.
const SCORE: f64 = 2.0;
/// The least part of an even increment that each third has.
const EVEN: f64 = 0.25;
/// The part of all growth within which a number counts as unchanged.
const UNCHANGED: f64 = 0.05;

/// How a number changes in time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Trend {
    /// Too few values were seen.
    Unknown,
    /// It stays the same.
    Flat,
    /// It grows steadily, by so much in a second.
    Grows {
        /// The rate.
        per_second: f64,
    },
    /// It falls steadily, by so much in a second.
    Falls {
        /// The rate, above 0.
        per_second: f64,
    },
    /// It grew, and has stayed the same since.
    Grew {
        /// By how much.
        by: f64,
        /// The time in seconds since which it has stayed the same.
        until: f64,
    },
    /// It fell, and has stayed the same since.
    Fell {
        /// By how much.
        by: f64,
        /// The time in seconds since which it has stayed the same.
        until: f64,
    },
    /// It goes up and down, or changes without a rule.
    Varies,
}

/// The trend of values at times in seconds, in the order of times. A change below `least` is none.
pub fn trend(values: &[(f64, f64)], least: f64) -> Trend {
    let [(_, first), .., (_, last)] = *values else { return Trend::Unknown };
    if values.len() < FEWEST {
        return Trend::Unknown;
    }
    let (rise, fall) = (largest_rise(values.iter().map(|value| value.1)), {
        largest_rise(values.iter().map(|value| -value.1))
    });
    if rise.max(fall) < least {
        return Trend::Flat;
    }
    if fall * 2.0 <= rise {
        return match growth(values, least) {
            Growth::Steady(per_second) => Trend::Grows { per_second },
            Growth::Ended(until) => Trend::Grew { by: last - first, until },
            Growth::Other => Trend::Varies,
        };
    }
    if rise * 2.0 <= fall {
        let negated: Vec<(f64, f64)> = values.iter().map(|&(time, value)| (time, -value)).collect();
        return match growth(&negated, least) {
            Growth::Steady(per_second) => Trend::Falls { per_second },
            Growth::Ended(until) => Trend::Fell { by: first - last, until },
            Growth::Other => Trend::Varies,
        };
    }
    match rising_floor(values, least) {
        Some(per_second) => Trend::Grows { per_second },
        None => Trend::Varies,
    }
}

enum Growth {
    Steady(f64),
    /// Since this time it has been the same.
    Ended(f64),
    Other,
}

fn growth(values: &[(f64, f64)], least: f64) -> Growth {
    let later = later_half(values);
    let slope = median_slope(later);
    if slope > 0.0 && is_even(later) && rises_by_more_than_chance(later) {
        return Growth::Steady(slope);
    }
    let (first, last) = (values[0].1, values[values.len() - 1].1);
    let same = least.max((last - first) * UNCHANGED);
    let until = values.iter().rposition(|&(_, value)| (value - last).abs() > same);
    let rest = until.map_or(values, |until| &values[until + 1..]);
    match rest {
        // A fourth of the time without a change.
        [(since, _), .., (end, _)]
            if rest.len() >= 3
                && (end - since) * 4.0 >= values[values.len() - 1].0 - values[0].0 =>
        {
            Growth::Ended(*since)
        }
        _ => Growth::Other,
    }
}

/// The rate at which the least values of each eighth of the time rise, if each is above the one
/// before: the floor of a sawtooth whose teeth are shorter than that.
fn rising_floor(values: &[(f64, f64)], least: f64) -> Option<f64> {
    const PARTS: usize = 8;
    if values.len() < 4 * PARTS {
        return None;
    }
    let part = values.len() / PARTS;
    let lowest = |part: &[(f64, f64)]| part.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
    let floor: Vec<(f64, f64)> = values.chunks(part).take(PARTS).filter_map(lowest).collect();
    let [(_, first), .., (_, last)] = floor[..] else { return None };
    let even = (last - first) / (PARTS - 1) as f64;
    let rises = floor.windows(2).all(|pair| pair[1].1 - pair[0].1 >= EVEN * even);
    (last - first >= least && rises).then(|| median_slope(&floor))
}

/// The values of the later half of the time, and at least some.
fn later_half(values: &[(f64, f64)]) -> &[(f64, f64)] {
    let middle = (values[0].0 + values[values.len() - 1].0) / 2.0;
    let from = values.partition_point(|&(time, _)| time < middle);
    &values[from.min(values.len().saturating_sub(FEWEST_LATER))..]
}

/// The largest difference between a value and an earlier one.
fn largest_rise(values: impl Iterator<Item = f64>) -> f64 {
    let mut lowest = f64::INFINITY;
    values.fold(0.0, |rise: f64, value| {
        lowest = lowest.min(value);
        rise.max(value - lowest)
    })
}

/// Whether the median of each third is above the one before by a good part of the mean increment.
fn is_even(values: &[(f64, f64)]) -> bool {
    let third = values.len() / 3;
    let middle = |part: &[(f64, f64)]| {
        let mut part: Vec<f64> = part.iter().map(|value| value.1).collect();
        // Not the mean of two: a single jump between them would be divided.
        let at = (part.len() - 1) / 2;
        *part.select_nth_unstable_by(at, f64::total_cmp).1
    };
    let [a, b, c] =
        [&values[..third], &values[third..values.len() - third], &values[values.len() - third..]]
            .map(middle);
    let least = EVEN * (c - a) / 2.0;
    c > a && b - a >= least && c - b >= least
}

/// Mann–Kendall's test, with the correction for equal values.
fn rises_by_more_than_chance(values: &[(f64, f64)]) -> bool {
    let sign = |a: f64, b: f64| f64::from(i8::from(b > a) - i8::from(b < a));
    let pairs = values.iter().enumerate();
    let sum: f64 =
        pairs.map(|(at, a)| values[at + 1..].iter().map(|b| sign(a.1, b.1)).sum::<f64>()).sum();
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut sorted: Vec<f64> = values.iter().map(|value| value.1).collect();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted.chunk_by(|a, b| a == b).map(|equal| term(equal.len() as f64)).sum();
    let variance = (term(values.len() as f64) - ties) / 18.0;
    variance > 0.0 && (sum - 1.0) / variance.sqrt() >= SCORE
}

/// The median of the slopes of all pairs (Theil–Sen).
fn median_slope(values: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::with_capacity(values.len() * values.len() / 2);
    for (at, a) in values.iter().enumerate() {
        let later = values[at + 1..].iter().filter(|b| b.0 > a.0);
        slopes.extend(later.map(|b| (b.1 - a.1) / (b.0 - a.0)));
    }
    if slopes.is_empty() {
        return 0.0;
    }
    let middle = slopes.len() / 2;
    let slope = *slopes.select_nth_unstable_by(middle, f64::total_cmp).1;
    // A staircase of few steps has more pairs of one step than of two.
    if slope != 0.0 { slope } else { whole_slope(values) }
}

fn whole_slope(values: &[(f64, f64)]) -> f64 {
    match *values {
        [(from, first), .., (to, last)] if to > from => (last - first) / (to - from),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: f64 = 4096.0;
    const LEAST: f64 = 4.0 * PAGE;

    /// The trend of a number that was seen `count` times, a second each.
    fn of(count: usize, value: impl FnMut(usize) -> f64) -> Trend {
        let values: Vec<(f64, f64)> =
            (0..count).map(|at| at as f64).zip((0..count).map(value)).collect();
        trend(&values, LEAST)
    }

    /// Noise that is the same in each run: between -1 and 1.
    fn noise(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % 20_001) as f64 / 10_000.0 - 1.0
        }
    }

    fn grows(trend: Trend, rate: f64) -> bool {
        matches!(trend, Trend::Grows { per_second } if (per_second - rate).abs() <= 0.25 * rate)
    }

    #[test]
    fn steady_growth_with_its_rate() {
        for count in [FEWEST, 12, 40, 128] {
            assert!(grows(of(count, |at| at as f64 * 1e6), 1e6), "{count}");
        }
        // A page each fourth time.
        assert!(grows(of(64, |at| (at / 4) as f64 * PAGE), PAGE / 4.0));
        // After a time without growth.
        assert!(grows(of(64, |at| at.saturating_sub(20) as f64 * 1e6), 1e6));
    }

    #[test]
    fn noise_hides_no_growth_and_makes_none() {
        for seed in 0..500 {
            let mut noise = noise(seed);
            let trend = of(40, |at| at as f64 * 1e6 + 2e6 * noise());
            assert!(grows(trend, 1e6), "{seed}: {trend:?}");
            let trend = of(40, |_| 1e8 + 1e6 * noise());
            assert!(
                !matches!(trend, Trend::Grows { .. } | Trend::Falls { .. }),
                "{seed}: {trend:?}"
            );
        }
    }

    #[test]
    fn growth_that_ends_is_none() {
        let once = of(40, |at| if at < 25 { 0.0 } else { 8e6 });
        assert_eq!(once, Trend::Grew { by: 8e6, until: 25.0 });
        for jump in 1..39 {
            let trend = of(40, |at| if at < jump { 0.0 } else { 8e6 });
            assert!(!matches!(trend, Trend::Grows { .. }), "{jump}: {trend:?}");
        }
        let start_up = of(40, |at| at.min(8) as f64 * 1e6);
        assert_eq!(start_up, Trend::Grew { by: 8e6, until: 8.0 });
        // A cache that fills more slowly the fuller it is.
        let cache = of(120, |at| 1e8 * (1.0 - (-(at as f64) / 10.0).exp()));
        assert!(matches!(cache, Trend::Grew { .. }), "{cache:?}");
    }

    #[test]
    fn up_and_down_is_none() {
        for period in 3..12 {
            let trend = of(40, |at| (at % period) as f64 * 1e6);
            assert_eq!(trend, Trend::Varies, "{period}");
        }
        // But garbage is collected down to what leaks.
        let trend = of(120, |at| (at % 9) as f64 * 1e7 + at as f64 * 1e5);
        assert!(matches!(trend, Trend::Grows { .. }), "{trend:?}");
    }

    #[test]
    fn what_falls_is_told_from_what_fell() {
        let falls = of(40, |at| 1e9 - at as f64 * 1e6);
        assert!(matches!(falls, Trend::Falls { per_second } if (per_second - 1e6).abs() < 1.0));
        assert_eq!(
            of(40, |at| if at < 9 { 8e6 } else { 0.0 }),
            Trend::Fell { by: 8e6, until: 9.0 }
        );
    }

    #[test]
    fn nothing_and_too_little() {
        assert_eq!(of(40, |_| 5e6), Trend::Flat);
        assert_eq!(of(40, |at| (at % 3) as f64 * PAGE), Trend::Flat);
        for count in 0..FEWEST {
            assert_eq!(of(count, |at| at as f64 * 1e6), Trend::Unknown);
        }
        // Times that do not pass.
        let values = vec![(0.0, 0.0); 20];
        assert_eq!(trend(&values, LEAST), Trend::Flat);
        let values: Vec<(f64, f64)> = (0..20).map(|at| (0.0, f64::from(at) * 1e6)).collect();
        assert!(!matches!(trend(&values, LEAST), Trend::Grows { .. }));
    }
}
