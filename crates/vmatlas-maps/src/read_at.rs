//! Random-access reads from a source of bytes.

use std::fmt;
use std::io::Error;
use std::io::ErrorKind;
use std::sync::Arc;

/// Bytes at offsets: a file, or bytes in memory. Files may be many GiB large, so callers read only
/// the parts they need.
pub trait ReadAt {
    /// The size in bytes; `None` if it is not known.
    fn size(&self) -> Option<u64>;

    /// Reads bytes at `offset`, as pread(2) does. Returns how many were read: at least one, unless
    /// `bytes` is empty or the source ends at or before `offset`.
    ///
    /// # Errors
    ///
    /// If the byte at `offset` exists and cannot be read.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error>;

    /// Reads until `bytes` is full or the source ends. Returns the number of bytes read, and the
    /// error that stopped the read; the bytes before it are valid.
    fn read_full_at(&self, offset: u64, bytes: &mut [u8]) -> (usize, Result<(), Error>) {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(at) = offset.checked_add(done as u64) else { break };
            let room = rest.len();
            match self.read_at(at, rest) {
                Ok(0) => break,
                Ok(count) => done += count.min(room),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    /// Fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// If the bytes cannot be read, or the source ends early (`UnexpectedEof`).
    fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        match self.read_full_at(offset, bytes) {
            (_, Err(error)) => Err(error),
            (count, Ok(())) if count < bytes.len() => {
                Err(Error::new(ErrorKind::UnexpectedEof, "failed to fill whole buffer"))
            }
            (_, Ok(())) => Ok(()),
        }
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> Option<u64> {
        Some(self.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> Option<u64> {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
        self.as_slice().read_at(offset, bytes)
    }
}

/// Implements the trait for pointers to a source.
macro_rules! through {
    ($($pointer:ty),*) => {$(
        impl<S: ReadAt + ?Sized> ReadAt for $pointer {
            fn size(&self) -> Option<u64> {
                (**self).size()
            }

            fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
                (**self).read_at(offset, bytes)
            }
        }
    )*};
}

through!(&S, Box<S>, Arc<S>);

/// A read error: an [`Error`] as a value that can be copied and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError {
    kind: ErrorKind,
    os: Option<i32>,
}

impl ReadError {
    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The kernel's error number (errno(3)), if it has one.
    pub fn os_error(&self) -> Option<i32> {
        self.os
    }
}

impl From<&Error> for ReadError {
    fn from(error: &Error) -> ReadError {
        ReadError { kind: error.kind(), os: error.raw_os_error() }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.os {
            Some(number) => Error::from_raw_os_error(number).fmt(f),
            None => self.kind.fmt(f),
        }
    }
}

impl std::error::Error for ReadError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns three bytes at a time, is interrupted every second time, and fails from byte 20 on.
    struct Slow(std::cell::Cell<u32>);

    impl ReadAt for Slow {
        fn size(&self) -> Option<u64> {
            Some(100)
        }

        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, Error> {
            self.0.set(self.0.get() + 1);
            if self.0.get().is_multiple_of(2) {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = bytes.len().min(3).min(20_usize.saturating_sub(offset as usize));
            if count == 0 {
                return Err(Error::from_raw_os_error(5));
            }
            bytes[..count].fill(offset as u8);
            Ok(count)
        }
    }

    #[test]
    fn what_was_read_before_an_error_counts() {
        let source = Slow(Default::default());
        let mut bytes = [0xff; 16];
        let (count, result) = source.read_full_at(10, &mut bytes);
        let error = ReadError::from(&result.unwrap_err());
        assert_eq!((count, error.os_error()), (10, Some(5)));
        assert_eq!(error.to_string(), "Input/output error (os error 5)");
        assert_eq!(bytes[..10], [10, 10, 10, 13, 13, 13, 16, 16, 16, 19]);
        assert_eq!(source.read_exact_at(10, &mut bytes).unwrap_err().raw_os_error(), Some(5));
        source.read_exact_at(10, &mut bytes[..10]).unwrap();
    }

    #[test]
    fn the_end_is_no_error_unless_all_is_asked_for() {
        let source: Box<dyn ReadAt> = Box::new(Arc::new(vec![1, 2, 3]));
        let mut bytes = [0; 4];
        assert!(matches!(source.read_full_at(1, &mut bytes), (2, Ok(()))));
        assert_eq!(bytes, [2, 3, 0, 0]);
        let error = source.read_exact_at(1, &mut bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        assert!(matches!(source.read_full_at(u64::MAX, &mut bytes), (0, Ok(()))));
        assert_eq!(source.size(), Some(3));
    }
}
