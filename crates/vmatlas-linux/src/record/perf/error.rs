//! Why perf events cannot be used.

use rustix::io::Errno;

/// Why perf events cannot be used, or not for that process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// perf_event_open(2) is not there.
    #[error(
        "this kernel has no perf events, or the container does not let them through (perf_event_open: {0})"
    )]
    Missing(Errno),
    /// `perf_event_paranoid` is above 2, which is a choice of the distribution.
    #[error(
        "perf events need CAP_PERFMON here, as /proc/sys/kernel/perf_event_paranoid is {level}; 2 or less lets users record their own programs"
    )]
    Paranoid {
        /// What that file holds.
        level: i32,
    },
    /// Refused although `perf_event_paranoid` would allow it: a seccomp filter or a security
    /// module.
    #[error(
        "perf events are refused, by the container's seccomp filter or a security module ({0}); CAP_PERFMON helps in most containers"
    )]
    Refused(Errno),
    /// The numbers of the tracepoints are not known.
    #[error("the tracepoints of system calls were not found: {0}")]
    NoTracepoints(String),
    /// There is no such process, or it has ended.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// The process.
        pid: u32,
    },
    /// ptrace(2) with `PTRACE_MODE_READ_REALCREDS` would not be allowed.
    #[error(
        "process {pid} may not be recorded: it belongs to another user or has privileges (needs CAP_PERFMON or CAP_SYS_PTRACE)"
    )]
    NotPermitted {
        /// The process.
        pid: u32,
    },
    /// More files than the limit allows.
    #[error(
        "recording {threads} threads on {processors} processors needs {needed} open files, but the limit (ulimit -Hn) is {limit}; with CAP_PERFMON a few are enough"
    )]
    TooManyFiles {
        /// How many threads there were.
        threads: usize,
        /// How many processors are online.
        processors: usize,
        /// How many files are needed.
        needed: u64,
        /// `RLIMIT_NOFILE`.
        limit: u64,
    },
    /// Not even the smallest rings are allowed.
    #[error(
        "no memory for the rings of {processors} processors ({errno}): see /proc/sys/kernel/perf_event_mlock_kb and ulimit -l"
    )]
    NoRoom {
        /// How many processors are online.
        processors: usize,
        /// What the kernel answered.
        errno: Errno,
    },
    /// Any other failure.
    #[error("{what}: {errno}")]
    Other {
        /// What was done.
        what: &'static str,
        /// What the kernel answered.
        errno: Errno,
    },
}
