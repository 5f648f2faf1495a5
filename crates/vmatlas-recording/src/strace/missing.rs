//! Facts about an address space that a log does not contain.

use std::fmt;
use vmatlas_space::Errno;

/// A fact about an address space that the log lacks; nothing is guessed in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingFact {
    /// The process ran before the log began: its earlier mappings are missing.
    Earlier,
    /// The address of the stack, which no call shows: its row is missing.
    Stack,
    /// The address of `[vdso]` and its data: their rows are missing.
    Vdso,
    /// The program headers of an executed program, or of its interpreter; the rows of the image are
    /// missing.
    Image {
        /// The path as in the log.
        path: Vec<u8>,
    },
    /// The address of a program or its interpreter; its rows are missing.
    Base {
        /// The path.
        path: Vec<u8>,
    },
    /// Device and inode of a file: its rows show no inode.
    Inode {
        /// The name that its rows show.
        name: Vec<u8>,
    },
    /// The mapped file: its row shows `?`.
    File {
        /// The line that maps it.
        line: u64,
        /// The file descriptor.
        descriptor: i32,
    },
    /// The absolute path of a file: its path is relative to a directory that the log does not show.
    Directory {
        /// The path as in the log.
        path: Vec<u8>,
    },
    /// The size of a System V segment; its row is missing.
    Segment {
        /// The number of the segment.
        id: u64,
    },
    /// A call succeeded that the model refuses, given the rest of the log; its effect is missing.
    Refused {
        /// The line.
        line: u64,
        /// The call.
        call: String,
        /// The error of the model.
        errno: Errno,
    },
    /// The kernel mapped new memory over a mapping of the model, which is removed.
    Taken {
        /// The line.
        line: u64,
        /// The address.
        address: u64,
    },
    /// A task that shares the address space has no line, because strace did not follow it.
    Silent {
        /// Its number.
        tid: u32,
    },
    /// The log does not show who made this task: it may be a thread of another process in the log.
    PerhapsThread {
        /// Its number.
        tid: u32,
    },
    /// The log does not show who made tasks that may be threads of this process.
    PerhapsThreads {
        /// The first of them.
        tid: u32,
        /// The number of others.
        others: usize,
    },
    /// The number of facts that are not listed, because there are too many.
    More(u64),
}

impl fmt::Display for MissingFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        match self {
            MissingFact::Earlier => f.write_str(
                "the log does not show the mappings from before its start: those rows are missing",
            ),
            MissingFact::Stack => f.write_str("the log does not show where [stack] is: no row"),
            MissingFact::Vdso => {
                f.write_str("the log does not show where [vdso] and its data are: no rows")
            }
            MissingFact::Image { path } => write!(
                f,
                "the log does not show the segments of {}, and the file has none: no rows",
                text(path)
            ),
            MissingFact::Base { path } => {
                write!(f, "the log does not show where {} was loaded: no rows", text(path))
            }
            MissingFact::Inode { name } => write!(
                f,
                "the log does not show device and inode of {} before it is mapped: its rows show no inode",
                text(name)
            ),
            MissingFact::File { line, descriptor } => write!(
                f,
                "line {line}: the log does not show which file descriptor {descriptor} refers to: shown as ?"
            ),
            MissingFact::Directory { path } => write!(
                f,
                "the log does not show the directory to which {} is relative: shown unchanged",
                text(path)
            ),
            MissingFact::Segment { id } => {
                write!(f, "the log does not show the size of System V segment {id}: no row")
            }
            MissingFact::Refused { line, call, errno } => write!(
                f,
                "line {line}: by the log so far, {call} must fail with {errno}, and it did not: left out"
            ),
            MissingFact::Taken { line, address } => write!(
                f,
                "line {line}: by the log so far, something is mapped at {address:x}: replaced"
            ),
            MissingFact::Silent { tid } => write!(
                f,
                "the log has no line of task {tid}, which shares this memory: what it mapped and \
                 unmapped is not shown (strace -f follows it)"
            ),
            MissingFact::PerhapsThread { tid } => write!(
                f,
                "the log does not show whether task {tid} is a process or a thread (strace -f -e \
                 trace=%memory,%process from the start shows it): if it is a thread, what other \
                 threads mapped is missing here"
            ),
            MissingFact::PerhapsThreads { tid, others: 0 } => write!(
                f,
                "the log does not show whether task {tid} is a thread of this process: if so, what \
                 it mapped is missing here"
            ),
            MissingFact::PerhapsThreads { tid, others } => write!(
                f,
                "the log does not show whether task {tid} and {others} more are threads of this \
                 process: if so, what they mapped is missing here"
            ),
            MissingFact::More(count) => write!(f, "{count} more facts that the log does not show"),
        }
    }
}

/// The missing facts of one process, bounded also for a hostile log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gaps {
    kept: Vec<MissingFact>,
    left_out: u64,
}

impl Gaps {
    const MAX_KEPT: usize = 100;

    pub(crate) fn of(kept: Vec<MissingFact>) -> Gaps {
        Gaps { kept, left_out: 0 }
    }

    pub(crate) fn push(&mut self, gap: MissingFact) {
        if self.kept.contains(&gap) {
            return;
        }
        if self.kept.len() < Self::MAX_KEPT {
            self.kept.push(gap);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn remove(&mut self, gap: &MissingFact) {
        self.kept.retain(|kept| kept != gap);
    }

    /// Removes all facts, because they are known now.
    pub(crate) fn clear(&mut self) {
        *self = Gaps::default();
    }

    pub(crate) fn list(&self) -> Vec<MissingFact> {
        let mut list = self.kept.clone();
        if self.left_out > 0 {
            list.push(MissingFact::More(self.left_out));
        }
        list
    }
}
