//! Which of several snapshots is meant.

/// A moment: the last snapshot that was taken until then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// The last one.
    #[default]
    End,
    /// The one with this number; the first has 1.
    Number(usize),
    /// Milliseconds after the first one.
    After(u64),
    /// Milliseconds since 1970.
    At(u64),
    /// Milliseconds of the day (UTC) of the last one.
    OfDay(u64),
}

impl When {
    /// What can be written.
    pub const HELP: &str = "a time is seconds after the first snapshot (1800), #N, end, or UTC: \
                            02:30, 02:30:00, 2026-12-01T02:30";

    /// Parses the part of a word after `@`; `None` if it is no time.
    pub fn parse(text: &str) -> Option<When> {
        if text == "end" {
            return Some(When::End);
        }
        if let Some(number) = text.strip_prefix('#') {
            return number.parse().ok().filter(|number| *number > 0).map(When::Number);
        }
        if let Some((date, time)) = text.split_once('T') {
            let days = days(date)?;
            return Some(When::At(days * DAY + of_day(time.trim_end_matches('Z'))?));
        }
        if text.contains(':') {
            return of_day(text).map(When::OfDay);
        }
        let time = vmatlas_recording::parse_seconds(text)?;
        Some(When::After(u64::try_from(time.as_millis()).ok()?))
    }

    /// The place among snapshots of these ascending times.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn place(self, times: &[u64]) -> Result<usize, String> {
        let (Some(first), Some(last)) = (times.first(), times.last()) else {
            return Err("it has no snapshots".to_owned());
        };
        let until = match self {
            When::End => *last,
            When::Number(number) => {
                let count = times.len();
                let place = Some(number - 1).filter(|place| *place < count);
                return place.ok_or_else(|| format!("it has {count} snapshots, and no #{number}"));
            }
            // A second of times, because they are given in seconds.
            When::After(after) => first.saturating_add(after),
            When::At(time) => time + 999,
            When::OfDay(time) => (last - last % DAY).saturating_add(time + 999),
        };
        let place = times.partition_point(|time| *time <= until).checked_sub(1);
        place.ok_or_else(|| "its first snapshot is later".to_owned())
    }
}

/// The milliseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// `HH:MM` or `HH:MM:SS`, also with `-` as in the names of files.
fn of_day(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text.split([':', '-']).map(two_digits).collect::<Option<_>>()?;
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, 0),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    (hours < 24 && minutes < 60 && seconds < 61)
        .then_some((hours * 3600 + minutes * 60 + seconds) * 1000)
}

fn two_digits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
}

/// The days of `YYYY-MM-DD` since 1970.
fn days(date: &str) -> Option<u64> {
    let (year, month, day) = match *date.split('-').collect::<Vec<_>>() {
        [year, month, day] if year.len() == 4 => {
            (year.parse::<u64>().ok()?, two_digits(month)?, two_digits(day)?)
        }
        _ => return None,
    };
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The year begins in March, so that a day that is put in is its last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    before.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::{DAY, When};

    #[test]
    fn times_are_written_in_one_word() {
        assert_eq!(When::parse("end"), Some(When::End));
        assert_eq!(When::parse("#3"), Some(When::Number(3)));
        assert_eq!(When::parse("1800"), Some(When::After(1_800_000)));
        assert_eq!(When::parse("02:30"), Some(When::OfDay(9_000_000)));
        assert_eq!(When::parse("1970-01-01T00:00:01Z"), Some(When::At(1000)));
        // date -u -d 2026-12-01T02:30 +%s
        assert_eq!(When::parse("2026-12-01T02:30"), Some(When::At(1_796_092_200_000)));
        assert_eq!(When::parse("2024-02-29T00-00-00"), Some(When::At(1_709_164_800_000)));
        for text in ["", "#0", "#", "25:00", "2:30", "1969-12-31T00:00", "2026-13-01T00:00", "1h"] {
            assert_eq!(When::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_last_snapshot_until_then_is_meant() {
        let times = [DAY, DAY + 1_800_500, DAY + 3_600_000];
        let place = |text| When::parse(text).unwrap().place(&times);
        assert_eq!(place("end"), Ok(2));
        assert_eq!(place("#1"), Ok(0));
        assert_eq!(place("0"), Ok(0));
        assert_eq!(place("1800"), Ok(0));
        assert_eq!(place("1801"), Ok(1));
        assert_eq!(place("99999"), Ok(2));
        assert_eq!(place("00:30"), Ok(1));
        assert_eq!(place("1970-01-02T00:59:59"), Ok(1));
        assert!(place("#4").is_err() && place("1970-01-01T00:00").is_err());
        assert!(When::End.place(&[]).is_err());
        // The time of a forged file.
        assert_eq!(When::parse("23:59").unwrap().place(&[u64::MAX]), Ok(0));
    }
}
