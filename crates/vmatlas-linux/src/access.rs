//! Determines whether a user may read the maps of a process, and which rule decides.
//!
//! Opening `/proc/PID/maps` checks `PTRACE_MODE_READ_FSCREDS`, after the mount options of that
//! /proc. [`gather`] collects the facts about the two processes; [`decide`] evaluates the kernel's
//! rules over these [`Facts`] and makes no system call.
//!
//! ```
//! use std::path::Path;
//! use vmatlas_linux::access::{Reader, Verdict, decide, gather};
//!
//! // Everybody may read their own maps.
//! let facts = gather(Path::new("/proc"), std::process::id(), Reader::Caller)?;
//! assert_eq!(decide(&facts).verdict, Verdict::Allowed);
//! # Ok::<(), vmatlas_linux::access::Error>(())
//! ```
//!
//! Not modelled: a BPF program at the `ptrace_access_check` hook, which cannot be listed without
//! privileges. The check happens at open only: an open file stays readable.
//!
//! # References
//! ptrace(2), "Ptrace access mode checking"; proc(5); Linux 6.18 `fs/proc/base.c`, `kernel/fork.c`
//! (`mm_access`), `kernel/ptrace.c` (`__ptrace_may_access`), `security/commoncap.c`,
//! `security/landlock/task.c`. Every rule is checked against the running kernel by `tests/it/access.rs`.
pub(crate) mod credentials;
mod decide;
mod error;
mod facts;
pub(crate) mod gather;
pub(crate) mod login;
mod name_service;
mod ptrace;
mod rule;
mod security;

pub use credentials::{Capabilities, Credentials, Id, NamespaceId, UserNamespace};
pub use decide::decide;
pub use error::{Error, ErrorKind};
pub use facts::{AddressSpace, Facts, HidePid, Observed, ProcMount, Target};
pub(crate) use gather::{FileStatus, Status};
pub use gather::{Reader, gather};
pub use login::{user_id, user_name};
pub use rule::{Decision, Outcome, Rule, Step, Verdict};
