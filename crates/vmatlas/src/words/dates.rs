//! Dates.

use std::time::Duration;

/// A time since 1970 as date and time of day in UTC: `2026-12-01 03:25:00`.
pub fn utc(since_1970: Duration) -> String {
    /// Days of 400 years.
    const ERA: u64 = 146_097;
    let (days, second) = (since_1970.as_secs() / 86_400, since_1970.as_secs() % 86_400);
    // Years that begin in March end with the leap day. Day 0 is 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / (ERA - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year + u64::from(month >= 10);
    let month = if month < 10 { month + 3 } else { month - 9 };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::{Duration, utc};

    #[test]
    fn dates_are_those_of_date() {
        for seconds in
            [0, 86_399, 68_169_600, 951_782_400, 951_868_800, 1_796_095_500, 4_107_542_400, 1 << 36]
        {
            let date = std::process::Command::new("date")
                .args(["-u", "-d", &format!("@{seconds}"), "+%F %T"])
                .output()
                .unwrap();
            assert_eq!(format!("{}\n", utc(Duration::from_secs(seconds))).as_bytes(), date.stdout);
        }
    }
}
