//! Moments of a recording or log.

use super::id::EventNumber;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A point in a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moment {
    /// The time since its start, in nanoseconds.
    Time(u64),
    /// After the event with this number.
    Event(EventNumber),
    /// The last state; for a process, the state before it exits.
    #[default]
    End,
}

impl Moment {
    /// The word for [`Moment::End`].
    pub const END: &str = "end";
}

/// As it is parsed.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Moment::Time(nanoseconds) => {
                let (seconds, rest) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
                let fraction = format!(".{rest:09}");
                write!(f, "{seconds}{}", fraction.trim_end_matches('0').trim_end_matches('.'))
            }
            Moment::Event(number) => write!(f, "#{number}"),
            Moment::End => f.write_str(Moment::END),
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Moment, MomentError> {
        if text == Moment::END {
            return Ok(Moment::End);
        }
        if let Some(number) = text.strip_prefix('#').filter(|number| is_number(number)) {
            return number
                .parse()
                .map(|number| Moment::Event(EventNumber::new(number)))
                .map_err(|_| MomentError);
        }
        let time = parse_seconds(text).ok_or(MomentError)?;
        Ok(Moment::Time(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// The text is not a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a moment is seconds from the start (1.25), `end`, or #N for after event N")]
#[non_exhaustive]
pub struct MomentError;

/// Parses a decimal number of seconds, such as `1.25`.
pub fn parse_seconds(text: &str) -> Option<Duration> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = text.parse().ok().filter(|_| is_plain)?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Whether a text is a decimal number without a sign.
pub(crate) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}
