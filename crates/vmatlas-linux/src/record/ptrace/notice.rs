//! What a program did, or could not do, because it was recorded.

use std::fmt;
use std::path::PathBuf;

/// Something that a user should know about a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// A task called ptrace(2) with this request. Nobody can trace a task that is recorded, so
    /// debuggers do not work inside a recording.
    Ptrace {
        /// Who.
        tid: u32,
        /// `PTRACE_*`.
        request: u64,
    },
    /// A program that is set-user-id or set-group-id, or has file capabilities, was executed
    /// without these privileges.
    Unprivileged {
        /// Who.
        tid: u32,
        /// The program.
        program: PathBuf,
    },
    /// A task has installed a seccomp filter that asks a tracer or a supervisor. What it asks a
    /// tracer runs, for this one is no tracer of its own; what it asks a supervisor is not recorded.
    ForeignFilter {
        /// Who.
        tid: u32,
    },
    /// A task wanted strict seccomp mode, which cannot be had beside a filter: it was refused.
    StrictSeccomp {
        /// Who.
        tid: u32,
    },
}

/// The notices of a run. A program may do the same a million times.
#[derive(Debug, Default)]
pub(super) struct Notices(Vec<Notice>);

const MOST: usize = 64;

impl Notices {
    /// Keeps a notice, if none of its sort has been kept: of ptrace, of filters, of one program.
    pub(super) fn add(&mut self, notice: Notice) {
        let same = |other: &Notice| match (other, &notice) {
            (Notice::Unprivileged { program, .. }, Notice::Unprivileged { program: new, .. }) => {
                program == new
            }
            _ => std::mem::discriminant(other) == std::mem::discriminant(&notice),
        };
        if self.0.len() < MOST && !self.0.iter().any(same) {
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
                "task {tid} has a seccomp filter that asks a tracer or a supervisor: what it \
                 decides may not be recorded"
            ),
            Notice::StrictSeccomp { tid } => write!(
                f,
                "task {tid} was refused strict seccomp mode, which cannot be had inside a recording"
            ),
        }
    }
}
