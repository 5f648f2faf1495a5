//! Errors of reading a target.

use crate::note::Processes;
use crate::request::Request;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use vmatlas_linux::access::{Reader, Rule, Verdict, decide, gather};
use vmatlas_linux::{Candidate, Error as LinuxError, ProcessId};

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The kernel denies the access; [`Error::rule`] names the rule that decides.
    Denied,
    /// The process or thread does not exist or has ended.
    Gone,
    /// No file and no process has the name.
    NotFound,
    /// The name matches several processes: [`Error::candidates`].
    Ambiguous,
    /// The source has no row of maps; [`Error::looks_like`] names a known format that it resembles.
    NoRows,
    /// The recording or log has no such process or moment.
    NoMoment,
    /// The source has no moments, sizes, origins or other facts that the caller requested.
    Lacks,
    /// The bytes are damaged, or have an unsupported version or compression, or are a recording or
    /// a log of strace, which only the feature `recordings` reads.
    Unreadable,
    /// A file could not be read or written.
    Io,
    /// The request is contradictory or does not fit the target.
    Usage,
}

impl ErrorKind {
    /// The kind in a word, for programs.
    pub fn word(self) -> &'static str {
        match self {
            ErrorKind::Denied => "denied",
            ErrorKind::Gone => "gone",
            ErrorKind::NotFound => "not-found",
            ErrorKind::Ambiguous => "ambiguous",
            ErrorKind::NoRows => "no-rows",
            ErrorKind::NoMoment => "no-moment",
            ErrorKind::Lacks => "lacks",
            ErrorKind::Unreadable => "unreadable",
            ErrorKind::Io => "io",
            ErrorKind::Usage => "usage",
        }
    }
}

/// An error with the path, process and rule that it concerns. It displays as one line that also
/// suggests a remedy.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    pid: Option<u32>,
    candidates: Vec<Candidate>,
    rule: Option<Rule>,
    help: Vec<String>,
    looks_like: Option<&'static str>,
    processes: Option<Processes>,
    request: Option<Request>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            message: message.into(),
            path: None,
            pid: None,
            candidates: Vec::new(),
            rule: None,
            help: Vec::new(),
            looks_like: None,
            processes: None,
            request: None,
            source: None,
        }))
    }

    /// An error of reading a file.
    pub(crate) fn file(name: impl fmt::Display, error: io::Error) -> Error {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            _ => ErrorKind::Io,
        };
        let mut file = Error::new(kind, name.to_string());
        file.0.path = Some(PathBuf::from(name.to_string()));
        file.0.source = Some(Box::new(error));
        file
    }

    pub(crate) fn with_pid(mut self, pid: u32) -> Error {
        self.0.pid = Some(pid);
        self
    }

    pub(crate) fn with_candidates(mut self, candidates: Vec<Candidate>) -> Error {
        self.0.candidates = candidates;
        self
    }

    pub(crate) fn with_looks_like(mut self, looks_like: Option<&'static str>) -> Error {
        self.0.looks_like = looks_like;
        self
    }

    pub(crate) fn with_request(mut self, request: Request) -> Error {
        self.0.request = Some(request);
        self
    }

    #[cfg(feature = "recordings")]
    pub(crate) fn with_processes(mut self, processes: Processes) -> Error {
        self.0.processes = Some(processes).filter(|processes| !processes.all.is_empty());
        self
    }

    /// An error of reading a process, with the rule that denied it and a remedy.
    pub(crate) fn refused(error: LinuxError, proc: &Path, id: ProcessId) -> Error {
        if let (LinuxError::NoSuchProcess { .. }, Some(tid)) = (&error, id.tid) {
            let message = format!("process {} has no thread {tid}, or is not there", id.pid);
            return Error::new(ErrorKind::Gone, message).with_pid(id.pid);
        }
        let is_refusal =
            matches!(error, LinuxError::Denied { .. } | LinuxError::NoSuchProcess { .. });
        let facts = is_refusal.then(|| gather(proc, id.pid, Reader::Caller).ok()).flatten();
        let decision = facts.map(|facts| decide(&facts));
        let refusal = decision.filter(|decision| decision.verdict != Verdict::Allowed);
        let mut refused = Error::from(error).with_pid(id.pid);
        if let Some(decision) = refusal {
            let message = &mut refused.0.message;
            match decision.why() {
                why if why.starts_with(message.as_str()) => why.clone_into(message),
                why => message.push_str(&format!(": {why}")),
            }
            refused.0.rule = Some(decision.rule);
            refused.0.help = decision.help;
        }
        refused
    }

    /// An error of recording a process, with the rule that denied it and a remedy.
    pub fn not_recorded(error: LinuxError, pid: u32) -> Error {
        Error::refused(error, Path::new("/proc"), ProcessId { pid, tid: None })
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the process or thread does not exist or has ended.
    pub fn is_gone(&self) -> bool {
        self.0.kind == ErrorKind::Gone
    }

    /// The path that the error concerns.
    pub fn path(&self) -> Option<&Path> {
        self.0.path.as_deref()
    }

    /// The process that the error concerns.
    pub fn pid(&self) -> Option<u32> {
        self.0.pid
    }

    /// The processes that match an ambiguous name, the newest last.
    pub fn candidates(&self) -> &[Candidate] {
        &self.0.candidates
    }

    /// The kernel's rule that denies the access.
    pub fn rule(&self) -> Option<Rule> {
        self.0.rule
    }

    /// Remedies, one sentence each.
    pub fn help(&self) -> &[String] {
        &self.0.help
    }

    /// The known format that a file without rows resembles, such as `numa_maps`.
    pub fn looks_like(&self) -> Option<&'static str> {
        self.0.looks_like
    }
}

impl Error {
    /// What was asked for that the source does not have, with [`ErrorKind::Lacks`].
    pub fn request(&self) -> Option<Request> {
        self.0.request
    }

    /// The processes of the recording or log, if the requested one is not among them.
    pub fn processes(&self) -> Option<&Processes> {
        self.0.processes.as_ref()
    }

    /// The error line without the [processes](Error::processes).
    pub fn message(&self) -> String {
        let mut line = self.0.message.clone();
        if let Some(source) = &self.0.source {
            line.push_str(&format!(": {source}"));
        }
        self.0.help.iter().for_each(|help| line.push_str(&format!("; {help}")));
        line
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())?;
        self.0.processes.as_ref().map_or(Ok(()), |processes| write!(f, "; {processes}"))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

impl From<LinuxError> for Error {
    fn from(error: LinuxError) -> Error {
        let kind = match error {
            LinuxError::NoSuchProcess { .. } | LinuxError::Vanished { .. } => ErrorKind::Gone,
            LinuxError::Denied { .. } => ErrorKind::Denied,
            _ => ErrorKind::Io,
        };
        Error::new(kind, error.to_string())
    }
}

impl From<vmatlas_linux::access::Error> for Error {
    fn from(error: vmatlas_linux::access::Error) -> Error {
        Error::new(ErrorKind::Io, error.to_string())
    }
}
