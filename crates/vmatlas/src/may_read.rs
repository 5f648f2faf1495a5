//! The permission to read a process's maps.

use crate::error::{Error, ErrorKind, Result};
use std::path::Path;
use vmatlas_linux::ProcessId;
use vmatlas_linux::access::{Credentials, Decision, Reader, Rule, Verdict, decide, gather};

/// Decides whether the maps of a process or thread may be read, and by which rule of the kernel: by
/// a plain login of user `uid`, or by the caller.
///
/// # Errors
/// [`ErrorKind::Gone`] if the process does not exist.
pub fn may_read(proc: &Path, id: ProcessId, uid: Option<u32>) -> Result<Decision> {
    let reader = match uid {
        Some(uid) => Reader::Other(Credentials::login(uid)?),
        None => Reader::Caller,
    };
    // /proc has a directory for each thread ID, so a thread is checked like a process.
    let decision = decide(&gather(proc, id.tid.unwrap_or(id.pid), reader)?);
    if decision.rule == Rule::Exists && decision.verdict != Verdict::Allowed {
        let message = format!("{}; {}", decision.why(), decision.help.join("; "));
        return Err(Error::new(ErrorKind::Gone, message));
    }
    Ok(decision)
}
