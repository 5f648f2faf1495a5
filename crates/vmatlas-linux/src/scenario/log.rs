//! The messages between the runner and a scenario's processes, and the log of outcomes.

use super::program::{BEFORE, words};

/// A record of the log; text may follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: RecordKind,
    pub(crate) step: u32,
    /// The value that the call returned, or its failure: an errno or one of the constants below.
    pub(crate) outcome: Result<i64, i64>,
    /// The number of bytes of text that follow.
    pub(crate) length: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    /// The first address of the region.
    Base,
    /// The outcome of an operation.
    Outcome,
    /// Rows of the region; further records of the same step may contain more.
    Rows,
}

impl RecordKind {
    /// Failures that are not errno values.
    pub(crate) const SEGV: i64 = 1 << 32;
    pub(crate) const BUS: i64 = 1 << 33;
}

const RECORD_WORDS: usize = 4;

impl Record {
    pub(crate) const BYTES: usize = 8 * RECORD_WORDS;

    pub(crate) fn encode(&self) -> [u8; Record::BYTES] {
        let kind = self.kind as u64 | u64::from(self.outcome.is_err()) << 8;
        let outcome = self.outcome.unwrap_or_else(|failure| failure) as u64;
        bytes([kind, u64::from(self.step), outcome, self.length])
    }

    /// The first record of `text`, its own text, and the rest.
    pub(crate) fn decode(text: &[u8]) -> Option<(Record, &[u8], &[u8])> {
        let (record, rest) = text.split_first_chunk::<{ Record::BYTES }>()?;
        let [kind, step, outcome, length] = words(record);
        let value = outcome as i64;
        let record = Record {
            kind: match kind & 0xff {
                0 => RecordKind::Base,
                1 => RecordKind::Outcome,
                _ => RecordKind::Rows,
            },
            step: u32::try_from(step).unwrap_or(BEFORE),
            outcome: if kind >> 8 == 0 { Ok(value) } else { Err(value) },
            length,
        };
        let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        Some((record, text, rest))
    }
}

/// The header that precedes a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Time after which its processes end themselves, in case the runner is gone.
    pub(crate) seconds: u32,
}

impl Request {
    pub(crate) const BYTES: usize = 8;

    pub(crate) fn encode(self) -> [u8; Request::BYTES] {
        bytes([u64::from(self.seconds)])
    }

    pub(crate) fn decode(given: &[u8; Request::BYTES]) -> Request {
        let [seconds] = words(given);
        Request { seconds: seconds as u32 }
    }
}

/// The reply at the end of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The wait(2) status of its first process.
    pub(crate) status: i32,
    /// The end of the log.
    pub(crate) end: u64,
    /// The reason why it did not complete; 0 if it did.
    pub(crate) trouble: u32,
}

impl Reply {
    pub(crate) const BYTES: usize = 24;

    pub(crate) fn encode(self) -> [u8; Reply::BYTES] {
        bytes([self.status as u64, self.end, u64::from(self.trouble)])
    }

    pub(crate) fn decode(given: &[u8; Reply::BYTES]) -> Reply {
        let [status, end, trouble] = words(given);
        Reply { status: status as i32, end, trouble: trouble as u32 }
    }
}

fn bytes<const WORDS: usize, const BYTES: usize>(words: [u64; WORDS]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_ne_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_decoded_as_they_were() {
        for outcome in [Ok(-1), Ok(i64::MAX), Err(22), Err(RecordKind::BUS)] {
            for kind in [RecordKind::Base, RecordKind::Outcome, RecordKind::Rows] {
                let record = Record { kind, step: BEFORE, outcome, length: 3 };
                let text = [&record.encode()[..], b"rowmore"].concat();
                assert_eq!(Record::decode(&text), Some((record, &b"row"[..], &b"more"[..])));
            }
        }
        let reply = Reply { status: -5, end: 1 << 40, trouble: 3 };
        assert_eq!(Reply::decode(&reply.encode()), reply);
        let request = Request { seconds: 9 };
        assert_eq!(Request::decode(&request.encode()), request);
    }
}
