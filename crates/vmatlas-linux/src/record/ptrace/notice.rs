//! Effects of the recording on the program.

use std::fmt;
use std::path::PathBuf;
use vmatlas_recording::Tid;

/// A notice for the user about a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A task called ptrace(2) with this request. A recorded task cannot have a second tracer, so
    /// debuggers do not work inside a recording.
    Ptrace {
        /// The calling task.
        tid: Tid,
        /// The request, `PTRACE_*`.
        request: u64,
    },
    /// A program with set-user-id, set-group-id or file capabilities was executed without these
    /// privileges.
    Unprivileged {
        /// The task that executed it.
        tid: Tid,
        /// The program.
        program: PathBuf,
    },
    /// A task installed a seccomp filter that returns to a tracer or a supervisor. Calls that it
    /// sends to a tracer run, because the recorder is not that tracer; calls that it sends to a
    /// supervisor are not recorded.
    ForeignFilter {
        /// The task that installed it.
        tid: Tid,
    },
    /// A task made a ring of io_uring(7). Its operations are no system calls: what they change, by
    /// `IORING_OP_MADVISE`, is not recorded before the rows are compared, and has no maker.
    IoUring {
        /// The task that made it.
        tid: Tid,
    },
    /// A task requested strict seccomp mode, which is incompatible with a filter: it was refused.
    StrictSeccomp {
        /// The requesting task.
        tid: Tid,
    },
}

/// The notices of a run, without repetitions.
#[derive(Debug, Default)]
pub(super) struct Notices(Vec<Notice>);

const MAX: usize = 64;

impl Notices {
    /// Adds a notice unless one of its kind exists: about ptrace, filters, or one program.
    pub(super) fn add(&mut self, notice: Notice) {
        let same = |other: &Notice| match (other, &notice) {
            (Notice::Unprivileged { program, .. }, Notice::Unprivileged { program: new, .. }) => {
                program == new
            }
            _ => std::mem::discriminant(other) == std::mem::discriminant(&notice),
        };
        if self.0.len() < MAX && !self.0.iter().any(same) {
            self.0.push(notice);
        }
    }

    pub(super) fn into_vec(self) -> Vec<Notice> {
        self.0
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Ptrace { tid, request } => write!(
                f,
                "task {tid} called ptrace (request {request:#x}): debuggers cannot work inside a \
                 recording; attach with --backend perf to record one"
            ),
            Notice::Unprivileged { tid, program } => write!(
                f,
                "task {tid} executed {} without its privileges, which a recorder without \
                 CAP_SYS_ADMIN cannot give; record as root, or attach to it with -p",
                program.display()
            ),
            Notice::ForeignFilter { tid } => write!(
                f,
                "task {tid} asked for a seccomp filter that asks a tracer or a supervisor: what such \
                 a filter decides may not be recorded"
            ),
            Notice::IoUring { tid } => write!(
                f,
                "task {tid} called io_uring_setup: operations of such a ring are no system calls; \
                 advice that they give for memory is not recorded as an event, but its effect on \
                 rows is seen later"
            ),
            Notice::StrictSeccomp { tid } => write!(
                f,
                "task {tid} asked for strict seccomp mode, which is refused inside a recording"
            ),
        }
    }
}
