//! Error numbers of the kernel.

use std::fmt;
use std::str::FromStr;

/// An error of a system call, see errno(3).
///
/// The numbers are those of include/uapi/asm-generic/errno*.h. x86, ARM, RISC-V, PowerPC and s390
/// share those up to 34; x86, ARM, RISC-V and s390 share all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Errno {
            $(pub const $name: Errno = Errno($number);)*
            const NAMES: &[(&str, i32)] = &[$((stringify!($name), $number)),*];
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8,
    EBADF = 9, ECHILD = 10, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, ENOTBLK = 15,
    EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22,
    ENFILE = 23, EMFILE = 24, ENOTTY = 25, ETXTBSY = 26, EFBIG = 27, ENOSPC = 28, ESPIPE = 29,
    EROFS = 30, EMLINK = 31, EPIPE = 32, EDOM = 33, ERANGE = 34, ENAMETOOLONG = 36, ENOSYS = 38,
    ENOTEMPTY = 39, ELOOP = 40, ENODATA = 61, EOVERFLOW = 75, EOPNOTSUPP = 95, ETIMEDOUT = 110,
    EHWPOISON = 133,
}

impl Errno {
    /// The name, such as `EINVAL` for 22; `None` if it is not in the table.
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.iter().find(|(_, number)| *number == self.0).map(|(name, _)| *name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Errno {}

/// The text is not the name of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrnoError;

impl fmt::Display for ErrnoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of an error of a system call, such as ENOMEM")
    }
}

impl std::error::Error for ErrnoError {}

impl FromStr for Errno {
    type Err = ErrnoError;

    fn from_str(name: &str) -> Result<Self, ErrnoError> {
        let known = Self::NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, number)| Errno(*number)).ok_or(ErrnoError)
    }
}
