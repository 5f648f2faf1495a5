//! What a log does not tell.

use std::fmt;
use vmatlas_space::Errno;

/// Something of an address space that the log does not tell; nothing is guessed in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Untold {
    /// The process was running when the log begins: what it had mapped before is missing.
    Earlier,
    /// Where the stack is, which no call tells: its row is missing.
    Stack,
    /// Where the kernel put `[vdso]` and its data: their rows are missing.
    Vdso,
    /// The program headers of a program that was executed, or of its interpreter; its rows are
    /// missing.
    Image {
        /// Its path, as the log tells it.
        path: Vec<u8>,
    },
    /// Where the kernel put a program or its interpreter; its rows are missing.
    Base {
        /// Its path.
        path: Vec<u8>,
    },
    /// Device and inode of a file: its rows show no inode.
    Inode {
        /// The name that its rows show.
        name: Vec<u8>,
    },
    /// Which file was mapped: its row shows `?`.
    File {
        /// The line that maps it.
        line: u64,
        /// The file descriptor.
        descriptor: i32,
    },
    /// Where a file is whose path was relative to a directory that the log does not tell.
    Directory {
        /// The path, as the log tells it.
        path: Vec<u8>,
    },
    /// The size of a System V segment; it is missing.
    Segment {
        /// Its number.
        id: u64,
    },
    /// A call that succeeded cannot have, by what the log tells; what it did is missing.
    Refused {
        /// The line.
        line: u64,
        /// The call.
        call: String,
        /// What the model says to it.
        errno: Errno,
    },
    /// The kernel put new memory where by what the log tells some was mapped; that is taken away.
    Taken {
        /// The line.
        line: u64,
        /// The address.
        address: u64,
    },
    /// More than is kept: this many are not listed.
    More(u64),
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        match self {
            Untold::Earlier => f.write_str(
                "the log does not show the mappings from before its start: those rows are missing",
            ),
            Untold::Stack => f.write_str("the log does not show where [stack] is: no row"),
            Untold::Vdso => {
                f.write_str("the log does not show where [vdso] and its data are: no rows")
            }
            Untold::Image { path } => write!(
                f,
                "the log does not show the segments of {}, and the file has none: no rows",
                text(path)
            ),
            Untold::Base { path } => {
                write!(f, "the log does not show where {} was loaded: no rows", text(path))
            }
            Untold::Inode { name } => write!(
                f,
                "the log does not show device and inode of {}: its rows show no inode",
                text(name)
            ),
            Untold::File { line, descriptor } => write!(
                f,
                "line {line}: the log does not show which file descriptor {descriptor} refers to: shown as ?"
            ),
            Untold::Directory { path } => write!(
                f,
                "the log does not show the directory to which {} is relative: shown unchanged",
                text(path)
            ),
            Untold::Segment { id } => {
                write!(f, "the log does not show the size of System V segment {id}: no row")
            }
            Untold::Refused { line, call, errno } => write!(
                f,
                "line {line}: by the log so far, {call} must fail with {errno}, and it did not: left out"
            ),
            Untold::Taken { line, address } => write!(
                f,
                "line {line}: by the log so far, something is mapped at {address:x}: replaced"
            ),
            Untold::More(count) => write!(f, "{count} more facts that the log does not show"),
        }
    }
}

/// What was not told of one process, of which a hostile log cannot make more than some.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    kept: Vec<Untold>,
    left_out: u64,
}

impl Gaps {
    const MAX_KEPT: usize = 100;

    pub(crate) fn of(kept: Vec<Untold>) -> Gaps {
        Gaps { kept, left_out: 0 }
    }

    pub(crate) fn push(&mut self, gap: Untold) {
        if self.kept.contains(&gap) {
            return;
        }
        if self.kept.len() < Self::MAX_KEPT {
            self.kept.push(gap);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn remove(&mut self, gap: &Untold) {
        self.kept.retain(|kept| kept != gap);
    }

    /// All has become known.
    pub(crate) fn clear(&mut self) {
        *self = Gaps::default();
    }

    pub(crate) fn list(&self) -> Vec<Untold> {
        let mut list = self.kept.clone();
        if self.left_out > 0 {
            list.push(Untold::More(self.left_out));
        }
        list
    }
}
