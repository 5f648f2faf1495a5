//! Errors about perf events.

use rustix::io::Errno;

/// The reason why perf events cannot be used, in general or for this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    /// perf_event_open(2) does not exist.
    #[error(
        "this kernel has no perf events, or the container does not let them through (perf_event_open: {0})"
    )]
    Missing(Errno),
    /// `perf_event_paranoid` is above 2, a level added by distributions.
    #[error(
        "perf events need CAP_PERFMON here, as /proc/sys/kernel/perf_event_paranoid is {level}; 2 or less lets users record their own programs"
    )]
    Paranoid {
        /// Its value.
        level: i32,
    },
    /// Refused although `perf_event_paranoid` permits it: by a seccomp filter or a security module.
    #[error(
        "perf events are refused, by the container's seccomp filter or a security module ({0}); CAP_PERFMON helps in most containers"
    )]
    Refused(Errno),
    /// The ids of the tracepoints are unknown.
    #[error("the tracepoints of system calls were not found: {0}")]
    NoTracepoints(String),
    /// The process does not exist or has ended.
    #[error("there is no process {pid}")]
    NoSuchProcess {
        /// The process.
        pid: u32,
    },
    /// The process fails the ptrace(2) check `PTRACE_MODE_READ_REALCREDS`.
    #[error(
        "process {pid} may not be recorded: it belongs to another user or has privileges (needs CAP_PERFMON or CAP_SYS_PTRACE)"
    )]
    NotPermitted {
        /// The process.
        pid: u32,
    },
    /// The limit of open files is too low.
    #[error(
        "recording {threads} threads on {processors} processors needs {needed} open files, but the limit (ulimit -Hn) is {limit}; with CAP_PERFMON a few are enough"
    )]
    TooManyFiles {
        /// The number of threads.
        threads: usize,
        /// The number of online processors.
        processors: usize,
        /// The number of files needed.
        needed: u64,
        /// `RLIMIT_NOFILE`.
        limit: u64,
    },
    /// Not even the smallest rings are allowed.
    #[error(
        "no memory for the rings of {processors} processors ({errno}): see /proc/sys/kernel/perf_event_mlock_kb and ulimit -l"
    )]
    NoRoom {
        /// The number of online processors.
        processors: usize,
        /// The kernel's error.
        errno: Errno,
    },
    /// Any other error.
    #[error("{what}: {errno}")]
    Other {
        /// The failed operation.
        what: &'static str,
        /// The kernel's error.
        errno: Errno,
    },
}
